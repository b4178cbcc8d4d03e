/** Name patterns as Argo CD and the Go principal take them: a name, a glob (`*`, `?`, `[ab]`, `{a,b}`), or `/regex/`. */
import { globToRegExp } from "@std/path/glob-to-regexp";

/** The pattern as a regular expression. @throws Error for a malformed `/regex/` */
export function patternOf(text: string): RegExp {
  const [, source] = /^\/(.*)\/$/s.exec(text) ?? [];
  return source === undefined ? globToRegExp(text, { extended: true, globstar: false }) : new RegExp(source);
}

/** Whether a name matches a pattern; a malformed pattern matches nothing. */
export function matches(pattern: string, name: string): boolean {
  try {
    return patternOf(pattern).test(name);
  } catch {
    return false;
  }
}
