/** The effect of an agent's events on the objects here. Pure: the inputs do not change. */
import { type ApiObject, isRecord, SERVER_OWNED, SOURCE_UID } from "../resources/object.ts";
import { REFRESH } from "../resources/transform.ts";
import { OWNER } from "./ownership.ts";
import { adoptProject, prefixed } from "./projects.ts";

const LAST_UPDATED = "argocd-agent.argoproj-labs.io/last-updated";
const NOTIFIED = "notified.notifications.argoproj.io";
const NOT_KEPT = new Set([...SERVER_OWNED, "ownerReferences", "generateName"]);
/** The peer's type of condition. */
const AGENT_ERROR = "AgentError";

/** The operation and refresh that have reached the agent: its report may end only these. */
export interface Reached {
  operation: boolean;
  refresh: boolean;
}

/** An Application with a managed agent's status. Its operation and refresh end when the agent, having had them, no longer has them. */
export function withStatus(existing: ApiObject, incoming: ApiObject, reached: Reached): ApiObject {
  const { operation: before, status, ...rest } = existing;
  const operation = incoming["operation"] ?? (reached.operation ? undefined : before);
  return {
    ...rest,
    metadata: withRefresh(
      existing,
      refreshOf(incoming) ?? (reached.refresh ? undefined : refreshOf(existing)),
    ),
    status: incoming["status"] ?? status ?? {},
    ...(operation === undefined ? {} : { operation }),
  } as ApiObject;
}

/** An Application that its agent could not handle. */
export function withFailure(existing: ApiObject, agent: string, message: string, now: string): ApiObject {
  const status = isRecord(existing["status"]) ? existing["status"] : {};
  const conditions = Array.isArray(status["conditions"]) ? status["conditions"] : [];
  const condition = {
    type: AGENT_ERROR,
    message: `Error occurred on cluster managed by agent ${agent}: ${message}`,
    lastTransitionTime: now,
  };
  const others = conditions.filter((one) => !isRecord(one) || one["type"] !== AGENT_ERROR);
  const health = { ...(isRecord(status["health"]) ? status["health"] : {}), status: "Degraded" };
  return { ...existing, status: { ...status, health, conditions: [...others, condition] } };
}

/** Where an autonomous agent's resources are kept. */
export interface Placement {
  agent: string;
  /** The name of its cluster in Argo CD. */
  cluster: string;
  principalNamespace: string;
  /** RFC 3339. */
  now: string;
}

/** An autonomous agent's resource as it is kept here. @throws Error when it cannot be kept */
export function adopted(
  incoming: ApiObject,
  existing: ApiObject | undefined,
  placement: Placement,
  reached: Reached,
): ApiObject {
  const metadata: Record<string, unknown> = Object.fromEntries(
    Object.entries(incoming.metadata).filter(([field]) => !NOT_KEPT.has(field)),
  );
  const { annotations = {} } = incoming.metadata;
  const kept = existing?.metadata.annotations ?? {};
  const source = annotations[SOURCE_UID] ?? incoming.metadata.uid ?? kept[SOURCE_UID];
  const merged = { ...annotations };
  if (source) merged[SOURCE_UID] = source;
  merged[OWNER] = placement.agent;
  for (const name of [NOTIFIED, LAST_UPDATED]) {
    if (kept[name] !== undefined) merged[name] = kept[name];
  }
  if (!existing) merged[LAST_UPDATED] = placement.now;
  if (existing && !reached.refresh && kept[REFRESH] !== undefined) merged[REFRESH] = kept[REFRESH];
  metadata["annotations"] = merged;
  return incoming.kind === "AppProject"
    ? project(incoming, metadata, placement)
    : application(incoming, metadata, existing, placement, reached);
}

function project(incoming: ApiObject, metadata: Record<string, unknown>, placement: Placement): ApiObject {
  const { agent, principalNamespace } = placement;
  const name = prefixed(agent, incoming.metadata.name);
  return {
    ...incoming,
    metadata: { ...metadata, name, namespace: principalNamespace },
    spec: adoptProject(incoming, agent),
  };
}

function application(
  incoming: ApiObject,
  metadata: Record<string, unknown>,
  existing: ApiObject | undefined,
  { agent, cluster }: Placement,
  reached: Reached,
): ApiObject {
  const { operation: theirs, ...rest } = incoming;
  const spec = isRecord(incoming["spec"]) ? incoming["spec"] : {};
  const { server: _, ...destination } = isRecord(spec["destination"]) ? spec["destination"] : {};
  const project = prefixed(agent, typeof spec["project"] === "string" ? spec["project"] : "default");
  const operation = existing ? theirs ?? (reached.operation ? undefined : existing["operation"]) : undefined;
  const name = incoming.metadata.name;
  return {
    ...rest,
    metadata: { ...metadata, name, namespace: agent },
    spec: { ...spec, project, destination: { ...destination, name: cluster } },
    ...(incoming["status"] === undefined ? {} : { status: inNamespaceOf(incoming["status"], agent) }),
    ...(operation === undefined ? {} : { operation }),
  };
}

/** Child Applications are kept in the agent's namespace too. */
function inNamespaceOf(status: unknown, agent: string): unknown {
  if (!isRecord(status) || !Array.isArray(status["resources"])) return status;
  const resources = status["resources"].map((one) =>
    isRecord(one) && one["kind"] === "Application" && one["group"] === "argoproj.io"
      ? { ...one, namespace: agent }
      : one
  );
  return { ...status, resources };
}

function refreshOf({ metadata }: ApiObject): string | undefined {
  return metadata.annotations?.[REFRESH];
}

function withRefresh({ metadata }: ApiObject, refresh: string | undefined): ApiObject["metadata"] {
  const { [REFRESH]: _, ...annotations } = metadata.annotations ?? {};
  return {
    ...metadata,
    annotations: refresh === undefined ? annotations : { ...annotations, [REFRESH]: refresh },
  };
}
