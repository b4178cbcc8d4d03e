/**
 * Self-registration: at its first authentication an agent gets a cluster Secret of Argo CD, through which Argo CD reaches its cluster
 * by way of the resource proxy. A Secret that a person made is left alone. Only the ACTIVE writes; the Secret replicates.
 */
import type { Tokens } from "../../adapters/grpc/tokens.ts";
import { keyOf } from "../../domain/resources/keys.ts";
import { SECRET_TYPE, SELF_REGISTERED } from "../../domain/resources/kinds.ts";
import { type ApiObject, isRecord, secretText, type StoredObject } from "../../domain/resources/object.ts";
import { StoreError } from "../ports/store.ts";
import { AGENT_NAME } from "./clusters.ts";
import type { Context } from "../core/context.ts";

const SKIP_RECONCILE = "argocd.argoproj.io/skip-reconcile";
const MAX_CONFLICTS = 5;

/** Makes or refreshes the cluster Secret of an agent, where that is configured. @throws Error, StoreError */
export async function registerCluster(
  { settings, activeStore: store, activeScope, clusters, log }: Context,
  agent: string,
  tokens: Tokens,
): Promise<void> {
  const { namespace, selfRegistration } = settings;
  if (!selfRegistration || !activeScope()) return;
  for (let conflicts = 0;; conflicts++) {
    const key = keyOf("Secret", namespace, `cluster-${agent}`);
    const existing = await store.get(key);
    if (existing && existing.metadata.labels?.[SELF_REGISTERED] !== "true") return;
    if (!existing && clusters.of(agent)) return;
    const tls = await clientTls(
      store.get(keyOf("Secret", namespace, selfRegistration.secret)),
      selfRegistration,
    );
    const token = await currentToken(existing, agent, tokens) ?? await tokens.resourceProxy(agent);
    const server = `https://${selfRegistration.proxyAddress}?agentName=${agent}`;
    const config = JSON.stringify({ bearerToken: token, tlsClientConfig: tls });
    try {
      const object = secret(namespace, agent, { name: agent, server, config }, existing);
      const { changed } = await store.write({
        op: "put",
        object,
        expect: existing?.metadata.resourceVersion ?? "absent",
      });
      if (changed) log.info("cluster registered", { agent, server });
      return;
    } catch (error) {
      const again = error instanceof StoreError && error.code === "conflict" && conflicts < MAX_CONFLICTS;
      if (!again) throw error;
    }
  }
}

async function clientTls(
  reading: Promise<StoredObject | undefined>,
  { secret: name }: { secret: string },
): Promise<Record<string, unknown>> {
  const found = await reading;
  const data = found && isRecord(found["data"]) ? found["data"] : {};
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
  if (!existing) return undefined;
  try {
    const config: unknown = JSON.parse(secretText(existing, "config"));
    const token = isRecord(config) ? config["bearerToken"] : undefined;
    if (typeof token !== "string") return undefined;
    return await tokens.verifyResourceProxy(token) === agent ? token : undefined;
  } catch {
    return undefined;
  }
}

function secret(
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
