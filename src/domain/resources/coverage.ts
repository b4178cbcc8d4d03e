/**
 * The coverage of a side: the classes of objects that its release and flags replicate and those of another side may not. Where a leader
 * does not cover a class, or a copy never did, absence at the leader says nothing about an object of it: it was made here, and stays.
 */
import { kindOf } from "./kinds.ts";
import type { ApiObject } from "./object.ts";
import { isInCluster, type Scope } from "./scope.ts";

const CLASSES = ["cluster-secrets-of-people", "write-repositories", "in-cluster-applications"] as const;
type Class = (typeof CLASSES)[number];

/** Classes by name, with commas between them. An older release names none. */
export type Coverage = string;

/** An older release replicated Argo CD's own Applications in any case, and the others not. */
const OLDER: Coverage = "in-cluster-applications" satisfies Class;

const NOTHING: Coverage = "nothing";

/** The coverage of a scope. */
export function coverageOf({ clusterSecrets, inClusterApplications }: Scope): Coverage {
  const covered: Record<Class, boolean> = {
    "cluster-secrets-of-people": clusterSecrets === "all",
    "write-repositories": true,
    "in-cluster-applications": inClusterApplications,
  };
  return CLASSES.filter((name) => covered[name]).join(",");
}

/** The classes that both cover; empty coverage is an older release's. */
export function commonCoverage(a: Coverage, b: Coverage): Coverage {
  const theirs = setOf(b);
  return [...setOf(a)].filter((name) => theirs.has(name)).sort().join(",") || NOTHING;
}

/** Whether an object's class is covered here and not there: `there` says nothing of it. */
export class Uncovered {
  readonly #classes: ReadonlySet<string>;

  constructor(private readonly scope: Scope, there: Coverage) {
    const theirs = setOf(there);
    this.#classes = new Set([...setOf(coverageOf(scope))].filter((name) => !theirs.has(name)));
  }

  /** Whether there is any such class. */
  get any(): boolean {
    return this.#classes.size > 0;
  }

  has(object: ApiObject): boolean {
    const name = this.any ? classOf(object, this.scope) : undefined;
    return name !== undefined && this.#classes.has(name);
  }
}

function classOf(object: ApiObject, scope: Scope): Class | undefined {
  switch (kindOf(object, scope)?.name) {
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
