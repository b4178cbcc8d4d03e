/** Objects of a kind, each with one field that is not as the definition of the kind says, and what must say so: every reader of schemas. */
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Random } from "../support/random.ts";

interface Schema {
  type?: string;
  format?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema | boolean;
  required?: string[];
  enum?: string[];
}

/** The parts of a CustomResourceDefinition that matter here. */
export interface Definition {
  spec: {
    names: { kind: string; plural: string };
    versions: { schema: { openAPIV3Schema: Schema }; subresources?: { status?: unknown } }[];
  };
}

/** An object of a definition's kind, and what was done to the full one. */
export interface Variant {
  object: ApiObject;
  change: string;
}

/** The share of the optional fields that a variant has. */
const SHARE = 0.4;
const A_TIME = "2026-01-31T12:00:00Z";
const VALUES: readonly unknown[] = [
  null,
  "",
  "text",
  ".",
  "../",
  "x".repeat(300),
  0,
  1.5,
  1e3,
  true,
  [],
  [null],
  ["text"],
  {},
  { any: "thing" },
  { any: null },
  A_TIME,
  "2026-02-30T12:00:00.5+01:00",
  "2026-01-31 12:00:00Z",
  "2026-01-31T24:00:00Z",
  undefined,
];

/** An object of a definition's kind with every field, and so many with some of the fields and one of them changed. */
export function variants(definition: Definition, random: Random, count: number): Variant[] {
  const { names: { kind }, versions: [version] } = definition.spec;
  // The status of a subresource is not looked at in a write of the object.
  const { status, ...rest } = version?.schema.openAPIV3Schema.properties ?? {};
  const properties = version?.subresources?.status || !status ? rest : { ...rest, status };
  const made = (has: (field: string, required: boolean) => boolean) => ({
    ...valueOf({ ...version?.schema.openAPIV3Schema, properties }, has) as Record<string, unknown>,
    apiVersion: "argoproj.io/v1alpha1",
    kind,
    metadata: { name: "a" },
  });
  const changed = Array.from({ length: count }, () => {
    const object = made((_, required) => required || random.chance(SHARE));
    const path = random.pick(placesOf(object));
    const picked = random.pick(VALUES);
    // An API server takes a list where a time belongs; we do not.
    const value = Array.isArray(picked) && at(object, path) === A_TIME ? "" : picked;
    set(object, path, value);
    return { object, change: `${path.join(".")} = ${JSON.stringify(value)}` };
  });
  return [{ object: made(() => true), change: "nothing" }, ...changed];
}

/** A value with those fields that a schema names and `has` wants. */
function valueOf(
  { type, format, enum: words, ...schema }: Schema,
  has: (field: string, required: boolean) => boolean,
): unknown {
  if (words) return words[0];
  switch (type) {
    case "object": {
      const named = Object.entries(schema.properties ?? {})
        .filter(([name]) => has(name, schema.required?.includes(name) === true))
        .map(([name, one]) => [name, valueOf(one, has)]);
      const { additionalProperties: others } = schema;
      if (typeof others === "object") named.push(["other", valueOf(others, has)]);
      return Object.fromEntries(named);
    }
    case "array":
      return schema.items ? [valueOf(schema.items, has)] : [];
    case "integer":
    case "number":
      return 1;
    case "boolean":
      return true;
    case "string":
      return format === "date-time" ? A_TIME : "text";
    default:
      return 1;
  }
}

type Path = readonly (string | number)[];

function placesOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [];
  const fields = Array.isArray(value) ? value.map((item, i) => [i, item] as const) : Object.entries(value);
  return fields.flatMap(([name, field]) => {
    if (path.length === 0 && ["apiVersion", "kind", "metadata"].includes(String(name))) return [];
    return [[...path, name], ...placesOf(field, [...path, name])];
  });
}

function at(object: ApiObject, path: Path): unknown {
  return path.reduce<unknown>((value, name) => (value as Record<string | number, unknown>)[name], object);
}

function set(object: ApiObject, path: Path, value: unknown): void {
  const parent = at(object, path.slice(0, -1)) as Record<string | number, unknown>;
  const last = path.at(-1) ?? "";
  if (value === undefined && !Array.isArray(parent)) delete parent[last];
  else parent[last] = value ?? null;
}
