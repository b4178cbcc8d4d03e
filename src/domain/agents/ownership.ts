/**
 * Whose a resource is: each one that is adopted from an autonomous agent carries its owner's proved name. A name made of agent and
 * project may be two agents' (`edge` with `a-default`, `edge-a` with `default`); the stamp decides, so the later one is refused.
 */
import { type ApiObject, isRecord, SOURCE_UID } from "../resources/object.ts";
import type { Mode } from "../resources/roster.ts";
import { agentOf, type Scope } from "../resources/scope.ts";

/** The annotation with the owner's name; it is never sent to agents. */
export const OWNER = "argocd-agent.argoproj-labs.io/ha-owner";

/** The autonomous agent that a resource was adopted from; empty: it has no stamp. */
export function ownerOf({ metadata }: ApiObject): string {
  return metadata.annotations?.[OWNER] ?? "";
}

/** Whether a project here is this autonomous agent's, and not another's of a similar name or the principal's own. */
export function ownsProject(agent: string, project: ApiObject): boolean {
  if (!project.metadata.name.startsWith(`${agent}-`)) return false;
  const owner = ownerOf(project);
  if (owner !== "") return owner === agent;
  const spec = isRecord(project["spec"]) ? project["spec"] : {};
  const sources = spec["sourceNamespaces"];
  return Array.isArray(sources) && sources.length === 1 && sources[0] === agent;
}

/**
 * Why an agent may not write or delete what is here; empty: it is its own. What an autonomous agent's older principal stored has no stamp:
 * there the object's first UID must be the one that the agent says. @param uid empty: the agent does not say which object it means
 */
export function notOwned(
  { name, mode }: { name: string; mode: Mode },
  existing: ApiObject,
  uid: string,
  scope: Scope,
): string {
  const what = `${existing.kind} "${existing.metadata.name}"`;
  const owner = ownerOf(existing);
  if (owner !== "" && owner !== name) return `${what} belongs to agent "${owner}"`;
  if (mode === "managed") {
    return existing.kind !== "AppProject" && agentOf(existing, scope) === name
      ? ""
      : `${what} is not this agent's`;
  }
  const placed = existing.kind === "AppProject"
    ? ownsProject(name, existing)
    : existing.metadata.namespace === name;
  if (!placed) return `${what} is not this agent's`;
  if (owner === name) return "";
  const source = existing.metadata.annotations?.[SOURCE_UID];
  const same = uid === "" ? !scope.destinationMapping : uid === source;
  return source !== undefined && same
    ? ""
    : `${what} was made on the principal's side and is not this agent's`;
}
