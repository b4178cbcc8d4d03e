/**
 * Whether an object is what its kind's schema says, as an API server would check it. The embedded store has no API server before it.
 * Fields that the schema does not name pass: the other side's release may know them. A fault that the stored object has already passes
 * as long as nothing beside it changes, as with an API server, so that no older release's object is stuck.
 */
import { isExactNumber, sameJson } from "../../base/json.ts";
import { Pattern } from "../../base/pattern.ts";
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
  /** Of a text. */
  words: readonly string[] | undefined;
  minLength: number;
  maxLength: number;
  pattern: Pattern | undefined;
}

/** A fault and where it is; the path is put together on the way out, so that a sound object costs none. */
interface Fault {
  path: string;
  text: string;
}

const SCHEMAS: readonly Schema[] = LINES.trim().split("\n").map(schemaOf);
const BY_KIND = new Map(ROOTS.map(([kind, line]) => [kind, SCHEMAS[line] as Schema]));

/** A date of RFC 3339, as API servers take it. */
const DATE_TIME = /^(\d{4}-\d\d-\d\d)t([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(z|[+-]\d\d:\d\d)$/i;

const IS: Record<string, (value: unknown) => boolean> = {
  object: isRecord,
  array: Array.isArray,
  string: isText,
  "date-time": isText,
  boolean: (value) => typeof value === "boolean",
  number: isNumber,
  integer: isInteger,
  "int-or-string": (value) => isText(value) || isInteger(value),
};

/**
 * The first fault of an object by the schema of its kind; undefined: none. A field that is null is none. `before` is the stored object that
 * it replaces.
 */
export function schemaProblem(object: ApiObject, before?: ApiObject): string | undefined {
  const root = BY_KIND.get(object.kind);
  const known = API_KINDS.find(({ kind }) => kind === object.kind);
  if (!root || known?.apiVersion !== object.apiVersion) {
    const kinds = API_KINDS.map(({ kind, apiVersion }) => `${kind} (${apiVersion})`).join(", ");
    return `${object.kind.slice(0, 64)} (${
      object.apiVersion.slice(0, 64)
    }) is no kind that is kept here; kept are ${kinds}`;
  }
  const fault = faultOf(object, before, root);
  return fault && fault.path + fault.text;
}

/** Goes as deep as the schema does: none of it refers to itself. */
function faultOf(value: unknown, before: unknown, schema: Schema): Fault | undefined {
  const own = ownFault(value, schema);
  if (own) return before !== undefined && sameJson(value, before) ? undefined : own;
  const { fields, others, items } = schema;
  if (Array.isArray(value)) {
    if (items === undefined) return undefined;
    for (let i = 0; i < value.length; i++) {
      const fault = faultOf(value[i], undefined, SCHEMAS[items] as Schema);
      if (fault) return before !== undefined && sameJson(value, before) ? undefined : within(`[${i}]`, fault);
    }
    return undefined;
  }
  if (!isRecord(value) || (fields.size === 0 && others === undefined)) return undefined;
  const old = isRecord(before) ? before : undefined;
  for (const name in value) {
    const line = fields.get(name) ?? others;
    if (line === undefined || isNone(value[name])) continue;
    const was = old && Object.hasOwn(old, name) ? old[name] : undefined;
    const fault = faultOf(value[name], was, SCHEMAS[line] as Schema);
    if (fault) return within(name.slice(0, 64), fault);
  }
  return undefined;
}

/** A fault of the value itself. */
function ownFault(value: unknown, schema: Schema): Fault | undefined {
  const { type, required } = schema;
  if (IS[type]?.(value) === false) {
    return { path: "", text: ` must be of type ${type === "date-time" ? "string" : type}` };
  }
  if (isText(value)) {
    const text = textFault(value, schema);
    return text === undefined ? undefined : { path: "", text };
  }
  if (required.length === 0 || !isRecord(value)) return undefined;
  const missing = required.find((field) => !Object.hasOwn(value, field) || isNone(value[field]));
  return missing === undefined ? undefined : { path: missing, text: " is missing" };
}

function textFault(text: string, { type, words, minLength, maxLength, pattern }: Schema): string | undefined {
  if (type === "date-time" && !isDateTime(text)) return " must be a time such as 2026-01-31T12:00:00Z";
  if (words && !words.includes(text)) return ` must be one of ${words.join(", ")}`;
  if (text.length < minLength) return ` must have at least ${minLength} characters`;
  if (text.length > maxLength && [...text].length > maxLength) {
    return ` must have at most ${maxLength} characters`;
  }
  if (pattern?.test(text) === false) return ` must match ${pattern.source}`;
  return undefined;
}

function within(step: string, { path, text }: Fault): Fault {
  return { path: path === "" || path.startsWith("[") ? step + path : `${step}.${path}`, text };
}

function isNone(value: unknown): boolean {
  return value === undefined || value === null;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isNumber(value: unknown): boolean {
  return typeof value === "number" || isExactNumber(value);
}

function isInteger(value: unknown): boolean {
  return isNumber(value) && Number.isInteger(Number(isExactNumber(value) ? value.rawJSON : value));
}

function isDateTime(text: string): boolean {
  const date = DATE_TIME.exec(text)?.[1];
  // A day that a month does not have becomes one of the next month.
  return date !== undefined && new Date(`${date}T00:00:00Z`).toJSON()?.startsWith(date) === true;
}

function schemaOf(line: string): Schema {
  const [type = "any", ...parts] = line.split(" ");
  const rules = parts.filter((part) => /^[!=<>~]/.test(part));
  const after = (sign: string) =>
    rules.filter((rule) => rule.startsWith(sign)).map((rule) => rule.slice(sign.length));
  const entries = parts.filter((part) => !rules.includes(part)).map((part) => {
    const at = part.lastIndexOf(":");
    return [part.slice(0, at), Number(part.slice(at + 1))] as const;
  });
  const fields = new Map(entries);
  const [others, items] = [fields.get("*"), fields.get("[]")];
  fields.delete("*");
  fields.delete("[]");
  const [pattern] = after("~");
  return {
    type,
    fields,
    others,
    items,
    required: after("!"),
    words: after("=")[0]?.split("|"),
    minLength: Number(after(">=")[0] ?? 0),
    maxLength: Number(after("<=")[0] ?? Infinity),
    pattern: pattern === undefined ? undefined : Pattern.of(pattern),
  };
}
