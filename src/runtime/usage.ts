/** What every part of the settings is made from, and how a mistake in it is told. */

/** A mistake of whoever typed the command; nothing was started. Exit code 2. */
export class UsageError extends Error {}

/** The value of a flag: as typed, from the environment, or its default. */
export type Value = (name: string) => string;
