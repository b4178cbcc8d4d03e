/**
 * The rest of a simulated agent's cluster: what Argo CD's UI shows and changes through the resource proxy. It answers as a Go agent
 * does, its peculiarities included: no reason of an error travels, a POST answers 200, and only what Argo CD tracks may be touched.
 */
import { parseJson } from "../base/json.ts";
import type { AgentEvent } from "../domain/events/cloudevent.ts";
import { isRecord } from "../domain/resources/object.ts";

/** Events of these targets are requests. */
export const REQUESTS: readonly string[] = ["resource", "redis", "containerlog", "terminal"];

const TRACKED = "argocd.argoproj.io/tracking-id";

/** A request about resources, as its payload has it. */
export interface ResourceRequest {
  uuid: string;
  method: string;
  group: string;
  version: string;
  resource: string;
  namespace?: string;
  name: string;
  subresource?: string;
  /** The body of a request over HTTP, in base64. */
  body?: string;
  params?: Record<string, string>;
}

/** An agent's answer. */
export interface ResourceAnswer {
  status: number;
  /** JSON text. */
  resource?: string;
}

/** An object of any kind. */
export interface SimObject {
  metadata: { name: string; namespace?: string; annotations?: Record<string, string> };
  [field: string]: unknown;
}

/** One kind of resource that the cluster serves. */
interface Served {
  group: string;
  version: string;
  resource: string;
  kind: string;
  namespaced: boolean;
  subresources: string[];
}

const served = (
  [group, version]: [string, string],
  resource: string,
  kind: string,
  ...subresources: string[]
): Served => ({ group, version, resource, kind, namespaced: resource !== "namespaces", subresources });

const SERVED: Served[] = [
  served(["", "v1"], "pods", "Pod", "status", "log", "exec", "eviction"),
  served(["", "v1"], "services", "Service", "status"),
  served(["", "v1"], "configmaps", "ConfigMap"),
  served(["", "v1"], "namespaces", "Namespace", "status"),
  served(["", "v1"], "events", "Event"),
  served(["apps", "v1"], "deployments", "Deployment", "status", "scale"),
  served(["apps", "v1"], "replicasets", "ReplicaSet", "status", "scale"),
  served(["batch", "v1"], "jobs", "Job", "status"),
];

const REFUSED = (status: number): ResourceAnswer => ({ status });
const FOUND = (value: unknown): ResourceAnswer => ({ status: 200, resource: JSON.stringify(value) });

export class SimResources {
  readonly #objects = new Map<string, SimObject>();
  readonly #served = [...SERVED];
  #version = 0;
  /** Requests that were carried out. */
  handled = 0;

  /** Serves a kind more, as a cluster does where a definition of it is installed. */
  define(group: string, version: string, resource: string, kind: string): void {
    this.#served.push(served([group, version], resource, kind, "status"));
  }

  /** Creates or replaces an object of a resource (`deployments`); tracked by Argo CD unless it is said not to be. */
  put(resource: string, object: SimObject, tracked = true): SimObject {
    const kind = this.#served.find((one) => one.resource === resource);
    if (!kind) throw new Error(`this cluster has no ${resource}`);
    const { name, namespace = "", annotations = {} } = object.metadata;
    const tracking = tracked ? { [TRACKED]: `app:${kind.group}/${kind.kind}:${namespace}/${name}` } : {};
    const stored = {
      apiVersion: [kind.group, kind.version].filter(Boolean).join("/"),
      kind: kind.kind,
      ...object,
      metadata: {
        ...object.metadata,
        annotations: { ...annotations, ...tracking },
        resourceVersion: String(++this.#version),
      },
    };
    this.#objects.set(idOf(resource, namespace, name), stored);
    return stored;
  }

  get(resource: string, namespace: string, name: string): SimObject | undefined {
    return this.#objects.get(idOf(resource, namespace, name));
  }

  /** Carries a request out. @throws Error where a Go agent's own code fails, which the principal hears as a 500 */
  carryOut(request: ResourceRequest): ResourceAnswer {
    this.handled++;
    const { method, resource, name, subresource = "" } = request;
    if (method === "GET" && name === "") return this.#read(request);
    const kind = this.#served.find((one) => one.group === request.group && one.resource === resource);
    if (!kind) return REFUSED(404);
    if (method === "POST" && subresource === "") return this.#create(request);
    const object = this.get(resource, request.namespace ?? "", name);
    if (!object) return REFUSED(404);
    if (!object.metadata.annotations?.[TRACKED]) return REFUSED(403);
    if (subresource !== "" && !kind.subresources.includes(subresource)) return REFUSED(404);
    if (method === "GET") return FOUND(object);
    if (method === "POST") return FOUND(bodyOf(request));
    if (method === "PATCH") return this.#patch(request, object);
    if (method !== "DELETE") throw new Error(`method ${method} is not known`);
    bodyOf(request);
    this.#objects.delete(idOf(resource, request.namespace ?? "", name));
    return { status: 200 };
  }

  /** Lists and discovery. */
  #read({ group, version, resource, namespace = "", params = {} }: ResourceRequest): ResourceAnswer {
    if (resource === "events") return FOUND(this.#events(namespace, params["fieldSelector"] ?? ""));
    if (resource !== "") throw new Error(`lists of ${resource} are not served`);
    if (version === "") return FOUND(groups(this.#served));
    const kinds = this.#served.filter((one) => one.group === group && one.version === version);
    return kinds.length === 0 ? REFUSED(404) : FOUND(resources(group, version, kinds));
  }

  #events(namespace: string, fieldSelector: string): unknown {
    const name = /involvedObject\.name=([^,]*)/.exec(fieldSelector)?.[1];
    const items = [...this.#objects].filter(([id, { involvedObject }]) =>
      id.startsWith(`events/${namespace}/`) &&
      (name === undefined || (isRecord(involvedObject) && involvedObject["name"] === name))
    );
    return { kind: "EventList", apiVersion: "v1", metadata: {}, items: items.map(([, object]) => object) };
  }

  #create(request: ResourceRequest): ResourceAnswer {
    const { resource, namespace = "", params = {} } = request;
    const object = bodyOf(request) as unknown as SimObject;
    if (this.get(resource, namespace, object.metadata.name)) return REFUSED(409);
    if (params["dryRun"]) return FOUND(object);
    const placed = { ...object, metadata: { ...object.metadata, ...(namespace ? { namespace } : {}) } };
    return FOUND(this.put(resource, placed, false));
  }

  #patch(request: ResourceRequest, object: SimObject): ResourceAnswer {
    const patched = merged(object, bodyOf(request)) as SimObject;
    return FOUND(request.params?.["dryRun"] ? patched : this.put(request.resource, patched, false));
  }
}

/** The answer to the request of an event. @throws Error where the event is no request */
export function answerTo(event: AgentEvent, resources: SimResources): { uuid: string } & ResourceAnswer {
  const request = parseJson(new TextDecoder().decode(event.payload)) as ResourceRequest;
  try {
    return { uuid: request.uuid, ...resources.carryOut(request) };
  } catch {
    return { uuid: request.uuid, status: 500 };
  }
}

/** @throws Error where there is none, or no JSON object */
function bodyOf({ body = "" }: ResourceRequest): Record<string, unknown> {
  const value = parseJson(new TextDecoder().decode(Uint8Array.fromBase64(body)));
  if (isRecord(value)) return value;
  throw new Error("the body is not a JSON object");
}

function groups(all: Served[]): unknown {
  const names = [...new Set(all.map(({ group }) => group))];
  return {
    kind: "APIGroupList",
    apiVersion: "v1",
    groups: names.map((name) => {
      const versions = [...new Set(all.flatMap(({ group, version }) => group === name ? version : []))]
        .map((version) => ({ groupVersion: [name, version].filter(Boolean).join("/"), version }));
      return { name, versions, preferredVersion: versions[0] };
    }),
  };
}

function resources(group: string, version: string, kinds: Served[]): unknown {
  const verbs = ["create", "delete", "get", "list", "patch", "update", "watch"];
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: [group, version].filter(Boolean).join("/"),
    resources: kinds.flatMap(({ resource, kind, namespaced, subresources }) =>
      [resource, ...subresources.map((one) => `${resource}/${one}`)]
        .map((name) => ({ name, singularName: "", namespaced, kind, verbs }))
    ),
  };
}

/** RFC 7396. */
function merged(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const fields = new Map(isRecord(target) ? Object.entries(target) : []);
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) fields.delete(name);
    else fields.set(name, merged(fields.get(name), value));
  }
  return Object.fromEntries(fields);
}

const idOf = (resource: string, namespace: string, name: string) => `${resource}/${namespace}/${name}`;
