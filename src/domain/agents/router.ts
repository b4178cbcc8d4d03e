/**
 * Which agents a change concerns. It reads every change of the index once, for all agents together, and keeps per agent the set of
 * its Applications: so a change costs the agents that it concerns, and a new stream costs the agent's own resources, whatever the
 * number of agents.
 */
import { parseJson } from "../../base/json.ts";
import type { Entry } from "../changes/index.ts";
import { type Key, keyOf, parseKey } from "../resources/keys.ts";
import { kindOf } from "../resources/kinds.ts";
import type { ApiObject } from "../resources/object.ts";
import { agentOf, type Scope } from "../resources/scope.ts";
import { projectMatches, type ProjectRule, projectRule } from "./projects.ts";
import { Usage } from "./usage.ts";
import { projectOfRepository } from "./view.ts";

/** A key whose view may have changed, for these agents or for every agent. */
export interface Touched {
  key: Key;
  agents: ReadonlySet<string> | "all";
}

export class Router {
  readonly #agentsOf = new Map<Key, ReadonlySet<string>>();
  readonly #applications = new Map<string, Set<Key>>();
  readonly #rules = new Map<Key, ProjectRule>();
  readonly #projectOf = new Map<Key, string>();
  readonly #repositories = new Map<string, Set<Key>>();
  /** Keys that every managed agent gets. */
  readonly #common = new Set<Key>();

  /** The objects and bytes of each agent. */
  readonly usage: Usage;

  constructor(private readonly scope: Scope) {
    this.usage = new Usage(scope);
  }

  /** Takes one change of the index; what it concerns. */
  take(entry: Entry): Touched[] {
    const parts = parseKey(entry.key);
    if (!parts) return [];
    const object = entry.deleted ? undefined : parseJson(entry.payload) as ApiObject;
    const kind = object && kindOf(object, this.scope)?.name;
    this.usage.take(entry, object);
    if (parts.kind === "Application") return [this.#application(entry.key, parts.namespace, object)];
    if (parts.kind === "AppProject") return this.#project(entry.key, parts.name, object);
    if (kind === "GPGKey" || this.#common.has(entry.key)) {
      if (object) this.#common.add(entry.key);
      else this.#common.delete(entry.key);
      return [{ key: entry.key, agents: "all" }];
    }
    if (kind === "Repository" || this.#projectOf.has(entry.key)) return [this.#repository(entry.key, object)];
    return [];
  }

  /** The rule of a project. */
  project(name: string): ProjectRule | undefined {
    return this.#rules.get(this.#projectKey(name));
  }

  /** The project that a repository is for; undefined: the key is no repository's. */
  projectKeyOf(repository: Key): Key | undefined {
    const project = this.#projectOf.get(repository);
    return project === undefined ? undefined : this.#projectKey(project);
  }

  #projectKey(name: string): Key {
    return keyOf("AppProject", this.scope.namespace, name);
  }

  /** Everything that may be a managed agent's, in the order in which it is needed: projects, repositories, keys, Applications. */
  managedKeys(agent: string): Key[] {
    const { namespace, destinationMapping } = this.scope;
    const keys: Key[] = [];
    const repositories: Key[] = [];
    for (const [key, rule] of this.#rules) {
      if (!projectMatches(rule, agent, destinationMapping)) continue;
      keys.push(key);
      const name = key.slice(`AppProject/${namespace}/`.length);
      repositories.push(...this.#repositories.get(name) ?? []);
    }
    return [...keys, ...repositories, ...this.#common, ...this.#applications.get(agent) ?? []];
  }

  /** Everything that may be an autonomous agent's own. */
  ownKeys(agent: string): Key[] {
    const prefix = `AppProject/${this.scope.namespace}/${agent}-`;
    const projects = [...this.#rules.keys()].filter((key) => key.startsWith(prefix));
    return [...projects, ...this.#applications.get(agent) ?? []];
  }

  /** In destination mapping an Application is its destination's, or that of an autonomous agent of its namespace's name. */
  #application(key: Key, namespace: string, object: ApiObject | undefined): Touched {
    const before = this.#agentsOf.get(key) ?? new Set<string>();
    const after = new Set(object ? [agentOf(object, this.scope), namespace].filter(Boolean) : []);
    for (const agent of before) {
      if (!after.has(agent)) {
        const keys = this.#applications.get(agent);
        keys?.delete(key);
        if (keys?.size === 0) this.#applications.delete(agent);
      }
    }
    for (const agent of after) {
      const keys = this.#applications.get(agent) ?? new Set();
      this.#applications.set(agent, keys.add(key));
    }
    if (after.size > 0) this.#agentsOf.set(key, after);
    else this.#agentsOf.delete(key);
    return { key, agents: new Set([...before, ...after]) };
  }

  #project(key: Key, name: string, object: ApiObject | undefined): Touched[] {
    if (object) this.#rules.set(key, projectRule(object));
    else this.#rules.delete(key);
    const repositories = [...this.#repositories.get(name) ?? []];
    return [key, ...repositories].map((touched) => ({ key: touched, agents: "all" }));
  }

  #repository(key: Key, object: ApiObject | undefined): Touched {
    const before = this.#projectOf.get(key);
    if (before !== undefined) this.#repositories.get(before)?.delete(key);
    const project = object ? projectOfRepository(object) : "";
    if (project === "") this.#projectOf.delete(key);
    else {
      this.#projectOf.set(key, project);
      const keys = this.#repositories.get(project) ?? new Set();
      this.#repositories.set(project, keys.add(key));
    }
    return { key, agents: "all" };
  }
}
