/** The rule that admits replication clients and tells which is the peer, from this principal's settings. */
import { type AuthMethod, type CertificateNames, identify } from "../../domain/agents/identity.ts";
import { peerIdentity } from "../../domain/ha/peer_identity.ts";
import type { ReplicationPolicy } from "../../domain/replication/admission.ts";
import type { Peer } from "../ports/peer.ts";

/** The settings that say whose calls of replication are answered. */
export interface ReplicationSettings {
  readonly haEnabled: boolean;
  readonly auth: AuthMethod;
  readonly allowedReplicationClients: readonly string[];
  readonly allowAnyReplicationClient: boolean;
  /** `--ha-peer-identity`; empty: not given. */
  readonly peerIdentity: string;
}

/** Whose calls of replication are answered. */
export function replicationPolicy(settings: ReplicationSettings): ReplicationPolicy {
  const { haEnabled, auth, allowedReplicationClients, allowAnyReplicationClient } = settings;
  const named = settings.peerIdentity;
  return {
    haEnabled,
    rule: auth.method === "mtls" ? auth.rule : undefined,
    allowed: new Set([...allowedReplicationClients, ...(named === "" ? [] : [named])]),
    allowAny: allowAnyReplicationClient,
  };
}

/** How the peer's identity is known now; empty: it is not. */
export function knownPeer(settings: ReplicationSettings, peer: Pick<Peer, "certificates">): string {
  const { auth, allowedReplicationClients: allowed, peerIdentity: named } = settings;
  if (auth.method !== "mtls") return named;
  const nameIn = (certificate: CertificateNames | undefined) => {
    const found = certificate ? identify(certificate, auth.rule) : { problem: "none" };
    return "identity" in found ? found.identity : "";
  };
  const { own, presented } = peer.certificates();
  return peerIdentity({ named, allowed, own: nameIn(own), presented: nameIn(presented) });
}
