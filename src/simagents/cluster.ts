/** A simulated agent's own cluster: objects by kind and name, with UIDs and versions as an API server gives them. */
import { keptJson } from "../base/json.ts";
import type { ApiObject } from "../domain/resources/object.ts";

export class SimCluster {
  readonly #objects = new Map<string, ApiObject>();
  #version: number;
  /** Objects deleted and recreated in one step, which a failover must never cause. */
  recreated = 0;
  deleted = 0;
  writes = 0;

  /** @param firstVersion other clusters count from elsewhere */
  constructor(readonly namespace: string, firstVersion = 1) {
    this.#version = firstVersion;
  }

  get(kind: string, name: string): ApiObject | undefined {
    return this.#objects.get(`${kind}/${name}`);
  }

  list(kind?: string): ApiObject[] {
    return [...this.#objects.values()].filter((object) => kind === undefined || object.kind === kind);
  }

  /** Creates or replaces; the object as it is now. */
  put(kind: string, object: ApiObject): ApiObject {
    const before = this.get(kind, object.metadata.name);
    const metadata = {
      ...object.metadata,
      namespace: this.namespace,
      uid: before?.metadata.uid ?? crypto.randomUUID(),
      resourceVersion: String(++this.#version),
    };
    const stored = { ...object, kind, metadata } as ApiObject;
    this.#objects.set(`${kind}/${object.metadata.name}`, stored);
    this.writes++;
    return stored;
  }

  delete(kind: string, name: string): ApiObject | undefined {
    const object = this.get(kind, name);
    if (this.#objects.delete(`${kind}/${name}`)) this.deleted++;
    return object;
  }
}

/** The content of an object that both sides must share, as text to compare. */
export function comparable(object: ApiObject): string {
  const { labels = {} } = object.metadata;
  const spec = { ...object["spec"] as Record<string, unknown> };
  delete spec["destination"];
  return keptJson({ name: object.metadata.name, labels, spec, data: object["data"] ?? null });
}
