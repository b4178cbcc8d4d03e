/** Certificates as `argocd-agentctl pki issue principal` makes them: of one name on both sides, and for servers only. */
import { assert, assertEquals } from "@std/assert";
import { Authority } from "../../src/adapters/tls/pki.ts";
import { freePorts } from "../../src/cli/processes.ts";
import { inWorkshop, LOOSE, until, untilState, type Workshop } from "../support/principals.ts";

const NAME = "argocd-agent-principal";

/** Writes a side's certificate, for servers only or for clients too. */
async function issue({ dir }: Workshop, side: string, client: boolean): Promise<void> {
  const pem = (part: string) => Deno.readTextFileSync(`${dir}/pki/ca.${part}`);
  const authority = await Authority.load({ cert: pem("crt"), key: pem("key") }, 100);
  const issued = await authority.issue({ commonName: NAME, sans: ["127.0.0.1"], server: true, client });
  Deno.writeTextFileSync(`${dir}/pki/${side}.key`, issued.key);
  Deno.writeTextFileSync(`${dir}/pki/${side}.crt`, issued.cert);
}

Deno.test({
  name:
    "a certificate for servers only is named at the start and by preflight; one for clients too makes the pair work",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const [a = 0, b = 0] = freePorts(2);
      for (const side of ["primary", "replica"]) await issue(workshop, side, false);
      const flags = [`--ha-peer-identity=${NAME}`];
      const settings = (side: "primary" | "replica", own: number, peer: number) => ({
        ...workshop.settings(side, peer, flags),
        listenPort: own,
        allowedReplicationClients: [NAME],
      });
      const primary = await workshop.served(settings("primary", a, b));
      await untilState(primary, "active");
      const replica = await workshop.start(settings("replica", b, a));
      const said = workshop.logs.filter((line) => line.startsWith("error the certificate of"));
      assertEquals(said.length, 2, workshop.logs.join("\n"));
      assert(
        said[0]?.includes(
          "is for servers only (no clientAuth), and the peer refuses it; issue one for serverAuth and",
        ),
      );
      const found = async () => {
        const { checks } = await replica.core.readiness.look();
        return checks.find(({ name }) => name === "certificate here");
      };
      const check = await found();
      assertEquals(check?.ok, false);
      assert(check?.found.startsWith(`the certificate of "CN=${NAME}" is for servers only`), check?.found);
      assert(check?.fix.includes("docs/migrate.md"), check?.fix);
      for (const side of ["primary", "replica"]) await issue(workshop, side, true);
      await untilState(replica, "replicating", 60_000);
      await until(async () => (await found())?.ok === true, 20_000, () => "the check still fails");
    }),
});
