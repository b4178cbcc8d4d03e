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
