/**
 * The paths of the Kubernetes API that the resource proxy serves, taken apart. Everything else, a path with a segment that could mean
 * another place included, is no path here: an agent puts the parts together again.
 */

/** Parts that a path does not have are empty. */
export interface ResourcePath {
  group: string;
  version: string;
  namespace: string;
  resource: string;
  name: string;
  subresource: string;
}

/** A request's path and its parameters, of which the first of each name counts. */
export interface Target {
  /** As it came, for people. */
  path: string;
  parts: ResourcePath;
  params: Record<string, string>;
}

const MAX_URL = 16_384;
const MAX_PARAMS = 64;
const VERSION = /^v[^/]+$/;
/** Control characters, and what would make one segment two. */
// deno-lint-ignore no-control-regex
const UNFIT = /[\u0000-\u001f\u007f/\\]/;

/** The parts of a request's URL; undefined: the proxy serves no such path. */
export function parseTarget(url: string): Target | undefined {
  if (url.length > MAX_URL || !url.startsWith("/")) return undefined;
  const [path = "", ...query] = url.split("?");
  const segments = segmentsOf(path);
  const parts = segments && partsOf(segments);
  if (!parts) return undefined;
  const params = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query.join("?"))) {
    if (!params.has(name)) params.set(name, value);
    if (params.size > MAX_PARAMS) return undefined;
  }
  return { path, parts, params: Object.fromEntries(params) };
}

/** The decoded segments; one slash at the end is no segment. */
function segmentsOf(path: string): string[] | undefined {
  const raw = path.slice(1).split("/");
  if (raw.length > 1 && raw.at(-1) === "") raw.pop();
  const segments: string[] = [];
  for (const one of raw) {
    const segment = decoded(one);
    if (segment === undefined || ["", ".", ".."].includes(segment) || UNFIT.test(segment)) return undefined;
    segments.push(segment);
  }
  return segments;
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

function partsOf([root, ...rest]: string[]): ResourcePath | undefined {
  if (root !== "api" && root !== "apis") return undefined;
  if (rest.length === 0) return placed("", "", []);
  const group = root === "apis" ? rest.shift() ?? "" : "";
  const version = rest.shift() ?? "";
  return VERSION.test(version) ? placed(group, version, rest) : undefined;
}

/** `namespaces/NS/…` is a place only where something follows; alone it is the namespace itself. */
function placed(group: string, version: string, rest: string[]): ResourcePath | undefined {
  const inside = rest[0] === "namespaces" && rest.length > 2;
  const namespace = inside ? rest[1] ?? "" : "";
  const [resource = "", name = "", subresource = "", ...more] = inside ? rest.slice(2) : rest;
  return more.length > 0 ? undefined : { group, version, namespace, resource, name, subresource };
}
