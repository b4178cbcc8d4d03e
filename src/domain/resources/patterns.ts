/** Name patterns as Argo CD and the Go principal take them: a name, a glob (`*`, `?`, `[ab]`, `{a,b}`), or `/regex/`. */
import { globToRegExp } from "@std/path/glob-to-regexp";
import { Pattern } from "../../base/pattern.ts";
import { Newest } from "../../base/newest.ts";
import { reasonOf } from "../../base/reason.ts";

/** The longest name pattern: Kubernetes' own names have at most 253 characters. */
const MAX_PATTERN = 512;
/** Patterns that are kept compiled; the one that was used least lately goes first. */
const KEPT = 1_000;
const SPECIAL = /[*?[\]{}\\/]/;

/** Whether a pattern is more than a name, which only itself matches. */
export function isSpecial(pattern: string): boolean {
  return SPECIAL.test(pattern);
}

/** A compiled pattern. */
export interface NamePattern {
  /** As it was written. */
  readonly text: string;
  matches(name: string): boolean;
}

/** Compiles a pattern. @throws Error for one that is malformed or beyond its bounds */
export function patternOf(text: string): NamePattern {
  if (!isSpecial(text)) return { text, matches: (name) => name === text };
  if (text.length > MAX_PATTERN) throw new Error(`the pattern has more than ${MAX_PATTERN} characters`);
  const [, source] = /^\/(.*)\/$/s.exec(text) ?? [];
  const pattern = Pattern.of(source ?? globToRegExp(text, { extended: false, globstar: false }).source);
  return { text, matches: (name) => pattern.test(name) };
}

/** Compiled patterns, and the reasons of those that cannot be. */
const compiled = new Newest<string, NamePattern | string>(KEPT);

function compiledOf(text: string): NamePattern | string {
  let found = compiled.get(text);
  if (found === undefined) {
    try {
      found = patternOf(text);
    } catch (error) {
      found = reasonOf(error);
    }
  }
  compiled.set(text, found);
  return found;
}

/** Whether a name matches a pattern; one that cannot be used matches nothing. */
export function matches(pattern: string, name: string): boolean {
  return matchOf(pattern, name) === true;
}

/** Whether a pattern denies a name; one that cannot be used denies every name. */
export function denies(pattern: string, name: string): boolean {
  return matchOf(pattern, name) !== false;
}

/** Undefined: the pattern cannot be used. */
function matchOf(pattern: string, name: string): boolean | undefined {
  if (!isSpecial(pattern)) return pattern === name;
  // Neither kept nor compiled: a text of megabytes would stay in memory as a key.
  const found = pattern.length > MAX_PATTERN ? "" : compiledOf(pattern);
  return typeof found === "string" ? undefined : found.matches(name);
}
