/** YAML as commands print it: beside output.ts, so that commands which print none do not load the library. */
import { stringify } from "yaml";

/** The value as YAML text without a final newline; long strings stay on one line. */
export function yaml(value: unknown): string {
  return stringify(value, { lineWidth: 0 }).trimEnd();
}
