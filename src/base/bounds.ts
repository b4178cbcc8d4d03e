/**
 * The bounds of an object, checked once where it enters: from an agent, from the peer, from an operator, and from the store, which may
 * have it from elsewhere. Everything behind an entry may therefore be recursive, and takes a time that is known.
 */
import { isShallowJson, measureJson, OutOfBounds, parseJson, pruneJson } from "./json.ts";

/** An object of Argo CD has about 20 levels and, with 5,000 resources in its status, 60,000 values. */
export const BOUNDS = {
  /** Levels of objects and arrays. */
  depth: 500,
  /** Fields of objects and items of arrays. */
  values: 200_000,
  /** Characters of one string or name, as JSON writes it. */
  stringLength: 3_000_000,
  /** Bytes of the whole as JSON: no API server takes more in a request. */
  bytes: 3 * 1024 * 1024,
} as const;

/**
 * Levels that are read of what a store has already. Deeper than the bound, so that an item of a list, which stands three levels deep in an
 * answer, is still found to be beyond it.
 */
const CUT_DEPTH = BOUNDS.depth + 20;
/** A UTF-16 code unit takes at most so many bytes in UTF-8. */
const MAX_BYTES_A_UNIT = 3;

/** A text of so many characters exceeds no bound but that of depth. */
const HARMLESS_LENGTH = Math.min(
  BOUNDS.values,
  BOUNDS.stringLength,
  Math.floor(BOUNDS.bytes / MAX_BYTES_A_UNIT),
);

const encoder = new TextEncoder();

/** The bound that a JSON text exceeds, in words; undefined: none. */
export function boundsProblem(text: string): string | undefined {
  if (text.length <= HARMLESS_LENGTH && isShallowJson(text, BOUNDS.depth)) return undefined;
  const { depth, values, longest } = measureJson(text);
  if (depth > BOUNDS.depth) return `the object is nested deeper than ${BOUNDS.depth} levels`;
  if (values > BOUNDS.values) return `the object has more than ${shown(BOUNDS.values)} fields and items`;
  if (longest > BOUNDS.stringLength) {
    return `a string of the object has more than ${shown(BOUNDS.stringLength)} characters`;
  }
  if (exceedsBytes(text)) return `the object has more than ${shown(BOUNDS.bytes)} bytes`;
  return undefined;
}

/** @throws OutOfBounds where a JSON text exceeds a bound */
export function checkBounds(text: string): void {
  const problem = boundsProblem(text);
  if (problem) throw new OutOfBounds(problem);
}

/** `parseJson` for a text from outside. @throws SyntaxError @throws OutOfBounds */
export function parseForeign(text: string): unknown {
  checkBounds(text);
  return parseJson(text);
}

/**
 * `parseJson` for what a store or an API server has, which cannot be refused any more: what is too deep to be handled is cut off, and
 * the rest is still beyond the bounds. @throws SyntaxError
 */
export function parseStored(text: string): unknown {
  return parseJson(isCut(text) ? pruneJson(text, CUT_DEPTH) : text);
}

/** Whether `parseStored` cuts something off a text. */
export function isCut(text: string): boolean {
  return !isShallowJson(text, CUT_DEPTH) && measureJson(text).depth > CUT_DEPTH;
}

/** The bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

function exceedsBytes(text: string): boolean {
  if (text.length * MAX_BYTES_A_UNIT <= BOUNDS.bytes) return false;
  return text.length > BOUNDS.bytes || byteLength(text) > BOUNDS.bytes;
}

function shown(n: number): string {
  return n.toLocaleString("en-US");
}
