/** Admits a peer's certificate: it matches the configured rule and is in the list. */
import { type CertificateNames, identityBehind, type MtlsRule } from "../agents/identity.ts";
import { Refusal } from "../ha/refusal.ts";

/** The rule that admits a peer's calls. */
export interface ReplicationPolicy {
  haEnabled: boolean;
  /** Undefined: authentication is not by certificate. */
  rule: MtlsRule | undefined;
  /** Identities that may replicate. */
  allowed: ReadonlySet<string>;
  /** `--ha-allow-any-replication-client`: any identity, the Go principal's default. */
  allowAny: boolean;
}

/** The identity of a peer that calls. @throws Refusal with the Go principal's texts */
export function admit(certificate: CertificateNames | undefined, policy: ReplicationPolicy): string {
  const { rule } = policy;
  if (!policy.haEnabled) throw new Refusal("replication not enabled", "disabled");
  if (!rule) {
    throw new Refusal("replication requires mTLS auth but no mtls method configured", "unauthenticated");
  }
  const found = identityBehind(certificate, rule);
  if ("problem" in found) throw new Refusal(`replication auth failed: ${found.problem}`, "unauthenticated");
  if (!policy.allowAny && !policy.allowed.has(found.identity)) {
    throw new Refusal(`identity "${found.identity}" not in allowed replication clients`, "forbidden");
  }
  return found.identity;
}
