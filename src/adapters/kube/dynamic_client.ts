/**
 * The API server's resources, every kind alike, as the JSON that they are (client-go's dynamic client). client-node's generated API
 * is not used: docs/decisions/0001-kubernetes-client.md.
 */
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import { ApiFailure, failureOf } from "./api_failure.ts";
import { Discovery, type Resource, rootOf } from "./discovery.ts";
import { OWN_MANAGER } from "./field_manager.ts";
import { RestClient } from "./rest_client.ts";
import { Schemas } from "./schemas.ts";
import type { Transport } from "./transport.ts";

/** One operation of a JSON patch; `add` replaces what is there. */
export type PatchOperation = { op: "add"; path: string; value: unknown } | { op: "remove"; path: string };

/** A right to ask about; `subresource` empty: of the resource itself, `namespace` empty: everywhere. */
export interface Attempt {
  resource: Resource;
  subresource: string;
  verb: string;
  namespace: string;
  /** Empty: whatever its name. */
  name: string;
}

/** One page of a list. */
export interface Page {
  items: ApiObject[];
  resourceVersion: string;
  /** The token of the next page; empty: this was the last. */
  next: string;
}

export interface WatchEvent {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  object: ApiObject;
}

/** Which objects of a resource; `namespace` empty: all namespaces, `labelSelector` empty: whatever their labels. */
export interface Selection {
  namespace: string;
  labelSelector: string;
}

interface List {
  items: ApiObject[];
  metadata: { resourceVersion: string; continue?: string };
}

/** Objects that a page has at most. */
const PAGE = 500;
const MANAGED = `fieldManager=${OWN_MANAGER}`;
const JSON_PATCH = "application/json-patch+json";
const STRATEGIC_PATCH = "application/strategic-merge-patch+json";

/** Every method throws ApiFailure. */
export class DynamicClient {
  readonly discovery: Discovery;
  readonly schemas: Schemas;
  readonly #rest: RestClient;

  constructor(transport: Transport) {
    this.#rest = new RestClient(transport);
    this.discovery = new Discovery(this.#rest);
    this.schemas = new Schemas(this.#rest);
  }

  /** One page of a list, from `next` on. */
  async list(resource: Resource, selection: Selection, limit: number, next = ""): Promise<Page> {
    const path = `${collection(resource, selection.namespace)}?${
      query({ limit: String(limit), labelSelector: selection.labelSelector, continue: next })
    }`;
    const { items, metadata } = await this.#rest.call<List>(`list ${resource.plural}`, "GET", path);
    // Items of a list of a core kind come without apiVersion and kind.
    const { apiVersion, kind } = resource;
    return {
      items: items.map((item) => ({ ...item, apiVersion, kind })),
      resourceVersion: metadata.resourceVersion,
      next: metadata.continue ?? "",
    };
  }

  /** All pages of a list, one after the other. */
  async *pages(resource: Resource, selection: Selection, limit = PAGE): AsyncGenerator<Page> {
    let next = "";
    do {
      const page = await this.list(resource, selection, limit, next);
      yield page;
      next = page.next;
    } while (next !== "");
  }

  /** The object, or undefined. */
  async get(resource: Resource, namespace: string, name: string): Promise<StoredObject | undefined> {
    try {
      return await this.#object(
        `get ${resource.plural}`,
        "GET",
        `${collection(resource, namespace)}/${name}`,
      );
    } catch (error) {
      if (error instanceof ApiFailure && error.status === 404) return undefined;
      throw error;
    }
  }

  /** Creates an object; as a dry run the API server only says what it would come to. */
  create(resource: Resource, object: ApiObject, { dryRun = false } = {}): Promise<StoredObject> {
    const path = `${collection(resource, object.metadata.namespace ?? "")}?${MANAGED}${
      dryRun ? "&dryRun=All" : ""
    }`;
    return this.#object(`create ${resource.plural}`, "POST", path, object);
  }

  /** Applies a JSON patch (RFC 6902). */
  patch(resource: Resource, namespace: string, name: string, patch: PatchOperation[]): Promise<StoredObject> {
    const path = `${collection(resource, namespace)}/${name}?${MANAGED}`;
    return this.#object(`patch ${resource.plural}`, "PATCH", path, patch, JSON_PATCH);
  }

  /** Replaces `status` and nothing else, through its subresource where there is one. */
  writeStatus(resource: Resource, namespace: string, name: string, status: unknown): Promise<StoredObject> {
    const subresource = resource.statusSubresource ? "/status" : "";
    const path = `${collection(resource, namespace)}/${name}${subresource}?${MANAGED}`;
    const patch = [{ op: "add", path: "/status", value: status }];
    return this.#object(`patch ${resource.plural}`, "PATCH", path, patch, JSON_PATCH);
  }

  /** Merges into the status of an object of Kubernetes' own kinds: of its conditions those of these types are replaced. */
  mergeStatus(resource: Resource, namespace: string, name: string, status: object): Promise<StoredObject> {
    const path = `${collection(resource, namespace)}/${name}/status?${MANAGED}`;
    return this.#object(`patch ${resource.plural}`, "PATCH", path, { status }, STRATEGIC_PATCH);
  }

  /** Asks for the deletion; the object may stay until its finalizers are gone. */
  async delete(
    resource: Resource,
    namespace: string,
    name: string,
    propagationPolicy: "Orphan" | "Background",
    resourceVersion?: string,
  ): Promise<void> {
    const options = { propagationPolicy, ...(resourceVersion ? { preconditions: { resourceVersion } } : {}) };
    await this.#rest.call(
      `delete ${resource.plural}`,
      "DELETE",
      `${collection(resource, namespace)}/${name}`,
      options,
    );
  }

  /** Whether we have a right (SelfSubjectAccessReview, which every account may create). */
  async isAllowed(
    { resource: { apiVersion, plural }, subresource, verb, namespace, name }: Attempt,
  ): Promise<boolean> {
    const group = apiVersion.includes("/") ? apiVersion.split("/")[0] : "";
    const { status } = await this.#rest.call<{ status?: { allowed?: boolean } }>(
      "ask for our rights",
      "POST",
      "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: { resourceAttributes: { group, resource: plural, subresource, verb, namespace, name } },
      },
    );
    return status?.allowed === true;
  }

  /** Changes from `resourceVersion` on, until the server ends the watch or the signal aborts. */
  async *watch(
    resource: Resource,
    selection: Selection,
    resourceVersion: string,
    timeoutSeconds: number,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent> {
    const action = `watch ${resource.plural}`;
    const path = `${collection(resource, selection.namespace)}?${
      query({
        watch: "1",
        allowWatchBookmarks: "true",
        resourceVersion,
        timeoutSeconds: String(timeoutSeconds),
        labelSelector: selection.labelSelector,
      })
    }`;
    const events = this.#rest.stream<{ type: WatchEvent["type"] | "ERROR"; object: ApiObject }>(
      action,
      path,
      signal,
    );
    for await (const { type, object } of events) {
      if (type === "ERROR") throw failureOf(action, Number(object["code"]), JSON.stringify(object));
      yield { type, object };
    }
  }

  /** Requests from now on use a new connection: this one has gone silent. */
  renew(): void {
    this.#rest.renew();
  }

  /** A request that is answered with an object, without its managedFields. */
  async #object(
    action: string,
    method: string,
    path: string,
    body?: unknown,
    contentType?: string,
  ): Promise<StoredObject> {
    const object = await this.#rest.call<StoredObject>(action, method, path, body, contentType);
    delete object.metadata["managedFields"];
    return object;
  }
}

function collection({ apiVersion, plural }: Resource, namespace: string): string {
  return namespace
    ? `${rootOf(apiVersion)}/namespaces/${namespace}/${plural}`
    : `${rootOf(apiVersion)}/${plural}`;
}

function query(parameters: Record<string, string>): URLSearchParams {
  return new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== ""));
}
