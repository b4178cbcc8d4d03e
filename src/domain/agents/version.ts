/** The releases of the agent that a principal admits. */

/** `--agent-version-policy`. */
export type VersionPolicy = "exact" | "minor" | "any";

/** Whether an agent of a release may connect to a principal of another. */
export function versionAccepted(agent: string, principal: string, policy: VersionPolicy): boolean {
  if (policy === "any") return true;
  if (policy === "exact") return agent === principal;
  const minor = (version: string) => /^v?(\d+\.\d+)(\.|$)/.exec(version)?.[1] ?? version;
  return minor(agent) === minor(principal);
}
