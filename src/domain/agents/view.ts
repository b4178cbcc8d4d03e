/**
 * The desired state of one resource at one agent. A managed agent gets the resources that are routed to it. An autonomous
 * agent keeps its own resources, and gets only requests made here: a refresh, an operation. `metadata.uid` is the first
 * source's UID, whichever principal is ACTIVE, so a failover changes no identity. No resourceVersion travels: numbers of
 * two clusters must not be compared.
 */
import { canonicalJson, keptJson, parseJson } from "../../base/json.ts";
import type { Entry } from "../changes/index.ts";
import { sourceUid } from "../events/replicated.ts";
import type { Mode } from "../resources/roster.ts";
import { parseKey } from "../resources/keys.ts";
import { kindOf } from "../resources/kinds.ts";
import { type ApiObject, isRecord, type ObjectMeta, secretText } from "../resources/object.ts";
import { agentOf, type Scope } from "../resources/scope.ts";
import { DELETION_REQUESTED, LAST_APPLIED, REFRESH } from "../resources/transform.ts";
import { type Sha256, specChecksum } from "./checksum.ts";
import { OWNER, ownerOf, ownsProject } from "./ownership.ts";
import { asAtAgent, projectFor, projectMatches, type ProjectRule } from "./projects.ts";

/** The agent in question. */
export interface AgentId {
  name: string;
  mode: Mode;
}

/** The inputs of a view beside the resource itself. */
export interface World {
  scope: Scope;
  sha256: Sha256;
  /** The rule of a project of the principal's namespace. */
  project(name: string): ProjectRule | undefined;
}

export interface AgentView {
  /** The `dataschema` of its events. */
  target: "application" | "appproject" | "repository" | "gpgkey";
  /** The Go principal's name of its kind. */
  kind: string;
  namespace: string;
  name: string;
  uid: string;
  /** Changes when the agent must be told; empty: there is nothing to tell. */
  state: string;
  /** Its deletion is carried out here, or was requested at an earlier ACTIVE and waits for an operator; empty: neither. */
  deletion: "" | "carried out" | "requested";
  /** The operation asked for; empty: none. */
  operation: string;
  /** Whether the running operation is to be stopped. */
  terminating: boolean;
  /** An autonomous agent's own resource: the checksum that it has here. */
  source: string | undefined;
  /** The object to send, without and with its operation. */
  body: ApiObject;
  withOperation: ApiObject;
  /** The checksum of the object as sent. */
  checksum: string;
}

/** The desired state of a resource at `agent`; undefined: none. */
export function viewOf(
  entry: Entry | undefined,
  agent: AgentId,
  world: World,
): AgentView | undefined {
  if (!entry || entry.deleted) return undefined;
  const object = parseJson(entry.payload) as ApiObject;
  const kind = kindOf(object, world.scope);
  const parts = parseKey(entry.key);
  if (!kind || !parts) return undefined;
  const shown = agent.mode === "managed"
    ? managedForm(object, kind.name, agent.name, world)
    : ownForm(object, kind.name, agent.name, world);
  if (!shown) return undefined;
  const local = parseJson(entry.local || "{}") as { refresh?: string; deletionTimestamp?: string };
  const { operation, ...rest } = shown.object;
  const metadata = { ...shownMetadata(rest.metadata as ObjectMeta), uid: sourceUid(rest as ApiObject) };
  if (local.refresh) metadata.annotations = { ...metadata.annotations, [REFRESH]: local.refresh };
  if (local.deletionTimestamp) metadata.deletionTimestamp = local.deletionTimestamp;
  const body = { ...rest, metadata } as ApiObject;
  const asked = operation === undefined ? "" : keptJson(operation);
  return {
    target: shown.target,
    kind: kind.name,
    namespace: parts.namespace,
    name: parts.name,
    uid: metadata.uid,
    deletion: kind.name !== "Application"
      ? ""
      : local.deletionTimestamp
      ? "carried out"
      : object.metadata.annotations?.[DELETION_REQUESTED]
      ? "requested"
      : "",
    state: agent.mode === "managed" ? world.sha256(relevant(body)) : local.refresh ?? "",
    operation: asked,
    terminating: phaseOf(body) === "Terminating",
    source: agent.mode === "managed" ? undefined : ownChecksum(object, agent.name, world.sha256),
    body,
    withOperation: operation === undefined ? body : { ...body, operation },
    checksum: specChecksum(body, world.sha256),
  };
}

/** The notes of `kubectl apply` are about the principal's cluster, and requests to delete are of principals. */
function shownMetadata(metadata: ObjectMeta): ObjectMeta {
  const {
    [LAST_APPLIED]: applied,
    [DELETION_REQUESTED]: requested,
    [OWNER]: owner,
    ...annotations
  } = metadata.annotations ?? {};
  if (applied === undefined && requested === undefined && owner === undefined) return metadata;
  const { annotations: _, ...rest } = metadata;
  return Object.keys(annotations).length > 0 ? { ...rest, annotations } : rest;
}

interface Shown {
  target: AgentView["target"];
  object: ApiObject;
}

function managedForm(object: ApiObject, kind: string, agent: string, world: World): Shown | undefined {
  const { scope, project } = world;
  switch (kind) {
    case "Application":
      return agentOf(object, scope) === agent && ["", agent].includes(ownerOf(object))
        ? { target: "application", object }
        : undefined;
    case "AppProject": {
      const rule = project(object.metadata.name);
      if (!rule || !projectMatches(rule, agent, scope.destinationMapping)) return undefined;
      return { target: "appproject", object: projectFor(object, agent, scope.destinationMapping) };
    }
    case "Repository": {
      const rule = project(projectOfRepository(object));
      const theirs = rule && projectMatches(rule, agent, scope.destinationMapping);
      return theirs ? { target: "repository", object } : undefined;
    }
    case "GPGKey":
      return { target: "gpgkey", object };
    default:
      return undefined;
  }
}

function ownForm(object: ApiObject, kind: string, agent: string, { scope }: World): Shown | undefined {
  const { namespace } = object.metadata;
  if (kind === "Application" && namespace === agent && ["", agent].includes(ownerOf(object))) {
    return { target: "application", object };
  }
  if (kind === "AppProject" && namespace === scope.namespace && ownsProject(agent, object)) {
    return { target: "appproject", object };
  }
  return undefined;
}

/** The project that a repository is for; empty: none, and so no agent gets it. */
export function projectOfRepository(secret: ApiObject): string {
  return secretText(secret, "project");
}

/** Everything that an agent acts on; its own status comes from it. */
function relevant({ status: _, ...body }: ApiObject): string {
  return canonicalJson(body);
}

/** The autonomous agent's own checksum of a resource while it agrees with the copy here. */
function ownChecksum(object: ApiObject, agent: string, sha256: Sha256): string {
  return specChecksum(asAtAgent(object, agent), sha256);
}

function phaseOf({ status }: ApiObject): unknown {
  const state = isRecord(status) ? status["operationState"] : undefined;
  return isRecord(state) ? state["phase"] : undefined;
}
