/**
 * The schemas of an API server's custom kinds, from its OpenAPI document, which every account may read. The document of Argo CD's
 * kinds has megabytes, so that of it only the answers are kept, until its hash changes.
 */
import { type Schema, unknownPart } from "../../domain/resources/field_paths.ts";
import { ApiFailure } from "./api_failure.ts";
import type { RestClient } from "./rest_client.ts";

interface Root {
  paths?: Record<string, { serverRelativeURL?: string }>;
}

interface GroupVersionKind {
  kind?: string;
}

interface Document {
  components?: {
    schemas?: Record<string, Schema & { "x-kubernetes-group-version-kind"?: GroupVersionKind[] }>;
  };
}

export class Schemas {
  #url = "";
  readonly #answers = new Map<string, string>();

  constructor(private readonly rest: RestClient) {}

  /**
   * Of some fields (`Kind spec.x.y`) of kinds of one group and version those that the API server does not know, each once and from its
   * outermost unknown part; undefined where it publishes no schema of them. @throws ApiFailure
   */
  async unknown(apiVersion: string, fields: readonly string[]): Promise<string[] | undefined> {
    if (fields.length === 0) return [];
    const root = await this.#read<Root>("/openapi/v3");
    const url = root?.paths?.[`apis/${apiVersion}`]?.serverRelativeURL;
    if (!url) return undefined;
    if (url !== this.#url) this.#answers.clear();
    this.#url = url;
    const open = fields.filter((field) => !this.#answers.has(field));
    if (open.length > 0) await this.#ask(url, open);
    return [...new Set(fields.map((field) => this.#answers.get(field) ?? "").filter(Boolean))];
  }

  async #ask(url: string, fields: readonly string[]): Promise<void> {
    const document = await this.#read<Document>(url);
    const schemas = Object.values(document?.components?.schemas ?? {});
    for (const field of fields) {
      const [kind = "", path = ""] = field.split(" ");
      const schema = schemas.find((one) =>
        one["x-kubernetes-group-version-kind"]?.some((named) => named.kind === kind)
      );
      const unknown = schema ? unknownPart(schema, path) : "";
      this.#answers.set(field, unknown && `${kind} ${unknown}`);
    }
  }

  /** Undefined where the API server does not publish it, or not to us. */
  async #read<T>(path: string): Promise<T | undefined> {
    try {
      return await this.rest.call<T>("read the OpenAPI document", "GET", path);
    } catch (error) {
      if (error instanceof ApiFailure && (error.status === 403 || error.status === 404)) return undefined;
      throw error;
    }
  }
}
