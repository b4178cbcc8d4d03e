/**
 * The meaning of an agent's event here, as in the Go principal but with its gaps closed. An agent is authenticated, not
 * trusted: keys derive from its proved name, never from the event's claims, and a malformed or forbidden event does
 * nothing, with the reason.
 */
import { BOUNDS, parseForeign } from "../../base/bounds.ts";
import { OutOfBounds } from "../../base/json.ts";
import { reasonOf } from "../../base/reason.ts";
import type { AgentEvent } from "../events/cloudevent.ts";
import { completed, sourceUid } from "../events/replicated.ts";
import { isDnsLabel, isDnsSubdomain, type Key, keyOf } from "../resources/keys.ts";
import { type Kind, kindNamed } from "../resources/kinds.ts";
import { type ApiObject, isRecord, objectProblem, SOURCE_UID } from "../resources/object.ts";
import type { Scope } from "../resources/scope.ts";
import { prefixed } from "./projects.ts";
import type { Identity } from "./step.ts";
import type { AgentId, AgentView } from "./view.ts";

/** Stamped by an agent on an Application that it keeps in another namespace than the principal. */
const REMAPPED = "argocd.argoproj.io/namespace-remapped";

/** A resource that an agent speaks of. */
export type Named = Identity & { key: Key };

/** The action to take; `nothing` carries the reason. */
export type Intent =
  | { do: "nothing"; why: string; refused: boolean }
  /** A managed agent's status of an Application. */
  | { do: "status"; key: Key; object: ApiObject }
  /** An autonomous agent's own resource. */
  | { do: "adopt"; key: Key; object: ApiObject }
  /** The agent has deleted the object that has this source UID; empty: it does not say which. */
  | { do: "deleted"; key: Key; uid: string }
  /** Something failed on the agent's cluster. */
  | { do: "failed"; key: Key; message: string }
  /** Tell the agent what it is to have, unless its list has this checksum. */
  | { do: "list"; checksum: string }
  /** Tell the agent of one resource, unless its own has this checksum. */
  | { do: "compare"; resource: Named; checksum: string }
  /** Ask the agent for everything of its own, or for one. */
  | { do: "askAll" }
  | { do: "ask"; resource: Named }
  | { do: "cacheInfo"; applications: number; apis: number; resources: number };

/** Where the agent's coordinates become the principal's. */
export interface InboundWorld {
  scope: Scope;
  /** The agent's own namespace, as it said when it authenticated. */
  agentNamespace: string;
}

const TARGETS = new Map<string, AgentView["target"]>([
  ["Application", "application"],
  ["AppProject", "appproject"],
  ["Repository", "repository"],
  ["GPGKey", "gpgkey"],
]);

/** The target of an event as a label: what is not served has one together. */
export function targetLabel(target: string): string {
  return target === "heartbeat" || Object.hasOwn(HANDLERS, target) ? target : "other";
}

/** The action that an event requests. */
export function interpret(event: AgentEvent, agent: AgentId, world: InboundWorld): Intent {
  const { type, target } = event;
  if (type === "ping" || target === "heartbeat") return nothing("a heartbeat");
  const handler = Object.hasOwn(HANDLERS, target) ? HANDLERS[target] : undefined;
  if (!handler) return refused(`target "${target.slice(0, 64)}" is not served`);
  if ((event.cutBytes ?? event.payload?.length ?? 0) > BOUNDS.bytes) {
    return refused(`the payload is larger than ${BOUNDS.bytes} bytes`);
  }
  try {
    const body = parse(event.payload);
    if (!isRecord(body)) return refused("the payload is not a JSON object");
    return handler(type, body, agent, world);
  } catch (error) {
    return refused(reasonOf(error));
  }
}

type Handler = (type: string, body: Record<string, unknown>, agent: AgentId, world: InboundWorld) => Intent;

const HANDLERS: Record<string, Handler> = {
  application(type, body, agent, world) {
    if (type === "error" && agent.mode === "managed") return failure(body, agent, world);
    const object = objectOf(body, "Application");
    if (agent.mode === "managed") {
      if (type === "create") return nothing("Applications of a managed agent come from here");
      const { key, object: here } = managedApplication(object, agent, world);
      if (type === "status-update") return { do: "status", key, object: here };
      if (type === "delete") {
        return { do: "deleted", key, uid: object.metadata.annotations?.[SOURCE_UID] ?? "" };
      }
      return refused(`${type.slice(0, 64)} of an Application is not for a managed agent`);
    }
    const key = keyOf("Application", agent.name, nameOf(object));
    if (type === "create" || type === "spec-update") return { do: "adopt", key, object };
    if (type === "delete") return { do: "deleted", key, uid: sourceUid(object) };
    return refused(`${type.slice(0, 64)} of an Application is not for an autonomous agent`);
  },
  appproject(type, body, agent, { scope }) {
    if (agent.mode === "managed") {
      if (type === "create") return nothing("AppProjects of a managed agent come from here");
      return refused("AppProjects of a managed agent come from here");
    }
    const object = objectOf(body, "AppProject");
    const key = keyOf("AppProject", scope.namespace, prefixed(agent.name, nameOf(object)));
    if (["create", "spec-update", "status-update"].includes(type)) return { do: "adopt", key, object };
    if (type === "delete") return { do: "deleted", key, uid: sourceUid(object) };
    return refused(`${type.slice(0, 64)} of an AppProject is not served`);
  },
  resourceResync(type, body, agent, world) {
    const allowed = agent.mode === "managed"
      ? ["request-synced-resource-list", "request-update"]
      : ["request-resource-resync", "response-synced-resource"];
    if (!allowed.includes(type)) return refused(`${type.slice(0, 64)} is not for a ${agent.mode} agent`);
    if (type === "request-resource-resync") return { do: "askAll" };
    const checksum = text(body["checksum"], 128);
    if (type === "request-synced-resource-list") return { do: "list", checksum };
    const resource = named(body, agent, world);
    return type === "request-update" ? { do: "compare", resource, checksum } : { do: "ask", resource };
  },
  clusterCacheInfoUpdate(_, body) {
    const count = (field: string) => {
      const value = body[field];
      return typeof value === "number" && value >= 0 ? Math.floor(value) : 0;
    };
    return {
      do: "cacheInfo",
      applications: count("applicationsCount"),
      apis: count("apisCount"),
      resources: count("resourcesCount"),
    };
  },
};

function objectOf(body: Record<string, unknown>, kind: string): ApiObject {
  const description = kindNamed(kind) as Kind;
  const metadata = isRecord(body["metadata"]) ? body["metadata"] : {};
  const complete = completed({ ...body, metadata: { namespace: "", ...metadata } }, description, "");
  const problem = complete
    ? objectProblem(complete) ??
      ["spec", "status", "operation"].map((field) => partProblem(complete, field)).find(Boolean)
    : "the payload is not a Kubernetes object";
  if (problem || !complete) throw new Error(problem);
  nameOf(complete);
  return complete;
}

/** Parts of an object are JSON objects, where they are there. */
function partProblem(object: ApiObject, field: string): string | undefined {
  const part = object[field];
  return part === undefined || part === null || isRecord(part) ? undefined : `${field} is not an object`;
}

function nameOf({ metadata }: ApiObject): string {
  if (isDnsSubdomain(metadata.name)) return metadata.name;
  throw new Error(`"${metadata.name.slice(0, 64)}" is not the name of an object`);
}

/** A managed agent's Application in the principal's coordinates: in the namespace mapping its namespace is the agent's name. */
function managedApplication(
  object: ApiObject,
  agent: AgentId,
  { scope, agentNamespace }: InboundWorld,
): { key: Key; object: ApiObject } {
  if (!scope.destinationMapping) {
    return { key: keyOf("Application", agent.name, object.metadata.name), object };
  }
  const { [REMAPPED]: remapped, ...annotations } = object.metadata.annotations ?? {};
  const from = object.metadata.namespace ?? "";
  const namespace = remapped === "true" && from === agentNamespace ? scope.namespace : from;
  if (!isDnsLabel(namespace)) throw new Error(`"${namespace.slice(0, 64)}" is not a namespace`);
  const metadata = { ...object.metadata, namespace, annotations };
  return { key: keyOf("Application", namespace, object.metadata.name), object: { ...object, metadata } };
}

function failure(
  body: Record<string, unknown>,
  agent: AgentId,
  { scope, agentNamespace }: InboundWorld,
): Intent {
  const name = text(body["resourceName"], 253);
  if (!isDnsSubdomain(name)) return refused(`"${name.slice(0, 64)}" is not the name of an object`);
  const claimed = text(body["resourceNamespace"], 63);
  const here = claimed === agentNamespace || !isDnsLabel(claimed) ? scope.namespace : claimed;
  const namespace = scope.destinationMapping ? here : agent.name;
  return { do: "failed", key: keyOf("Application", namespace, name), message: text(body["message"], 4_096) };
}

/** The resource that a resync message names, in the principal's coordinates. */
function named(body: Record<string, unknown>, agent: AgentId, { scope }: InboundWorld): Named {
  const kind = text(body["kind"], 64);
  const target = TARGETS.get(kind);
  const given = text(body["name"], 253);
  const uid = text(body["uid"], 128);
  const theirs = text(body["namespace"], 63);
  if (!target || !isDnsSubdomain(given)) {
    throw new Error(`a message about kind "${kind}", name "${given.slice(0, 64)}"`);
  }
  const own = agent.mode === "autonomous";
  const name = own && target === "appproject" && !given.startsWith(`${agent.name}-`)
    ? prefixed(agent.name, given)
    : given;
  const mapped = scope.destinationMapping && !own && isDnsLabel(theirs) ? theirs : agent.name;
  const namespace = target === "application" ? mapped : scope.namespace;
  const api = (kindNamed(kind) as Kind).kind;
  return { key: keyOf(api, namespace, name), namespace, name, kind, target, uid };
}

/** The payload's value; undefined: it is no JSON. @throws OutOfBounds */
function parse(payload: Uint8Array | undefined): unknown {
  try {
    return parseForeign(new TextDecoder("utf-8", { fatal: true }).decode(payload ?? new Uint8Array()));
  } catch (error) {
    if (error instanceof OutOfBounds) throw error;
    return undefined;
  }
}

function text(value: unknown, max: number): string {
  return typeof value === "string" ? value.slice(0, max) : "";
}

function nothing(why: string): Intent {
  return { do: "nothing", why, refused: false };
}

function refused(why: string): Intent {
  return { do: "nothing", why, refused: true };
}
