/** A server certificate that is made at a start, for trials: those who connect cannot check it. */
import { Buffer } from "node:buffer";
import { X509Certificate } from "node:crypto";
import type { Log } from "../../base/log.ts";
import type { TlsParts } from "./files.ts";
import { selfSigned } from "./pki.ts";

const COMMON_NAME = "argocd-agent-principal--generated";
const DAYS = 365;

/** Certificate and key. Without an authority for clients its own certificate stands for it, which vouches for none. */
export async function generatedTls(hasAuthority: boolean, log: Log): Promise<Partial<TlsParts>> {
  const { cert, key } = await selfSigned(COMMON_NAME, ["127.0.0.1", "::1", "localhost"], DAYS);
  const made = (pem: string) => ({
    text: Buffer.from(pem),
    from: "the certificate of --insecure-tls-generate",
  });
  const { fingerprint256, validTo } = new X509Certificate(cert);
  log.warn(
    "INSECURE: the server certificate was made at this start (--insecure-tls-generate): agents cannot check it, and whoever is in " +
      "between can pose as this principal; for a trial alone",
    { sha256: fingerprint256, validUntil: new Date(validTo).toISOString() },
  );
  return { cert: made(cert), key: made(key), ...(hasAuthority ? {} : { ca: made(cert) }) };
}
