/** The rule that admits a peer's calls, from this principal's settings. */
import type { AuthMethod } from "../../domain/agents/identity.ts";
import type { ReplicationPolicy } from "../../domain/replication/admission.ts";

/** The settings that say whose calls of replication are answered. */
export interface ReplicationSettings {
  readonly haEnabled: boolean;
  readonly auth: AuthMethod;
  readonly allowedReplicationClients: readonly string[];
  readonly allowAnyReplicationClient: boolean;
}

/** Whose calls of replication are answered. */
export function replicationPolicy(settings: ReplicationSettings): ReplicationPolicy {
  const { haEnabled, auth, allowedReplicationClients, allowAnyReplicationClient } = settings;
  return {
    haEnabled,
    rule: auth.method === "mtls" ? auth.rule : undefined,
    allowed: new Set(allowedReplicationClients),
    allowAny: allowAnyReplicationClient,
  };
}
