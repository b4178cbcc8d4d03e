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

/** A fault and where it is; the path is put together on the way out, so that a sound object costs none. */
interface Fault {
  path: string;
  text: string;
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
  const fault = faultOf(object, root);
  return fault && fault.path + fault.text;
}

/** Goes as deep as the schema does: none of it refers to itself. */
function faultOf(value: unknown, { type, fields, others, items, required }: Schema): Fault | undefined {
  if (IS[type]?.(value) === false) return { path: "", text: ` must be of type ${type}` };
  if (Array.isArray(value)) {
    if (items === undefined) return undefined;
    for (let i = 0; i < value.length; i++) {
      const fault = faultOf(value[i], SCHEMAS[items] as Schema);
      if (fault) return within(`[${i}]`, fault);
    }
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  const missing = required.find((field) => !Object.hasOwn(value, field) || isNone(value[field]));
  if (missing !== undefined) return { path: missing, text: " is missing" };
  if (fields.size === 0 && others === undefined) return undefined;
  for (const name in value) {
    const line = fields.get(name) ?? others;
    if (line === undefined || isNone(value[name])) continue;
    const fault = faultOf(value[name], SCHEMAS[line] as Schema);
    if (fault) return within(name.slice(0, 64), fault);
  }
  return undefined;
}

function within(step: string, { path, text }: Fault): Fault {
  return { path: path === "" || path.startsWith("[") ? step + path : `${step}.${path}`, text };
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
