/** The fields in which two states of a resource differ, for people to read. Values of Secrets show only as digests. */
import microdiff from "microdiff";
import { cloneJson, exactNumber, isExactNumber, keptNumber } from "../../base/json.ts";
import { type ApiObject, isRecord } from "./object.ts";
import { LAST_APPLIED } from "./transform.ts";

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

/** An object that may be shown: `digest` replaces a Secret's values, and what `kubectl apply` noted of them. */
export function shownForm(object: ApiObject, digest: (value: string) => string): ApiObject {
  if (object.kind !== "Secret") return object;
  const shown: ApiObject = { ...object };
  const digested = (value: unknown) => `digest ${digest(JSON.stringify(value))}`;
  const { annotations } = object.metadata;
  if (annotations?.[LAST_APPLIED] !== undefined) {
    const hidden = { ...annotations, [LAST_APPLIED]: digested(annotations[LAST_APPLIED]) };
    shown.metadata = { ...object.metadata, annotations: hidden };
  }
  for (const field of SECRET_FIELDS) {
    const values = object[field];
    if (!isRecord(values)) continue;
    shown[field] = Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, digested(value)]),
    );
  }
  return shown;
}

/** The fields that differ, at most 100, values cut at 200 characters; none if either state is missing. */
export function fieldDifferences(
  here: ApiObject | undefined,
  peer: ApiObject | undefined,
): FieldDifference[] {
  if (!here || !peer) return [];
  return microdiff(comparable(here), comparable(peer)).slice(0, MAX_FIELDS).map((difference) => ({
    path: difference.path.reduce<string>(extended, ""),
    here: difference.type === "CREATE" ? "" : text(difference.oldValue),
    peer: difference.type === "REMOVE" ? "" : text(difference.value),
  }));
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
  const json = JSON.stringify(value, written) ?? "null";
  return json.length > MAX_VALUE ? `${json.slice(0, MAX_VALUE)}…` : json;
}

function written(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? exactNumber(String(value)) : value;
}
