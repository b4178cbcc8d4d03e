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

/** The environment variable of a flag. */
export function envOf(flag: Flag): string {
  return flag.envWhole ?? ENV_PREFIX + flag.env;
}
