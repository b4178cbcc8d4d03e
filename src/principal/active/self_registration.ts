/**
 * Self-registration: at its first authentication an agent gets a cluster Secret of Argo CD, through which Argo CD reaches its cluster
 * by way of the resource proxy. A Secret that a person made is left alone. Only the ACTIVE writes; the Secret replicates.
 */
import type { Log } from "../../base/log.ts";
import { dataOf } from "../../domain/resources/config_map.ts";
import { keyOf } from "../../domain/resources/keys.ts";
import { SECRET_TYPE, SELF_REGISTERED } from "../../domain/resources/kinds.ts";
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import { modify } from "../ports/modify.ts";
import type { AgentClusters } from "../ports/cluster_info.ts";
import type { Tokens } from "../ports/tokens.ts";
import type { ActiveStore } from "./active_store.ts";
import { AGENT_NAME, tokenOf } from "./cluster_secrets.ts";

const SKIP_RECONCILE = "argocd.argoproj.io/skip-reconcile";

/** How Argo CD reaches agents' clusters. */
export interface SelfRegistrationSettings {
  /** The resource proxy. */
  proxyAddress: string;
  /** The Secret of its client certificate. */
  secret: string;
}

/** The part of the principal that a registration needs. */
export interface SelfRegistrationParts {
  readonly settings: {
    readonly namespace: string;
    /** Undefined: agents do not register themselves. */
    readonly selfRegistration: SelfRegistrationSettings | undefined;
  };
  readonly activeStore: ActiveStore;
  readonly clusters: AgentClusters;
  readonly log: Log;
}

/** Makes or refreshes the cluster Secret of an agent, where that is configured. @throws Error, StoreError */
export async function registerAgent(
  { settings, activeStore: store, clusters, log }: SelfRegistrationParts,
  agent: string,
  tokens: Tokens,
): Promise<void> {
  const { namespace, selfRegistration } = settings;
  if (!selfRegistration || !store.writable) return;
  const server = `https://${selfRegistration.proxyAddress}?agentName=${agent}`;
  const written = await modify(store, keyOf("Secret", namespace, `cluster-${agent}`), async (existing) => {
    if (existing && existing.metadata.labels?.[SELF_REGISTERED] !== "true") return undefined;
    if (!existing && clusters.of(agent)) return undefined;
    const certificate = await store.get(keyOf("Secret", namespace, selfRegistration.secret));
    const tls = clientTls(certificate, selfRegistration.secret);
    const token = await currentToken(existing, agent, tokens) ?? await tokens.resourceProxy(agent);
    const config = JSON.stringify({ bearerToken: token, tlsClientConfig: tls });
    return clusterSecret(namespace, agent, { name: agent, server, config }, existing);
  });
  if (written?.changed) log.info("cluster registered", { agent, server });
}

function clientTls(certificate: StoredObject | undefined, name: string): Record<string, unknown> {
  const data = dataOf(certificate);
  const field = (wanted: string) => {
    const value = data[wanted];
    if (typeof value === "string" && value !== "") return value;
    throw new Error(
      `Secret "${name}" (--self-registration-client-cert-secret) has no ${wanted}; it needs tls.crt, tls.key and ca.crt`,
    );
  };
  return { insecure: false, certData: field("tls.crt"), keyData: field("tls.key"), caData: field("ca.crt") };
}

/** The token of an earlier registration while it is valid. */
async function currentToken(
  existing: StoredObject | undefined,
  agent: string,
  tokens: Tokens,
): Promise<string | undefined> {
  const token = existing && tokenOf(existing);
  const subject = token && await tokens.verifyResourceProxy(token).catch(() => undefined);
  return subject === agent ? token : undefined;
}

function clusterSecret(
  namespace: string,
  agent: string,
  fields: Record<string, string>,
  existing: StoredObject | undefined,
): ApiObject {
  const { labels = {}, annotations = {} } = existing?.metadata ?? {};
  return {
    apiVersion: "v1",
    kind: "Secret",
    type: "Opaque",
    metadata: {
      name: `cluster-${agent}`,
      namespace,
      labels: { ...labels, [SECRET_TYPE]: "cluster", [AGENT_NAME]: agent, [SELF_REGISTERED]: "true" },
      annotations: { ...annotations, [SKIP_RECONCILE]: "true", "managed-by": "argocd-agent" },
    },
    data: Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [name, btoa(value)]),
    ),
  };
}
