/**
 * Which fields objects use, and which of them a schema does not know: an API server drops those without a word. A field is a text
 * `Kind spec.sources[].helm.parameters[].name`; `[]` stands for the items of a list, `*` for a key that only a map can have.
 */
import { type ApiObject, isRecord } from "./object.ts";
import { isFreeForm } from "./normal.ts";

/** Deeper than any field of Argo CD's kinds. */
const MAX_LEVELS = 40;
const FIELD_NAME = /^[A-Za-z_][\w-]*$/;
const NOT_OF_THE_SCHEMA = ["apiVersion", "kind", "metadata"];

/** The fields of an object, of each branch the outermost that has no others; none of a core kind, whose schema is fixed. */
export function fieldsOf(object: ApiObject): string[] {
  if (object.apiVersion === "v1") return [];
  const found: string[] = [];
  for (const [name, value] of Object.entries(object)) {
    if (!NOT_OF_THE_SCHEMA.includes(name)) collect(value, `${object.kind} ${segment(name)}`, name, found, 0);
  }
  return found;
}

function collect(value: unknown, path: string, name: string, found: string[], level: number): void {
  const isFree = isFreeForm(name, value);
  const items = Array.isArray(value) && !isFree ? value : undefined;
  const fields = isRecord(value) && !isFree ? Object.entries(value) : [];
  if ((!items?.length && fields.length === 0) || level === MAX_LEVELS) {
    found.push(path);
    return;
  }
  for (const item of items ?? []) collect(item, `${path}[]`, "", found, level + 1);
  for (const [field, below] of fields) collect(below, `${path}.${segment(field)}`, field, found, level + 1);
}

function segment(name: string): string {
  return FIELD_NAME.test(name) ? name : "*";
}

/** A schema of the OpenAPI document, as far as it is read. */
export interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema | boolean;
  "x-kubernetes-preserve-unknown-fields"?: boolean;
}

/** The part of a path (`spec.info[].name`) that the schema does not know, from its beginning; empty: it knows all or keeps anything. */
export function unknownPart(schema: Schema, path: string): string {
  let at: Schema | undefined = schema;
  let walked = "";
  for (const part of path.split(/\.|(?=\[\])/)) {
    walked += part === "[]" || walked === "" ? part : `.${part}`;
    if (at["x-kubernetes-preserve-unknown-fields"]) return "";
    if (part === "[]") at = at.items;
    else if (at.type !== undefined && at.type !== "object") return "";
    else {
      const { additionalProperties }: Schema = at;
      if (additionalProperties === true) return "";
      const below: Schema | undefined = propertyOf(at, part) ?? (additionalProperties || undefined);
      if (!below) return at.type === "object" ? walked : "";
      at = below;
    }
    if (!at) return "";
  }
  return "";
}

function propertyOf({ properties }: Schema, name: string): Schema | undefined {
  return properties && Object.hasOwn(properties, name) ? properties[name] : undefined;
}
