/**
 * The API server's resources, every kind alike, as the JSON that they are: plural names and status subresources come from
 * discovery, so no table of ours can disagree with the CRDs that are installed. Failures become `ApiFailure`, with the API
 * server's own words.
 *
 * client-node's generated API was tried on this transport and is not used: it brings every model of the Kubernetes API into memory
 * (docs/benchmarks.md has what that costs), and says nothing about custom resources that is not said here.
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import { StoreError, type StoreErrorCode } from "../../principal/ports/store.ts";
import type { Transport } from "./transport.ts";

/** A kind of resource as this API server serves it. */
export interface Resource {
  apiVersion: string;
  kind: string;
  plural: string;
  /** Whether `status` is written through `/status` only. */
  statusSubresource: boolean;
}

/** One operation of a JSON patch; `add` replaces what is there. */
export type PatchOperation = { op: "add"; path: string; value: unknown } | { op: "remove"; path: string };

/** What somebody may want to do; `subresource` empty: to the resource itself, `namespace` empty: everywhere. */
export interface Attempt {
  resource: Resource;
  subresource: string;
  verb: string;
  namespace: string;
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

/** Which objects of a resource; `namespace` empty: all namespaces. */
export interface Selection {
  namespace: string;
  labelSelector: string;
}

/** What the API server, or the way to it, answered. */
export class ApiFailure extends Error {
  constructor(
    /** The HTTP status; 0: no answer, and what was asked may have been done all the same. */
    readonly status: number,
    message: string,
    /** `NotFound`, `AlreadyExists`, `Expired`, … */
    readonly reason = "",
    /** The kind of resource that the answer is about, e.g. `namespaces`. */
    readonly about = "",
    readonly retryAfterMs = 0,
  ) {
    super(message);
  }

  /** Whether the same request may succeed soon. */
  get passing(): boolean {
    return this.status === 0 || this.status === 401 || this.status === 429 || this.status >= 500;
  }
}

/** Objects that a page has at most. */
const PAGE = 500;
const MANAGED = "fieldManager=argocd-agent-ha";

export class KubeApi {
  readonly #resources = new Map<string, Promise<Resource[]>>();

  constructor(readonly transport: Transport) {}

  /** How a kind is served. @throws ApiFailure 404 when its CRD is not installed */
  async resource(apiVersion: string, kind: string): Promise<Resource> {
    const found = (await this.#served(apiVersion)).find((candidate) => candidate.kind === kind);
    if (found) return found;
    this.forgetResources();
    throw new ApiFailure(
      404,
      `the API server does not serve ${kind} (${apiVersion}): its CustomResourceDefinition is missing; install Argo CD's`,
      "NotFound",
      "customresourcedefinitions",
    );
  }

  /** Discovery is asked again: a CRD came, went or changed. */
  forgetResources(): void {
    this.#resources.clear();
  }

  /** One page of a list, from `next` on. */
  async list(resource: Resource, selection: Selection, limit: number, next = ""): Promise<Page> {
    const path = `${collection(resource, selection.namespace)}?${
      query({ limit: String(limit), labelSelector: selection.labelSelector, continue: next })
    }`;
    const { items, metadata } = await this.#call<List>(`list ${resource.plural}`, "GET", path);
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
    return this.#object(`patch ${resource.plural}`, "PATCH", path, patch, "application/json-patch+json");
  }

  /** Replaces `status` and nothing else, through its subresource where there is one. */
  writeStatus(resource: Resource, namespace: string, name: string, status: unknown): Promise<StoredObject> {
    const subresource = resource.statusSubresource ? "/status" : "";
    const path = `${collection(resource, namespace)}/${name}${subresource}?${MANAGED}`;
    const patch = [{ op: "add", path: "/status", value: status }];
    return this.#object(`patch ${resource.plural}`, "PATCH", path, patch, "application/json-patch+json");
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
    await this.#call(
      `delete ${resource.plural}`,
      "DELETE",
      `${collection(resource, namespace)}/${name}`,
      options,
    );
  }

  /** Whether we have a right (SelfSubjectAccessReview). */
  async may({ resource: { apiVersion, plural }, subresource, verb, namespace }: Attempt): Promise<boolean> {
    const group = apiVersion.includes("/") ? apiVersion.split("/")[0] : "";
    const { status } = await this.#call<{ status?: { allowed?: boolean } }>(
      "ask for our rights",
      "POST",
      "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: { resourceAttributes: { group, resource: plural, subresource, verb, namespace } },
      },
    );
    return status?.allowed === true;
  }

  /** Creates a namespace; one that exists is left as it is. */
  async createNamespace(name: string, labels: Record<string, string>): Promise<void> {
    const object = { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
    try {
      await this.#call("create namespaces", "POST", `/api/v1/namespaces?${MANAGED}`, object);
    } catch (error) {
      if (!(error instanceof ApiFailure && error.reason === "AlreadyExists")) throw error;
    }
  }

  /** Changes from `resourceVersion` on, until the server ends the watch or the signal aborts. @throws ApiFailure */
  async *watch(
    resource: Resource,
    selection: Selection,
    resourceVersion: string,
    timeoutSeconds: number,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent> {
    const { plural } = resource;
    const path = `${collection(resource, selection.namespace)}?${
      query({
        watch: "1",
        allowWatchBookmarks: "true",
        resourceVersion,
        timeoutSeconds: String(timeoutSeconds),
        labelSelector: selection.labelSelector,
      })
    }`;
    const response = await this.transport.fetch(path, { signal }).catch((error) => {
      throw this.#unanswered(error);
    });
    if (!response.ok) {
      throw failure(`watch ${plural}`, response.status, await response.text(), response.headers);
    }
    const lines = response.body?.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
      .getReader();
    if (!lines) return;
    // The signal alone would not do: Deno 2.9 forgets it for a running body once it has collected garbage.
    const cancel = () => lines.cancel().catch(() => {});
    signal.addEventListener("abort", cancel, { once: true });
    try {
      for (;;) {
        const { value: line, done } = await lines.read();
        if (done || signal.aborted) return;
        const event = JSON.parse(line) as { type: WatchEvent["type"] | "ERROR"; object: ApiObject };
        if (event.type === "ERROR") throw failure(`watch ${plural}`, Number(event.object["code"]), line);
        yield { type: event.type, object: event.object };
      }
    } catch (error) {
      throw this.#unanswered(error);
    } finally {
      signal.removeEventListener("abort", cancel);
      cancel();
    }
  }

  #served(apiVersion: string): Promise<Resource[]> {
    const known = this.#resources.get(apiVersion);
    if (known) return known;
    const asked = this.#call<Discovery>(`look up ${apiVersion}`, "GET", root(apiVersion))
      .then(({ resources }) => {
        const names = new Set(resources.map(({ name }) => name));
        return resources.filter(({ name }) => !name.includes("/")).map(({ name, kind }) => (
          { apiVersion, kind, plural: name, statusSubresource: names.has(`${name}/status`) }
        ));
      })
      .catch((error) => {
        this.#resources.delete(apiVersion);
        if (error instanceof ApiFailure && error.status === 404) return [];
        throw error;
      });
    this.#resources.set(apiVersion, asked);
    return asked;
  }

  /** A request that is answered with an object; who manages which field is of no interest here. */
  async #object(
    action: string,
    method: string,
    path: string,
    body?: unknown,
    contentType?: string,
  ): Promise<StoredObject> {
    const object = await this.#call<StoredObject>(action, method, path, body, contentType);
    delete object.metadata["managedFields"];
    return object;
  }

  async #call<T>(
    action: string,
    method: string,
    path: string,
    body?: unknown,
    contentType?: string,
  ): Promise<T> {
    const answer = await this.transport.send(method, path, body, contentType).catch((error) => {
      throw this.#unanswered(error);
    });
    if (answer.status >= 300) throw failure(action, answer.status, answer.text, answer.headers);
    return JSON.parse(answer.text);
  }

  /** What became of a request that got no answer: the same words whatever was asked, since it is one thing that is wrong. */
  #unanswered(error: unknown): ApiFailure {
    if (error instanceof ApiFailure) return error;
    if (error instanceof StoreError) return new ApiFailure(0, error.message);
    const { name, message, cause } = error as Error;
    const words = name === "TimeoutError" ? message : cause instanceof Error ? cause.message : message;
    return new ApiFailure(0, `no answer from the API server at ${this.transport.server}: ${words}`);
  }
}

interface List {
  items: ApiObject[];
  metadata: { resourceVersion: string; continue?: string };
}

interface Discovery {
  resources: { name: string; kind: string }[];
}

/** The path of a group and version: the core group has none in its own. */
function root(apiVersion: string): string {
  return apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

function collection({ apiVersion, plural }: Resource, namespace: string): string {
  return namespace
    ? `${root(apiVersion)}/namespaces/${namespace}/${plural}`
    : `${root(apiVersion)}/${plural}`;
}

function query(parameters: Record<string, string>): URLSearchParams {
  return new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== ""));
}

/** What an API server's `Status` says. */
function failure(action: string, code: number, body: string, headers?: Headers): ApiFailure {
  let status: { message?: string; reason?: string; details?: { kind?: string; retryAfterSeconds?: number } } =
    {};
  try {
    const parsed = JSON.parse(body);
    status = parsed.object ?? parsed;
  } catch {
    status = { message: body.slice(0, 500) };
  }
  const seconds = Number(headers?.get("retry-after") ?? status.details?.retryAfterSeconds ?? 0);
  const words = (status.message ?? "").slice(0, 2_000) || "no explanation";
  return new ApiFailure(
    code,
    `cannot ${action}: the API server answers ${code}: ${words}`,
    status.reason ?? "",
    status.details?.kind ?? "",
    Number.isFinite(seconds) ? seconds * 1_000 : 0,
  );
}

/** What a caller of the store can do about a failure; `subject` goes before its words. */
export function storeError(failure: ApiFailure, subject = ""): StoreError {
  return new StoreError(codeOf(failure), subject + failure.message, { cause: failure });
}

function codeOf({ status, passing }: ApiFailure): StoreErrorCode {
  if (passing) return "unavailable";
  if (status === 404) return "notFound";
  if (status === 409) return "conflict";
  return status === 403 ? "forbidden" : "invalid";
}
