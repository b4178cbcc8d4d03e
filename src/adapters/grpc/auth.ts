/** Who is calling: client certificates to identities, and the replication services' own authorisation. */
import "reflect-metadata";
import type { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import grpc from "@grpc/grpc-js";
import * as x509 from "@peculiar/x509";
import { type CertificateNames, identify, type MtlsRule } from "../../domain/agents/identity.ts";
import { Status } from "./status.ts";

/** A call that may have come with a client certificate. */
export interface AuthenticatedCall {
  getAuthContext(): { sslPeerCertificate?: { raw: Buffer } };
}

/** What decides about replication calls. */
export interface ReplicationPolicy {
  haEnabled: boolean;
  /** undefined: authentication is not by certificate. */
  rule: MtlsRule | undefined;
  /** Identities that may replicate. */
  allowed: ReadonlySet<string>;
  /** `--ha-allow-any-replication-client`: any identity, the peer's default. */
  allowAny: boolean;
  /** Whether a certificate is on the blocklist, by upper-case hex SHA-256. */
  blocked(fingerprint: string): boolean;
}

/** The names in a DER certificate. */
export function namesOf(der: Buffer): CertificateNames {
  const certificate = new x509.X509Certificate(new Uint8Array(der));
  const subject = certificate.subjectName.toJSON().flatMap((rdn) =>
    Object.entries(rdn).flatMap(([type, values]) => values.map((value): [string, string] => [type, value]))
  );
  const san = certificate.getExtension(x509.SubjectAlternativeNameExtension);
  const uris = (san?.names.items ?? []).filter((name) => name.type === "url").map((name) => name.value);
  return { subject, uris, fingerprint: hash("sha256", der, "hex").toUpperCase() };
}

/** The identity behind a call, or why there is none. */
export function identityOf(
  call: AuthenticatedCall,
  rule: MtlsRule,
  blocked: (fingerprint: string) => boolean,
): { identity: string; fingerprint: string } | { problem: string } {
  const der = call.getAuthContext().sslPeerCertificate?.raw;
  if (!der) return { problem: "the client presented no certificate" };
  const names = namesOf(der);
  if (blocked(names.fingerprint)) return { problem: `certificate ${names.fingerprint} is on the blocklist` };
  const found = identify(names, rule);
  return "problem" in found ? found : { ...found, fingerprint: names.fingerprint };
}

/** The identity of a replication call. @throws Status with the peer's codes and texts */
export function authorizeReplication(call: AuthenticatedCall, policy: ReplicationPolicy): string {
  if (!policy.haEnabled) throw new Status(grpc.status.UNIMPLEMENTED, "replication not enabled");
  if (!policy.rule) {
    const text = "replication requires mTLS auth but no mtls method configured";
    throw new Status(grpc.status.UNAUTHENTICATED, text);
  }
  const found = identityOf(call, policy.rule, policy.blocked);
  if ("problem" in found) {
    throw new Status(grpc.status.UNAUTHENTICATED, `replication auth failed: ${found.problem}`);
  }
  if (!policy.allowAny && !policy.allowed.has(found.identity)) {
    const text = `identity "${found.identity}" not in allowed replication clients`;
    throw new Status(grpc.status.PERMISSION_DENIED, text);
  }
  return found.identity;
}
