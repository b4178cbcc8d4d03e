/**
 * References: an Application or ApplicationSet takes for granted its project, the clusters that it deploys to or generates from, and its
 * repositories. A reference is a text, so that many objects share one. What a template computes is not known here, and no
 * reference.
 */
import { canonicalJson } from "../../base/json.ts";
import { type ApiObject, isRecord } from "./object.ts";
import { IN_CLUSTER } from "./scope.ts";

/** `project`: its name; `cluster`: its name; `server`: its URL; `selector`: of cluster Secrets, as JSON; `repository`: its URL. */
export type ReferenceKind = "project" | "cluster" | "server" | "selector" | "repository";

const KINDS: readonly string[] = [
  "project",
  "cluster",
  "server",
  "selector",
  "repository",
] satisfies ReferenceKind[];

/** Whether a text names a kind of reference. */
export function isReferenceKind(text: string): text is ReferenceKind {
  return KINDS.includes(text);
}

/** `kind:text`. */
export type Reference = `${ReferenceKind}:${string}`;

/** Generators nest in matrix and merge, in Argo CD two levels deep. */
const MAX_DEPTH = 8;

/** The references of an object, each once; none of other kinds. */
export function referencesOf({ kind, spec }: ApiObject): Reference[] {
  if (!isRecord(spec)) return [];
  if (kind === "Application") return [...new Set(ofApplication(spec))];
  if (kind !== "ApplicationSet") return [];
  const template = isRecord(spec["template"]) && isRecord(spec["template"]["spec"])
    ? spec["template"]["spec"]
    : {};
  return [...new Set([...ofApplication(template), ...ofGenerators(spec["generators"])])];
}

/** The parts of a reference. */
export function partsOf(reference: Reference): { kind: ReferenceKind; text: string } {
  const at = reference.indexOf(":");
  return { kind: reference.slice(0, at) as ReferenceKind, text: reference.slice(at + 1) };
}

function ofApplication(spec: Record<string, unknown>): Reference[] {
  const { project, destination, source, sources } = spec;
  const { name, server } = isRecord(destination) ? destination : {};
  const urls = [source, ...(Array.isArray(sources) ? sources : [])].map((one) =>
    isRecord(one) ? one["repoURL"] : undefined
  );
  return [
    ...said("project", project === "" || project === undefined ? "default" : project),
    ...(name === IN_CLUSTER.name || server === IN_CLUSTER.server
      ? []
      : name
      ? said("cluster", name)
      : said("server", server)),
    ...urls.flatMap((url) => said("repository", url)),
  ];
}

function ofGenerators(generators: unknown, depth = 0): Reference[] {
  if (!Array.isArray(generators) || depth > MAX_DEPTH) return [];
  return generators.flatMap((generator): Reference[] => {
    if (!isRecord(generator)) return [];
    const { clusters, matrix, merge } = generator;
    return [
      ...(isRecord(clusters) ? [`selector:${canonicalJson(clusters["selector"] ?? {})}` as const] : []),
      ...[matrix, merge].flatMap((one) => isRecord(one) ? ofGenerators(one["generators"], depth + 1) : []),
    ];
  });
}

function said(kind: ReferenceKind, value: unknown): Reference[] {
  const known = typeof value === "string" && value !== "" && !value.includes("{{");
  return known ? [`${kind}:${value}`] : [];
}
