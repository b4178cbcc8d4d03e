/**
 * The coverage of a side: the objects that its release and flags replicate and those of another side may not. Where a leader does not
 * cover an object, or a copy never did, absence at the leader says nothing about it: it was made here, and stays.
 */
import { sha256 } from "../../base/sha256.ts";
import { type Kind, kindOf } from "./kinds.ts";
import { parseLabelSelector } from "./label_selector.ts";
import type { ApiObject } from "./object.ts";
import { patternOf } from "./patterns.ts";
import { EVERY_NAMESPACE, isInCluster, type Scope } from "./scope.ts";

const CLASSES = ["cluster-secrets-of-people", "write-repositories", "in-cluster-applications"] as const;
type Class = (typeof CLASSES)[number];

/**
 * With commas between them: names of classes, and limits such as `namespaces=edge-1|team-*` and `labels=team%3Da`. An object is covered
 * if its class is named or it has none, and if it is within every limit. An older release names no limit, and may name no class.
 */
export type Coverage = string;

/** An older release replicated Argo CD's own Applications in any case, and the others not. */
const OLDER: Coverage = "in-cluster-applications" satisfies Class;

const NOTHING: Coverage = "nothing";

/** A limit's text beyond so many characters is told as its hash, which is equal to itself and covers nothing else. */
const MAX_LIMIT = 2_000;
/** The longest coverage that a peer is listened to with, in characters. */
export const MAX_COVERAGE = 5_000;

/** The coverage of a scope. */
export function coverageOf(scope: Scope): Coverage {
  const { clusterSecrets, inClusterApplications } = scope;
  const covered: Record<Class, boolean> = {
    "cluster-secrets-of-people": clusterSecrets === "all",
    "write-repositories": true,
    "in-cluster-applications": inClusterApplications,
  };
  return [...CLASSES.filter((name) => covered[name]), ...limitsOf(scope)].join(",");
}

function limitsOf({ allowedNamespaces, labelSelector }: Scope): string[] {
  const isWhole = allowedNamespaces.some(({ text }) => text === EVERY_NAMESPACE.text);
  const namespaces = allowedNamespaces.map(({ text }) => encodeURIComponent(text)).sort().join("|");
  return [
    ...(isWhole ? [] : [limit("namespaces", namespaces)]),
    ...(labelSelector ? [limit("labels", encodeURIComponent(labelSelector.text))] : []),
  ];
}

function limit(what: string, text: string): string {
  return text.length > MAX_LIMIT ? `${what}#${sha256(text)}` : `${what}=${text}`;
}

const LIMIT = /^(namespaces|labels)([=#])(.*)$/;

/** The coverage that two have in common: the classes that both name, within the limits of both; empty coverage is an older release's. */
export function commonCoverage(a: Coverage, b: Coverage): Coverage {
  const [ours, theirs] = [setOf(a), setOf(b)];
  const limits = [...ours.union(theirs)].filter((part) => LIMIT.test(part));
  const classes = [...ours.intersection(theirs)].filter((part) => !LIMIT.test(part));
  return [...classes.sort(), ...limits.sort()].join(",") || NOTHING;
}

/** Whether an object is covered here and not there: `there` says nothing of it. */
export class Uncovered {
  readonly #classes: ReadonlySet<string>;
  readonly #limits: readonly ((object: ApiObject, kind: Kind) => boolean)[];

  constructor(private readonly scope: Scope, there: Coverage) {
    const [ours, theirs] = [setOf(coverageOf(scope)), setOf(there)];
    this.#classes = new Set([...ours].filter((part) => !LIMIT.test(part) && !theirs.has(part)));
    this.#limits = [...theirs.difference(ours)].flatMap((part) =>
      LIMIT.test(part) ? [within(part, scope)] : []
    );
  }

  /** Whether there may be any such object. */
  get any(): boolean {
    return this.#classes.size > 0 || this.#limits.length > 0;
  }

  has(object: ApiObject): boolean {
    const kind = this.any ? kindOf(object, this.scope) : undefined;
    if (!kind) return false;
    const name = classOf(object, kind, this.scope);
    return name !== undefined && this.#classes.has(name) ||
      this.#limits.some((within) => !within(object, kind));
  }
}

/** Whether objects are within a limit; one that cannot be read has nothing within it. */
function within(part: string, { namespace: own }: Scope): (object: ApiObject, kind: Kind) => boolean {
  const [, what, sign, text = ""] = LIMIT.exec(part) ?? [];
  const readable = sign === "=";
  if (what === "labels") {
    const selector = readable ? tried(() => parseLabelSelector(decodeURIComponent(text))) : undefined;
    return ({ metadata }, { selectable }) => !selectable || selector?.selects(metadata.labels ?? {}) === true;
  }
  const patterns = readable
    ? text.split("|").flatMap((one) => tried(() => patternOf(decodeURIComponent(one))) ?? [])
    : [];
  return ({ metadata: { namespace = "" } }, { scope }) =>
    scope === "principal" || namespace === own || patterns.some((pattern) => pattern.matches(namespace));
}

function tried<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function classOf(object: ApiObject, kind: Kind, scope: Scope): Class | undefined {
  switch (kind.name) {
    case "ClusterSecret": {
      const registered = kindOf(object, { ...scope, clusterSecrets: "self-registered" });
      return registered ? undefined : "cluster-secrets-of-people";
    }
    case "WriteRepository":
      return "write-repositories";
    case "Application":
      return isInCluster(object, scope) ? "in-cluster-applications" : undefined;
    default:
      return undefined;
  }
}

function setOf(coverage: Coverage): Set<string> {
  return new Set((coverage || OLDER).split(","));
}
