/**
 * How an API server serves a kind: its plural and whether it has a status subresource. Asked once for each group and version, so no
 * table of ours can disagree with the CustomResourceDefinitions that are installed.
 */
import { ApiFailure } from "./api_failure.ts";
import type { RestClient } from "./rest_client.ts";

/** A kind of resource as this API server serves it. */
export interface Resource {
  apiVersion: string;
  kind: string;
  plural: string;
  /** Whether `status` is written through `/status` only. */
  statusSubresource: boolean;
}

/** An APIResourceList, as far as it is read. */
interface ResourceList {
  resources: { name: string; kind: string }[];
}

export class Discovery {
  readonly #served = new Map<string, Promise<Resource[]>>();

  constructor(private readonly rest: RestClient) {}

  /** How a kind is served. @throws ApiFailure 404 when its CRD is not installed */
  async resource(apiVersion: string, kind: string): Promise<Resource> {
    const found = (await this.#resources(apiVersion)).find((candidate) => candidate.kind === kind);
    if (found) return found;
    this.invalidate();
    throw new ApiFailure(
      404,
      `the API server does not serve ${kind} (${apiVersion}): its CustomResourceDefinition is missing; install Argo CD's`,
      "NotFound",
      "customresourcedefinitions",
    );
  }

  /** Asks the API server at the next look-up: a CRD came, went or changed. */
  invalidate(): void {
    this.#served.clear();
  }

  #resources(apiVersion: string): Promise<Resource[]> {
    const known = this.#served.get(apiVersion);
    if (known) return known;
    const asked = this.#ask(apiVersion).catch((error) => {
      this.#served.delete(apiVersion);
      if (error instanceof ApiFailure && error.status === 404) return [];
      throw error;
    });
    this.#served.set(apiVersion, asked);
    return asked;
  }

  async #ask(apiVersion: string): Promise<Resource[]> {
    const { resources } = await this.rest.call<ResourceList>(
      `look up ${apiVersion}`,
      "GET",
      rootOf(apiVersion),
    );
    const names = new Set(resources.map(({ name }) => name));
    return resources.filter(({ name }) => !name.includes("/")).map(({ name, kind }) => (
      { apiVersion, kind, plural: name, statusSubresource: names.has(`${name}/status`) }
    ));
  }
}

/** The path of a group and version: the core group has none in its own. */
export function rootOf(apiVersion: string): string {
  return apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}
