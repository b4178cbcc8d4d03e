/**
 * Whether an object is what its kind's schema says, as an API server would check it: types and required fields. The embedded store has no
 * API server before it. Fields that the schema does not name pass: the other side's release may know them.
 */
import { isExactNumber } from "../../base/json.ts";
import { API_KINDS } from "./kinds.ts";
import { type ApiObject, isRecord } from "./object.ts";
import { LINES, ROOTS } from "./schema_table.ts";

interface Schema {
  type: string;
  fields: ReadonlyMap<string, number>;
  /** Of any other field. */
  others: number | undefined;
  items: number | undefined;
  required: readonly string[];
}

/** A value that is still to be checked. */
interface Open {
  value: unknown;
  schema: Schema;
  path: string;
}

const SCHEMAS: readonly Schema[] = LINES.trim().split("\n").map(schemaOf);
const BY_KIND = new Map(ROOTS.map(([kind, line]) => [kind, SCHEMAS[line] as Schema]));

const IS: Record<string, (value: unknown) => boolean> = {
  object: isRecord,
  array: Array.isArray,
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  number: isNumber,
  integer: (value) =>
    isNumber(value) && Number.isInteger(Number(isExactNumber(value) ? value.rawJSON : value)),
};

/** The first fault of an object by the schema of its kind; undefined: none. A field that is null is none. */
export function schemaProblem(object: ApiObject): string | undefined {
  const root = BY_KIND.get(object.kind);
  const known = API_KINDS.find(({ kind }) => kind === object.kind);
  if (!root || known?.apiVersion !== object.apiVersion) {
    const kinds = API_KINDS.map(({ kind, apiVersion }) => `${kind} (${apiVersion})`).join(", ");
    return `${object.kind.slice(0, 64)} (${
      object.apiVersion.slice(0, 64)
    }) is no kind that is kept here; kept are ${kinds}`;
  }
  const open: Open[] = [{ value: object, schema: root, path: "" }];
  for (let next = open.pop(); next; next = open.pop()) {
    const problem = fault(next) ?? descend(next, open);
    if (problem) return problem;
  }
  return undefined;
}

function fault({ value, schema: { type, required }, path }: Open): string | undefined {
  if (IS[type]?.(value) === false) return `${path} must be of type ${type}`;
  if (required.length === 0 || !isRecord(value)) return undefined;
  const missing = required.find((field) => !Object.hasOwn(value, field) || isNone(value[field]));
  return missing && `${path === "" ? "" : `${path}.`}${missing} is missing`;
}

function descend({ value, schema: { fields, others, items }, path }: Open, open: Open[]): undefined {
  if (Array.isArray(value)) {
    if (items === undefined) return;
    value.forEach((item, i) =>
      open.push({ value: item, schema: SCHEMAS[items] as Schema, path: `${path}[${i}]` })
    );
    return;
  }
  if (!isRecord(value) || (fields.size === 0 && others === undefined)) return;
  for (const [name, field] of Object.entries(value)) {
    const line = fields.get(name) ?? others;
    if (line === undefined || isNone(field)) continue;
    open.push({
      value: field,
      schema: SCHEMAS[line] as Schema,
      path: path === "" ? name : `${path}.${name.slice(0, 64)}`,
    });
  }
}

function isNone(value: unknown): boolean {
  return value === undefined || value === null;
}

function isNumber(value: unknown): boolean {
  return typeof value === "number" || isExactNumber(value);
}

function schemaOf(line: string): Schema {
  const [type = "any", ...parts] = line.split(" ");
  const entries = parts.filter((part) => !part.startsWith("!")).map((part) => {
    const at = part.lastIndexOf(":");
    return [part.slice(0, at), Number(part.slice(at + 1))] as const;
  });
  const fields = new Map(entries);
  const [others, items] = [fields.get("*"), fields.get("[]")];
  fields.delete("*");
  fields.delete("[]");
  const required = parts.filter((part) => part.startsWith("!")).map((part) => part.slice(1));
  return { type, fields, others, items, required };
}
