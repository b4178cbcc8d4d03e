/** One flag of `principal`, and how the tables of flags write it. */

export type FlagType = "string" | "bool" | "int" | "duration" | "list";

/** A flag: its default is as one would type it. */
export interface Flag {
  name: string;
  /** Suffix of ARGOCD_PRINCIPAL_, or the whole name in `envWhole`. */
  env?: string;
  envWhole?: string;
  type: FlagType;
  default: string;
  help: string;
  /** A flag of the Go principal that is accepted and not implemented yet. */
  later?: true;
}

const ENV_PREFIX = "ARGOCD_PRINCIPAL_";

/** A flag that the Go principal has too. */
export const flag = (name: string, type: FlagType, value: string, help: string, env?: string): Flag => ({
  name,
  type,
  default: value,
  help,
  env: env ?? name.toUpperCase().replaceAll("-", "_"),
});

/** A flag of ours, which the Go principal does not have. */
export const ours = flag;

/** A flag of the Go principal that has no effect yet. */
export const later = (name: string, type: FlagType, value: string, env?: string): Flag => ({
  ...flag(name, type, value, "not served yet", env),
  later: true,
});

/** The environment variable of a flag. */
export function envOf(flag: Flag): string {
  return flag.envWhole ?? ENV_PREFIX + flag.env;
}
