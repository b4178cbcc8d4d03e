/** The fields in which two states of a resource differ, for people to read. Values of Secrets show only as digests. */
import { cloneJson, exactNumber, isExactNumber, keptNumber } from "../../base/json.ts";
import { type ApiObject, isRecord } from "./object.ts";

/** One field; values as JSON, empty where the field is missing. */
export interface FieldDifference {
  path: string;
  here: string;
  peer: string;
}

/** The most differences shown, and the most characters of a value. */
const MAX_FIELDS = 100;
const MAX_VALUE = 200;
const SECRET_FIELDS = ["data", "stringData"];
/** A longer annotation of a Secret is not shown, nor one that contains a value of so many characters. */
const MAX_ANNOTATION = 64;
const MIN_SECRET = 4;

/**
 * An object that may be shown: `hide` replaces a Secret's values, wherever they are. Tools keep whole Secrets in annotations (kubectl's
 * last-applied-configuration is one of several, and some are compressed): of these only short plain text without a value stays.
 */
export function shownForm(object: ApiObject, hide: (value: string) => string): ApiObject {
  if (object.kind !== "Secret") return object;
  const hidden = (value: unknown) => hide(JSON.stringify(value));
  const { annotations } = object.metadata;
  const values = SECRET_FIELDS.flatMap((field) =>
    isRecord(object[field]) ? Object.values(object[field]) : []
  );
  const secrets = values.filter((value) => typeof value === "string").flatMap((
    value,
  ) => [value, plain(value)])
    .filter((value) => value.length >= MIN_SECRET);
  const holds = (text: string) =>
    text.length > MAX_ANNOTATION || /[{}]/.test(text) || secrets.some((secret) => text.includes(secret));
  const shown: ApiObject = { ...object };
  if (isRecord(annotations)) {
    const entries = Object.entries(annotations);
    shown.metadata = {
      ...object.metadata,
      annotations: Object.fromEntries(
        entries.map(([name, text]) => [name, holds(String(text)) ? hidden(text) : text]),
      ),
    };
  }
  for (const field of SECRET_FIELDS) {
    if (object[field] === undefined) continue;
    shown[field] = isRecord(object[field])
      ? Object.fromEntries(Object.entries(object[field]).map(([name, value]) => [name, hidden(value)]))
      : hidden(object[field]);
  }
  return shown;
}

/** A value of `data`, decoded; empty where it is not base64. */
function plain(value: string): string {
  try {
    return atob(value);
  } catch {
    return "";
  }
}

/** The fields that differ, at most 100, values cut at 200 characters; none if either state is missing. */
export function fieldDifferences(
  here: ApiObject | undefined,
  peer: ApiObject | undefined,
): FieldDifference[] {
  if (!here || !peer) return [];
  const found: FieldDifference[] = [];
  for (const pair of differing(comparable(here), comparable(peer))) {
    found.push({ path: pathOf(pair), here: text(pair.here), peer: text(pair.peer) });
    if (found.length === MAX_FIELDS) break;
  }
  return found;
}

/** A field of two states, and the one that it is part of; undefined: it is missing. */
interface Pair {
  here: unknown;
  peer: unknown;
  part: string | number;
  above: Pair | undefined;
}

/** The outermost fields that differ, in their order. Paths are made of those alone that are asked for: all together could be huge. */
function* differing(here: unknown, peer: unknown): Generator<Pair> {
  const open: Pair[] = [{ here, peer, part: "", above: undefined }];
  for (let pair = open.pop(); pair; pair = open.pop()) {
    if (pair.here === pair.peer) continue;
    const parts = partsOf(pair.here, pair.peer);
    if (!parts) yield pair;
    for (const part of parts?.reverse() ?? []) {
      open.push({ here: at(pair.here, part), peer: at(pair.peer, part), part, above: pair });
    }
  }
}

/** The fields or items of both; undefined where they are not two objects or two lists. */
function partsOf(here: unknown, peer: unknown): (string | number)[] | undefined {
  if (Array.isArray(here) && Array.isArray(peer)) {
    return Array.from({ length: Math.max(here.length, peer.length) }, (_, i) => i);
  }
  if (!isRecord(here) || !isRecord(peer)) return undefined;
  return [...new Set([...Object.keys(here), ...Object.keys(peer)])];
}

function at(value: unknown, part: string | number): unknown {
  return Object.hasOwn(value as object, part) ? (value as Record<string | number, unknown>)[part] : undefined;
}

function pathOf(pair: Pair): string {
  const parts: (string | number)[] = [];
  for (let one = pair; one.above; one = one.above) parts.push(one.part);
  return parts.reverse().reduce<string>(extended, "");
}

/** The object with numbers that compare by value: what no double holds is a bigint, or its text where no API server takes it. */
function comparable(object: ApiObject): ApiObject {
  return cloneJson(object, ({ rawJSON }) => {
    const kept = keptNumber(rawJSON);
    const number = exactNumber(kept);
    if (!isExactNumber(number)) return number;
    return /^-?\d+$/.test(kept) ? BigInt(kept) : kept;
  });
}

/** Extends a path in kubectl's JSONPath: `spec.sources[0].path`, `metadata.labels["a.b/c"]`. */
function extended(path: string, part: string | number): string {
  if (typeof part === "number") return `${path}[${part}]`;
  if (!/^[\w-]+$/.test(part)) return `${path}[${JSON.stringify(part)}]`;
  return path === "" ? part : `${path}.${part}`;
}

function text(value: unknown): string {
  if (value === undefined) return "";
  const json = JSON.stringify(value, written);
  return json.length > MAX_VALUE ? `${json.slice(0, MAX_VALUE)}…` : json;
}

function written(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? exactNumber(String(value)) : value;
}
