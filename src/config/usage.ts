/** The shared parts of parsing settings, and the error for a mistake in them. */

/** A mistake on the command line or in the configuration; nothing was started. Exit code 2. */
export class UsageError extends Error {}

/** The value of a flag: as typed, from the environment, or its default. */
export type Value = (name: string) => string;

/** A boolean flag that was checked earlier. */
export function boolOf(value: Value, name: string): boolean {
  return /^(true|1|t)$/i.test(value(name));
}

/** The parts of a comma-separated value; commas within braces belong to a glob. */
export function listOf(value: Value, name: string): string[] {
  return value(name).split(/,(?![^{]*\})/).map((part) => part.trim()).filter(Boolean);
}

/** One of some values. @throws UsageError */
export function oneOf<T extends string>(value: Value, name: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value(name));
  if (found) return found;
  throw new UsageError(`--${name} "${value(name)}": must be one of ${allowed.join(", ")}`);
}

/** A port, or 0. @throws UsageError */
export function portOf(value: Value, name: string, max = 65_535): number {
  const number = Number(value(name));
  if (number > max) throw new UsageError(`--${name} "${value(name)}": must be at most ${max}`);
  return number;
}

/** The files of a certificate and its key, both or neither. @throws UsageError */
export function certificateOf(
  value: Value,
  certFlag: string,
  keyFlag: string,
): { cert: string; key: string } {
  const [cert, key] = [value(certFlag), value(keyFlag)];
  if ((cert === "") === (key === "")) return { cert, key };
  throw new UsageError(`--${certFlag} and --${keyFlag} belong together: give both`);
}
