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

/** Tells the peer's identity as it is known now; empty: it is not. Asked at every message, so each certificate is read once. */
export function knownPeer(settings: ReplicationSettings, peer: Pick<Peer, "certificates">): () => string {
  const { auth, allowedReplicationClients: allowed, peerIdentity: named } = settings;
  if (auth.method !== "mtls" || named !== "") return () => named;
  const identities = new WeakMap<CertificateNames, string>();
  const nameIn = (certificate: CertificateNames | undefined) => {
    if (!certificate) return "";
    const known = identities.get(certificate);
    if (known !== undefined) return known;
    const found = identify(certificate, auth.rule);
    const identity = "identity" in found ? found.identity : "";
    identities.set(certificate, identity);
    return identity;
  };
  return () => {
    const { own, presented } = peer.certificates();
    return peerIdentity({ named, allowed, own: nameIn(own), presented: nameIn(presented) });
  };
}
