/** Certificates of simulated agents, by the CA of a folder of `pki init`. */
import { Buffer } from "node:buffer";
import type { TlsMaterial } from "../adapters/tls/files.ts";
import { Authority } from "../adapters/tls/pki.ts";

const DAYS = 1;

/** Issues certificates of any name. */
export async function issuer(pki: string): Promise<(commonName: string) => Promise<TlsMaterial>> {
  const text = (name: string) => Deno.readTextFileSync(`${pki}/${name}`);
  const ca = { cert: text("ca.crt"), key: text("ca.key") };
  const authority = await Authority.load(ca, DAYS);
  return async (commonName) => {
    const { cert, key } = await authority.issue({ commonName, sans: [], server: false });
    const notAfterMs = Date.now() + DAYS * 86_400_000;
    return { ca: Buffer.from(ca.cert), cert: Buffer.from(cert), key: Buffer.from(key), notAfterMs };
  };
}
