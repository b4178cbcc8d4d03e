/**
 * Writes `src/domain/resources/schema_table.ts` from Argo CD's CustomResourceDefinitions: `deno run -A scripts/schemas.ts FOLDER`. Of
 * each schema everything is taken that an API server refuses an object for; parts that are alike are written once, so that megabytes
 * become a page.
 */
import { parse } from "yaml";

interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema | boolean;
  required?: string[];
  format?: string;
  enum?: string[];
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  "x-kubernetes-int-or-string"?: boolean;
}

interface Definition {
  spec: {
    names: { kind: string };
    versions: { storage: boolean; schema: { openAPIV3Schema: Schema } }[];
  };
}

/** The rest of a schema, which refuses nothing, or which the type and the fields say already. */
const KNOWN = new Set([
  "type",
  "format",
  "properties",
  "items",
  "additionalProperties",
  "description",
  "anyOf",
  "default",
  "x-kubernetes-int-or-string",
  "x-kubernetes-preserve-unknown-fields",
  "x-kubernetes-list-type",
  "x-kubernetes-map-type",
]);
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

/** The metadata, which is checked for every kind alike, is left out. */
function top({ properties = {}, ...schema }: Schema): Schema {
  const { metadata: _, apiVersion: __, kind: ___, ...own } = properties;
  const required = (schema.required ?? []).filter((field) => field !== "metadata");
  return { ...schema, required, properties: own };
}

/** The line of a schema, after the lines of what it consists of; its number. */
function write(schema: Schema, lines: Map<string, number>): number {
  const parts = Object.entries(schema.properties ?? {}).sort(([a], [b]) => a < b ? -1 : 1)
    .map(([name, one]) => `${name}:${write(one, lines)}`);
  if (schema.items) parts.push(`[]:${write(schema.items, lines)}`);
  if (typeof schema.additionalProperties === "object") {
    parts.push(`*:${write(schema.additionalProperties, lines)}`);
  }
  const line = [typeOf(schema), ...parts, ...rules(schema)].join(" ");
  if (/\s{2}|\n/.test(line)) throw new Error(`a rule of "${line}" has a space`);
  const number = lines.get(line) ?? lines.size;
  lines.set(line, number);
  return number;
}

function typeOf({ type = "any", format, ...schema }: Schema): string {
  if (schema["x-kubernetes-int-or-string"]) return "int-or-string";
  return format === "date-time" ? format : type;
}

function rules({ required = [], enum: words, minLength, maxLength, pattern, ...rest }: Schema): string[] {
  const unknown = Object.keys(rest).filter((rule) => !KNOWN.has(rule));
  if (unknown.length > 0) throw new Error(`no rule of ours: ${unknown.join(", ")}`);
  return [
    ...required.map((name) => `!${name}`).sort(),
    ...(words ? [`=${words.join("|")}`] : []),
    ...(minLength === undefined ? [] : [`>=${minLength}`]),
    ...(maxLength === undefined ? [] : [`<=${maxLength}`]),
    ...(pattern === undefined ? [] : [`~${pattern}`]),
  ];
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
 * The schemas of the replicated kinds, written by scripts/schemas.ts from Argo CD's CustomResourceDefinitions. A line is a schema: its
 * type, its fields with the line of each (\`[]\` items, \`*\` any other field), the fields that are required (\`!\`), and for a text its
 * words (\`=\`), its length (\`>=\`, \`<=\`) and its pattern (\`~\`).
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
