/**
 * Writes `src/domain/resources/schema_table.ts` from Argo CD's CustomResourceDefinitions: `deno run -A scripts/schemas.ts FOLDER`. Of
 * each schema the types and required fields are taken; parts that are alike are written once, so that megabytes become a page.
 */
import { parse } from "yaml";

interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema | boolean;
  required?: string[];
  "x-kubernetes-int-or-string"?: boolean;
}

interface Definition {
  spec: {
    names: { kind: string };
    versions: { storage: boolean; schema: { openAPIV3Schema: Schema } }[];
  };
}

const OUTPUT = new URL("../src/domain/resources/schema_table.ts", import.meta.url);
const text = { type: "string" };
const texts = { type: "object", additionalProperties: text };

/** The core kinds that are replicated. */
const CORE: [string, Schema][] = [
  ["ConfigMap", {
    type: "object",
    properties: { data: texts, binaryData: texts, immutable: { type: "boolean" } },
  }],
  ["Secret", {
    type: "object",
    properties: { data: texts, stringData: texts, type: text, immutable: { type: "boolean" } },
  }],
];

/** Of an object's own part the metadata is checked for every kind, and the status of another release may lack what this one requires. */
function top({ properties = {}, ...schema }: Schema): Schema {
  const { metadata: _, apiVersion: __, kind: ___, status, ...rest } = properties;
  const required = (schema.required ?? []).filter((field) => field !== "metadata");
  const own = Object.entries(rest).map(([name, one]) => [name, lenient(one)]);
  return {
    ...schema,
    required,
    properties: Object.fromEntries([...own, ...(status ? [["status", lenient(status)]] : [])]),
  };
}

function lenient({ required: _, properties, items, ...schema }: Schema): Schema {
  return {
    ...schema,
    ...(items ? { items: lenient(items) } : {}),
    ...(properties
      ? {
        properties: Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, lenient(one)])),
      }
      : {}),
  };
}

/** The line of a schema, after the lines of what it consists of; its number. */
function write(schema: Schema, lines: Map<string, number>): number {
  const type = schema["x-kubernetes-int-or-string"] ? "any" : schema.type ?? "any";
  const parts = Object.entries(schema.properties ?? {}).sort(([a], [b]) => a < b ? -1 : 1)
    .map(([name, one]) => `${name}:${write(one, lines)}`);
  if (schema.items) parts.push(`[]:${write(schema.items, lines)}`);
  if (typeof schema.additionalProperties === "object") {
    parts.push(`*:${write(schema.additionalProperties, lines)}`);
  }
  const required = (schema.required ?? []).map((name) => `!${name}`).sort();
  const line = [type, ...parts, ...required].join(" ");
  const number = lines.get(line) ?? lines.size;
  lines.set(line, number);
  return number;
}

const [folder] = Deno.args;
if (!folder) throw new Error("usage: deno run -A scripts/schemas.ts FOLDER");
const definitions = [...Deno.readDirSync(folder)].map(({ name }) => name).sort()
  .map((name) => parse(Deno.readTextFileSync(`${folder}/${name}`)) as Definition);
const kinds: [string, Schema][] = definitions.map(({ spec }) => [
  spec.names.kind,
  top(spec.versions.find(({ storage }) => storage)!.schema.openAPIV3Schema),
]);
const lines = new Map<string, number>();
const roots = [...kinds, ...CORE].map(([kind, schema]) => `  ["${kind}", ${write(schema, lines)}],`);
Deno.writeTextFileSync(
  OUTPUT,
  `/**
 * Types and required fields of the replicated kinds, written by scripts/schemas.ts from Argo CD's CustomResourceDefinitions. A line is a
 * schema: its type, its fields with the line of each (\`[]\` items, \`*\` any other field), and the fields that are required.
 */

/** The line of each kind, from 0. */
export const ROOTS: readonly (readonly [kind: string, line: number])[] = [
${roots.join("\n")}
];

export const LINES = \`
${[...lines.keys()].join("\n")}
\`;
`,
);
console.log(`${lines.size} schemas of ${roots.length} kinds`);
