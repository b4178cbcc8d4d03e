/** Reads the names in a caller's client certificate. */
import "reflect-metadata";
import { Buffer } from "node:buffer";
import * as x509 from "@peculiar/x509";
import { type CertificateNames, identityBehind, type MtlsRule } from "../../domain/agents/identity.ts";
import { sha256 } from "../../base/sha256.ts";

const ANY_USAGE: readonly string[] = [x509.ExtendedKeyUsage.clientAuth, "2.5.29.37.0"];

/** A call that may have come with a client certificate. */
export interface AuthenticatedCall {
  getAuthContext(): { sslPeerCertificate?: { raw: Buffer } };
}

/** The names in a DER certificate. */
export function namesOf(der: Buffer): CertificateNames {
  const certificate = new x509.X509Certificate(new Uint8Array(der));
  const subject = certificate.subjectName.toJSON().flatMap((rdn) =>
    Object.entries(rdn).flatMap(([type, values]) => values.map((value): [string, string] => [type, value]))
  );
  const san = certificate.getExtension(x509.SubjectAlternativeNameExtension);
  const uris = (san?.names.items ?? []).filter((name) => name.type === "url").map((name) => name.value);
  return { subject, uris, fingerprint: sha256(der).toUpperCase() };
}

/** The names in a certificate in PEM, the first one of a chain. */
export function namesOfPem(pem: Buffer): CertificateNames {
  return namesOf(Buffer.from(new x509.X509Certificate(pem.toString("utf8")).rawData));
}

/**
 * Why a certificate does not do for a pair: each side shows its own to the other as a client too. One of `argocd-agentctl pki issue principal`
 * is for servers only. Empty: it does.
 */
export function pairProblem(pem: Buffer): string {
  const certificate = new x509.X509Certificate(pem.toString("utf8"));
  const usages = certificate.getExtension(x509.ExtendedKeyUsageExtension)?.usages;
  if (!usages || ANY_USAGE.some((usage) => usages.includes(usage))) return "";
  return `the certificate of "${certificate.subject}" is for servers only (no clientAuth), and the peer refuses it`;
}

/** The names in the certificate that a call came with; undefined: it came with none. */
export function certificateOf(call: AuthenticatedCall): CertificateNames | undefined {
  const der = call.getAuthContext().sslPeerCertificate?.raw;
  return der && namesOf(der);
}

/** The identity behind a call, or why there is none. */
export function identityOf(call: AuthenticatedCall, rule: MtlsRule): ReturnType<typeof identityBehind> {
  return identityBehind(certificateOf(call), rule);
}
