import { assertEquals } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { Authority } from "../tls/pki.ts";
import { Trust } from "./trust.ts";

Deno.test("Trust vouches for what an authority of its bundle has issued, directly or by what was presented", async () => {
  const [a, b] = [await Authority.create(1), await Authority.create(1)];
  const leaf = await a.issue({ commonName: "edge", sans: [], server: false });
  const der = (pem: string) => new Uint8Array(new X509Certificate(pem).raw);
  const chain = [der(leaf.cert)];
  assertEquals(Trust.of(a.pem.cert).vouchesFor(chain), true);
  assertEquals(Trust.of(b.pem.cert + a.pem.cert).vouchesFor(chain), true);
  // Both have the same name: the signature decides.
  assertEquals(Trust.of(b.pem.cert).vouchesFor(chain), false);
  assertEquals(Trust.of(b.pem.cert).vouchesFor([...chain, der(a.pem.cert)]), false);
  assertEquals(Trust.of(leaf.cert).vouchesFor(chain), true);
  assertEquals(
    Trust.of(`${b.pem.cert}-----BEGIN CERTIFICATE-----x-----END CERTIFICATE-----`).vouchesFor(chain),
    false,
  );
  assertEquals(Trust.of(a.pem.cert).vouchesFor([]), false);
});
