/**
 * JSON whose numbers stay as they were written. A double holds neither 1098765432109876543 nor the form of 1.10, so such a
 * number is kept as its text: the runtime's raw JSON, which `JSON.stringify` prints unchanged. A text without one costs a
 * regular expression more than `JSON.parse`. Digests and comparisons treat two numbers as equal if an API server keeps
 * the same for both (`keptNumber`).
 */

declare global {
  interface JSON {
    rawJSON(text: string): ExactNumber;
    isRawJSON(value: unknown): value is ExactNumber;
  }
}

/** A number that a double would not print again. `structuredClone` breaks it: use `cloneJson`. */
export interface ExactNumber {
  readonly rawJSON: string;
}

/** Levels of objects and arrays that a value may have; an API server takes 10,000, a real Application has 20. */
export const MAX_DEPTH = 1_000;

/** A value is larger than what is taken here; nothing was done with it. */
export class OutOfBounds extends RangeError {}

/** A value is nested deeper than `MAX_DEPTH`. */
export class TooDeep extends OutOfBounds {
  constructor() {
    super(`the object is nested deeper than ${MAX_DEPTH} levels`);
  }
}

/**
 * A number outside of strings, or what looks like one, that a double may not print again: 16 digits, a fraction, an exponent, -0.
 * It is wrong about few strings, and never about a number.
 */
const SUSPECT = /(?:^|[:,[])\s*-?(?:\d{16,}|0(?<=-0)|\d+(?:\.\d+)?[eE][+-]?\d+|\d+\.\d+)\s*(?:[,\]}]|$)/;
const ANY = /^/;
const HASHES = /^#*/;
const INTEGER = /^-?\d+$/;
/** An int64 has at most 19 digits and a sign. */
const INT64_LENGTH = 20;

/** Whether a value is a number that is kept as its text. */
export function isExactNumber(value: unknown): value is ExactNumber {
  return JSON.isRawJSON(value);
}

/** The number of this JSON text: a double where that prints the same. */
export function exactNumber(text: string): number | ExactNumber {
  const number = Number(text);
  return isAsPrinted(text, number) ? number : JSON.rawJSON(text);
}

/** `JSON.parse` with exact numbers. @throws SyntaxError that quotes nothing of the text @throws TooDeep where there are any in too deep a text */
export function parseJson(text: string): unknown {
  try {
    return parsed(text);
  } catch (error) {
    throw error instanceof SyntaxError ? new SyntaxError(unquoted(error.message)) : error;
  }
}

/** The message of `JSON.parse` without the text around the fault, which may be a Secret's. */
function unquoted(message: string): string {
  return message.replace(/(, )?(\.{3})?".*"(\.{3})? is not valid JSON$/s, " in JSON");
}

function parsed(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!SUSPECT.test(text) || !hasExactNumber(text)) return value;
  if (measureJson(text).depth > MAX_DEPTH) throw new TooDeep();
  const mark = "#".repeat(hashes(value) + 1);
  return unmarked(JSON.parse(marked(text, mark)), mark);
}

/**
 * A value as canonical JSON (RFC 8785: keys sorted by UTF-16 code units, no spaces), numbers as they were written. Fields that
 * are undefined are left out. @throws TooDeep @throws TypeError for a number that is not finite
 */
export function canonicalJson(value: unknown): string {
  const text = canonical(value, 0);
  // Any regular expression makes one string of the pieces; as pieces the text would take five times the memory.
  ANY.test(text);
  return text;
}

/** A value as canonical JSON, numbers as an API server keeps them: equal where `sameJson` says so. @throws as `canonicalJson` does */
export function keptJson(value: unknown): string {
  return keptNumbers(canonicalJson(value));
}

/** The same value, sharing nothing with it; `number` may say what becomes of its exact numbers. @throws TooDeep */
export function cloneJson<T>(value: T, number: (number: ExactNumber) => unknown = (same) => same): T {
  return clone(value, number, 0) as T;
}

/** Whether two values are the same to an API server: in any order of keys, a field that is undefined being none. @throws TooDeep */
export function sameJson(a: unknown, b: unknown): boolean {
  return same(a, b, 0);
}

/** A number as an API server keeps it: an int64 unchanged, any other rounded to a double, as JavaScript prints it. */
export function keptNumber(text: string): string {
  if (text.length <= INT64_LENGTH && INTEGER.test(text)) {
    const integer = BigInt(text);
    if (BigInt.asIntN(64, integer) === integer) return String(integer);
  }
  const number = Number(text);
  return Number.isFinite(number) ? String(number) : text;
}

/** A JSON text with each number as an API server keeps it. */
export function keptNumbers(json: string): string {
  if (!SUSPECT.test(json)) return json;
  let kept = "";
  let at = 0;
  for (const [start, end] of numbers(json)) {
    kept += json.slice(at, start) + keptNumber(json.slice(start, end));
    at = end;
  }
  return kept + json.slice(at);
}

/** The size of a JSON text, in what costs time and stack to handle. */
export interface JsonSize {
  /** Levels of objects and arrays. */
  depth: number;
  /** Fields of objects and items of arrays; empty objects and arrays count as one. */
  values: number;
  /** Characters of the longest string or name, as it is written. */
  longest: number;
}

/** Whether a JSON text surely has at most so many levels: it has no more brackets that open. Much cheaper than `measureJson`. */
export function isShallowJson(text: string, depth: number): boolean {
  let left = depth;
  for (const bracket of ["{", "["]) {
    for (let at = text.indexOf(bracket); at >= 0; at = text.indexOf(bracket, at + 1)) {
      if (--left < 0) return false;
    }
  }
  return true;
}

/** Measures a JSON text; never recursive. */
export function measureJson(text: string): JsonSize {
  let [depth, deepest, values, longest] = [0, 0, 0, 0];
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE: {
        const end = endOfString(text, i);
        longest = Math.max(longest, end - i - 1);
        i = end;
        break;
      }
      case COMMA:
        values++;
        break;
      case BRACE:
      case BRACKET:
        values++;
        if (++depth > deepest) deepest = depth;
        break;
      case BRACE_END:
      case BRACKET_END:
        depth--;
    }
  }
  return { depth: deepest, values, longest };
}

/** The JSON text with `null` in place of each object and array that is deeper than `depth` levels. */
export function pruneJson(text: string, depth: number): string {
  let [level, kept, from] = [0, "", 0];
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE:
        i = endOfString(text, i);
        break;
      case BRACE:
      case BRACKET:
        if (++level === depth + 1) kept += text.slice(from, i) + "null";
        break;
      case BRACE_END:
      case BRACKET_END:
        if (level-- === depth + 1) from = i + 1;
    }
  }
  return kept + text.slice(from);
}

const [QUOTE, COMMA, BACKSLASH] = [0x22, 0x2c, 0x5c];
const [ZERO, NINE, POINT, PLUS, MINUS, LOWER_E, UPPER_E] = [0x30, 0x39, 0x2e, 0x2b, 0x2d, 0x65, 0x45];
const [BRACE, BRACE_END, BRACKET, BRACKET_END] = [0x7b, 0x7d, 0x5b, 0x5d];

function isAsPrinted(text: string, number: number): boolean {
  return String(number) === text;
}

function hasExactNumber(text: string): boolean {
  for (const [start, end] of numbers(text)) {
    const number = text.slice(start, end);
    if (!isAsPrinted(number, Number(number))) return true;
  }
  return false;
}

/** The most `#` with which a string of the value begins. */
function hashes(value: unknown): number {
  if (typeof value === "string") return HASHES.exec(value)?.[0].length ?? 0;
  let most = 0;
  if (typeof value === "object" && value !== null) {
    for (const field of Object.values(value)) most = Math.max(most, hashes(field));
  }
  return most;
}

/** The text with each exact number as a string that begins with `mark`. */
function marked(text: string, mark: string): string {
  let result = "";
  let at = 0;
  for (const [start, end] of numbers(text)) {
    const number = text.slice(start, end);
    if (isAsPrinted(number, Number(number))) continue;
    result += `${text.slice(at, start)}"${mark}${number}"`;
    at = end;
  }
  return result + text.slice(at);
}

/** The value with its marked numbers as such, faster than by a reviver. Changes the value. */
function unmarked(value: unknown, mark: string): unknown {
  if (typeof value === "string") {
    return value.startsWith(mark) ? JSON.rawJSON(value.slice(mark.length)) : value;
  }
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Record<string, unknown>;
  for (const key of Object.keys(fields)) {
    const field = unmarked(fields[key], mark);
    // Unlike an assignment, this sets a field of `__proto__` too.
    if (field !== fields[key]) Object.defineProperty(fields, key, { value: field });
  }
  return value;
}

/** Where the numbers of a JSON text stand. */
function* numbers(text: string): Generator<[start: number, end: number]> {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    else if (code === MINUS || isDigit(code)) {
      const start = i++;
      while (isNumberPart(text.charCodeAt(i))) i++;
      yield [start, i];
    }
  }
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

function isNumberPart(code: number): boolean {
  return isDigit(code) || code === POINT || code === PLUS || code === MINUS || code === LOWER_E ||
    code === UPPER_E;
}

/** The index of the quote that ends the string which begins at `start`; the text's length where none does. */
function endOfString(text: string, start: number): number {
  for (let end = start;;) {
    end = text.indexOf('"', end + 1);
    if (end < 0) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
}

function canonical(value: unknown, depth: number): string {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TypeError(`${value} is not a JSON number`);
    return String(value);
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (JSON.isRawJSON(value)) return value.rawJSON;
  if (depth >= MAX_DEPTH) throw new TooDeep();
  let text = "";
  if (Array.isArray(value)) {
    for (const item of value) {
      text += (text === "" ? "" : ",") + (item === undefined ? "null" : canonical(item, depth + 1));
    }
    return `[${text}]`;
  }
  const fields = value as Record<string, unknown>;
  for (const key of sortedKeys(fields)) {
    const field = fields[key];
    if (field === undefined) continue;
    text += `${text === "" ? "" : ","}${JSON.stringify(key)}:${canonical(field, depth + 1)}`;
  }
  return `{${text}}`;
}

/** The names of fields in the order of canonical JSON; most objects have been canonical already. */
function sortedKeys(fields: Record<string, unknown>): string[] {
  const keys = Object.keys(fields);
  return keys.every((key, i) => i === 0 || (keys[i - 1] as string) < key) ? keys : keys.sort();
}

function clone(value: unknown, number: (number: ExactNumber) => unknown, depth: number): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (JSON.isRawJSON(value)) return number(value);
  if (depth >= MAX_DEPTH) throw new TooDeep();
  if (Array.isArray(value)) return value.map((item) => clone(item, number, depth + 1));
  // Unlike an assignment, this makes a field of `__proto__` too.
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [key, clone(field, number, depth + 1)]),
  );
}

function same(a: unknown, b: unknown, depth: number): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || !a || !b || JSON.isRawJSON(a) || JSON.isRawJSON(b)) {
    const [left, right] = [numberText(a), numberText(b)];
    return left !== undefined && right !== undefined && keptNumber(left) === keptNumber(right);
  }
  if (depth >= MAX_DEPTH) throw new TooDeep();
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length &&
      a.every((item, i) => same(item, b[i], depth + 1));
  }
  const one = a as Record<string, unknown>;
  const other = b as Record<string, unknown>;
  let fields = 0;
  for (const key in one) {
    if (one[key] === undefined) continue;
    fields++;
    if (!Object.hasOwn(other, key) || !same(one[key], other[key], depth + 1)) return false;
  }
  for (const key in other) if (other[key] !== undefined) fields--;
  return fields === 0;
}

function numberText(value: unknown): string | undefined {
  if (typeof value === "number") return String(value);
  return JSON.isRawJSON(value) ? value.rawJSON : undefined;
}
