/**
 * AppProjects between a principal and its agents (the Go principal's rules): which managed agent gets which project and in which form, and
 * what an autonomous agent's project is called here.
 */
import { type ApiObject, isRecord } from "../resources/object.ts";
import { denies, isSpecial, matches } from "../resources/patterns.ts";

/** The fields of a project that decide which agents get it. */
export interface ProjectRule {
  destinations: Destination[];
  sourceNamespaces: string[];
}

interface Destination {
  name: string;
  server: string;
}

const IN_CLUSTER = { name: "in-cluster", server: "https://kubernetes.default.svc" };
/** The longest name of a Kubernetes object. */
const MAX_NAME = 253;

/** Globs and regular expressions that one project may have: each is asked for each agent. */
const MAX_PATTERNS = 200;

/** Reads the rule of a project; a malformed one, and one of too many patterns, matches no agent. */
export function projectRule(project: ApiObject): ProjectRule {
  const rule = wholeRule(project);
  const texts = [...rule.destinations.map(agentPattern), ...rule.sourceNamespaces];
  return texts.filter(isSpecial).length > MAX_PATTERNS ? { destinations: [], sourceNamespaces: [] } : rule;
}

function wholeRule(project: ApiObject): ProjectRule {
  const spec = isRecord(project["spec"]) ? project["spec"] : {};
  const { sourceNamespaces } = spec;
  return {
    destinations: records(spec["destinations"]).map(({ name, server }) => ({
      name: text(name),
      server: text(server),
    })),
    sourceNamespaces: Array.isArray(sourceNamespaces) ? sourceNamespaces.map(String) : [],
  };
}

/** Whether a project is for an agent: no destination denies it, one allows it, and its namespace is a source of the project. */
export function projectMatches(rule: ProjectRule, agent: string, destinationMapping: boolean): boolean {
  const denied = rule.destinations.some(({ name }) => name.startsWith("!") && denies(name.slice(1), agent));
  if (denied || !rule.destinations.some((destination) => allows(destination, agent))) return false;
  return destinationMapping || rule.sourceNamespaces.some((pattern) => matches(pattern, agent));
}

function allows({ name, server }: Destination, agent: string): boolean {
  if (name === "" && server === "*") return true;
  const pattern = agentPattern({ name, server });
  return pattern !== "" && !name.startsWith("!") && matches(pattern, agent);
}

/** The pattern of agents' names in a destination: its name, or a parameter of its server's address; empty: none. */
function agentPattern({ name, server }: Destination): string {
  if (name !== "" || !server.includes("agentName=")) return name;
  return URL.parse(server)?.searchParams.get("agentName") ?? "";
}

/** The project as a managed agent gets it: its own destinations, which are in its cluster, and no roles. */
export function projectFor(project: ApiObject, agent: string, destinationMapping: boolean): ApiObject {
  const { roles: _, sourceNamespaces, ...spec } = isRecord(project["spec"]) ? project["spec"] : {};
  const destinations = records(spec["destinations"])
    .filter(({ name, server }) => allows({ name: text(name), server: text(server) }, agent))
    .map((destination) => ({ ...destination, ...IN_CLUSTER }));
  const kept = destinationMapping && sourceNamespaces !== undefined ? { sourceNamespaces } : {};
  return { ...project, spec: { ...spec, ...kept, destinations } };
}

/** The name of an autonomous agent's project here. @throws Error if it is no valid name */
export function prefixed(agent: string, name: string): string {
  const full = `${agent}-${name}`;
  if (full.length > MAX_NAME) {
    throw new Error(`"${full.slice(0, 64)}…" is longer than ${MAX_NAME} characters`);
  }
  return full;
}

/** An autonomous agent's name for what is called `name` here. */
export function unprefixed(agent: string, name: string): string {
  return name.startsWith(`${agent}-`) ? name.slice(agent.length + 1) : name;
}

/** A principal's copy of an autonomous agent's resource as the agent has it: with its own names of projects. */
export function asAtAgent(object: ApiObject, agent: string): ApiObject {
  const { kind, metadata, spec } = object as ApiObject & { spec?: unknown };
  if (kind === "AppProject") {
    return { ...object, metadata: { ...metadata, name: unprefixed(agent, metadata.name) } };
  }
  if (kind !== "Application" || !isRecord(spec) || typeof spec["project"] !== "string") return object;
  return { ...object, spec: { ...spec, project: unprefixed(agent, spec["project"]) } } as ApiObject;
}

/** An autonomous agent's project as it is kept here: for this agent alone. @throws Error when its name is too long */
export function adoptProject(project: ApiObject, agent: string): ApiObject["spec"] {
  const spec = isRecord(project["spec"]) ? project["spec"] : {};
  const { name } = project.metadata;
  const roles = records(spec["roles"]).map((role) => ({
    ...role,
    ...(Array.isArray(role["policies"])
      ? {
        policies: role["policies"].map(String).filter((line) => isWithin(line, text(role["name"]), name))
          .map((line) => adoptPolicy(line, text(role["name"]), name, agent)),
      }
      : {}),
  }));
  return {
    ...spec,
    sourceNamespaces: [agent],
    destinations: records(spec["destinations"]).map((destination) => ({
      ...destination,
      name: agent,
      server: "*",
    })),
    ...(spec["roles"] === undefined ? {} : { roles }),
  };
}

/** Policy lines of an agent's project that speak of more than that project: `adoptProject` leaves them out. */
export function refusedPolicies({ metadata: { name }, spec }: ApiObject): string[] {
  return records(isRecord(spec) ? spec["roles"] : []).flatMap((role) =>
    (Array.isArray(role["policies"]) ? role["policies"] : []).map(String).filter((line) =>
      !isWithin(line, text(role["name"]), name)
    )
  );
}

/** Resources of Argo CD's RBAC that belong to a project. */
const PROJECT_RESOURCES = ["applications", "applicationsets", "logs", "exec"];

/** Fields of a policy line, without the white space around them. */
const fieldsOf = (line: string) => line.split(",").map((field) => field.trim());

/**
 * Whether a line grants nothing outside the project `name`: it gives no role to anybody, is of no role of Argo CD's own, and its object
 * is in the project. Argo CD lets a project's role act in that project only, whatever its line says. A line that Argo CD would read
 * otherwise than here (quotes, several lines in one) is refused.
 */
function isWithin(line: string, role: string, name: string): boolean {
  if (/["\r\n]/.test(line)) return false;
  if (line.trim() === "" || line.trimStart().startsWith("#")) return true;
  const fields = fieldsOf(line);
  const [p, subject = "", resource = "", , object = ""] = fields;
  if (fields.length !== 6 || p !== "p" || subject.startsWith("role:") || subject === "*") return false;
  if (object.split("/")[0] === name || resource === "extensions") return true;
  return subject === `proj:${name}:${role}` && object === "*" && PROJECT_RESOURCES.includes(resource);
}

/**
 * One policy line of a role, `p, proj:PROJECT:ROLE, RESOURCE, ACTION, PROJECT/NAME, EFFECT`, for the project's name here. Lines that do
 * not speak of this project and this role stay as they are, and so does every field's white space.
 */
function adoptPolicy(line: string, role: string, name: string, agent: string): string {
  const fields = line.split(",");
  const [p, subject, resource = "", , object = ""] = fieldsOf(line);
  if (fields.length !== 6 || p !== "p" || !PROJECT_RESOURCES.includes(resource)) return line;
  if (subject !== `proj:${name}:${role}`) return line;
  const here = prefixed(agent, name);
  const [project, application, ...rest] = object.split("/");
  const qualified = application !== undefined && rest.length === 0;
  if (qualified && project !== name) return line;
  fields[1] = fields[1]?.replace(subject, () => `proj:${here}:${role}`) ?? "";
  if (qualified) fields[4] = ` ${here}/${agent}/${application}`;
  return fields.join(",");
}

function records(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
