/**
 * The one escaping of text that others wrote, at the edge of logs and terminals: no control character, no formatting one that turns or
 * hides what stands beside it (bidirectional, zero width), no line of its own. As in JSON, so that escaped JSON stays the same JSON.
 */

/** C0, C1, DEL; bidirectional and other invisible formatting; separators of lines; halves of surrogate pairs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const SHORT = new Map([["\n", "\\n"], ["\r", "\\r"], ["\t", "\\t"]]);

/** Text on one line. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped);
}

/** Text of several lines: its line feeds are its own. */
export function printableLines(text: string): string {
  return text.replace(UNPRINTABLE, (found) => found === "\n" ? found : escaped(found));
}

/** Whether it contains what `printable` escapes. */
export function isPrintable(text: string): boolean {
  return text.search(UNPRINTABLE) === -1;
}

/** A message from elsewhere with every text in it on one line; bytes stay as they are, and so does its class, which has the fields at zero. */
export function printableMessage<T>(value: T): T {
  if (typeof value === "string") return printable(value) as T;
  if (Array.isArray(value)) return value.map(printableMessage) as T;
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  const fields = Object.entries(value).map(([name, field]) => [printable(name), printableMessage(field)]);
  return Object.setPrototypeOf(Object.fromEntries(fields), Object.getPrototypeOf(value)) as T;
}

function escaped(found: string): string {
  const short = SHORT.get(found);
  if (short) return short;
  return Array.from(
    { length: found.length },
    (_, i) => `\\u${found.charCodeAt(i).toString(16).padStart(4, "0")}`,
  ).join("");
}
