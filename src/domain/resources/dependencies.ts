/**
 * The dependencies of a side: what its Applications and ApplicationSets name beside themselves, and which of it is there. The ACTIVE
 * tells its needs, the other side says which of them it lacks. Without them a failover does harm: an ApplicationSet whose cluster
 * generator finds no Secret generates nothing, and its controller deletes what it had generated.
 */
import { parseForeign } from "../../base/bounds.ts";
import { type Key, keyOf, keyOfObject, parseKey } from "./keys.ts";
import { IGNORE_SYNC, SECRET_TYPE } from "./kinds.ts";
import { selects } from "./label_selector.ts";
import { type ApiObject, secretText, type StoredObject } from "./object.ts";
import { partsOf, type Reference, type ReferenceKind, referencesOf } from "./references.ts";
import { isInCluster, type Scope } from "./scope.ts";

/** A thing that a side has and that its resources name. */
export interface Need {
  /** How it is named. */
  by: ReferenceKind;
  /** The project, cluster, server or URL; of a selector the cluster that it selects. */
  name: string;
  /** Of a selector: its JSON. */
  selector: string;
  /** The object that it is on the side that has it. */
  key: Key;
  /** One of the resources that name it, and how many do. */
  user: Key;
  users: number;
  /** Why this object is not replicated; empty: it is. */
  stays: string;
}

/** The most needs that are told, those that are not replicated first. */
export const MAX_NEEDS = 2_000;

interface Cluster {
  name: string;
  server: string;
  labels: Record<string, string>;
}

interface Repository {
  url: string;
  project: string;
  /** Credentials for all repositories whose URLs begin so. */
  prefix: boolean;
}

/** Sees every object of a side, replicated or not. Memory: some texts for each Application. */
export class Dependencies {
  readonly #references = new Map<Key, readonly Reference[]>();
  /** Every reference once, that many objects share its text. */
  readonly #texts = new Map<Reference, Reference>();
  readonly #clusters = new Map<Key, Cluster>();
  readonly #repositories = new Map<Key, Repository>();
  readonly #projects = new Set<Key>();
  readonly #inCluster = new Set<Key>();
  readonly #stays = new Map<Key, string>();
  /** During a listing: the keys that it has not named yet. */
  #unlisted: Set<Key> | undefined;
  #changes = 0;

  constructor(private readonly scope: Scope) {}

  /** Changes whenever an answer of `lacking` may change. */
  get revision(): number {
    return this.#changes;
  }

  reset(): void {
    this.#unlisted = new Set(
      [this.#references, this.#clusters, this.#repositories, this.#projects, this.#inCluster].flatMap((
        map,
      ) => [
        ...map.keys(),
      ]),
    );
  }

  synced(): void {
    for (const key of this.#unlisted ?? []) this.removed(key);
    this.#unlisted = undefined;
  }

  put(object: StoredObject, replicated: boolean): void {
    const key = keyOfObject(object);
    this.#unlisted?.delete(key);
    switch (object.kind) {
      case "Application":
      case "ApplicationSet":
        this.#user(key, object, replicated);
        break;
      case "AppProject":
        this.#projects.add(key);
        this.#changes++;
        break;
      case "Secret":
        this.#secret(key, object);
        this.#changes++;
        break;
      default:
        return;
    }
    const needed = this.#clusters.has(key) || this.#repositories.has(key) || this.#projects.has(key);
    if (needed && !replicated) this.#stays.set(key, whyItStays(object));
    else this.#stays.delete(key);
  }

  removed(key: Key): void {
    const { kind } = parseKey(key) ?? { kind: "" };
    if (kind === "AppProject" || kind === "Secret") this.#changes++;
    this.#references.delete(key);
    this.#clusters.delete(key);
    this.#repositories.delete(key);
    this.#projects.delete(key);
    this.#inCluster.delete(key);
    this.#stays.delete(key);
  }

  /** Applications that Argo CD deploys into its own cluster, and that are not replicated. */
  get inCluster(): readonly Key[] {
    return [...this.#inCluster].sort();
  }

  /** Everything that this side has and its resources name, at most `MAX_NEEDS`. */
  needs(): Need[] {
    const users = new Map<Reference, { user: Key; users: number }>();
    for (const [user, references] of this.#references) {
      for (const reference of references) {
        const known = users.get(reference);
        if (!known) users.set(reference, { user, users: 1 });
        else users.set(reference, { user: user < known.user ? user : known.user, users: known.users + 1 });
      }
    }
    const needs = [...users].flatMap(([reference, by]) =>
      this.#matching(reference).map(({ key, name }): Need => {
        const { kind, text } = partsOf(reference);
        const selector = kind === "selector" ? text : "";
        return { by: kind, name, selector, key, ...by, stays: this.#stays.get(key) ?? "" };
      })
    );
    return needs.sort(byUrgency).slice(0, MAX_NEEDS);
  }

  /** Those of the other side's needs that are not here. */
  lacking(needs: readonly Need[]): Need[] {
    const found = new Map<string, boolean>();
    return needs.filter((need) => {
      const id = `${need.by}:${need.selector}:${need.name}`;
      const known = found.get(id) ?? this.#has(need);
      found.set(id, known);
      return !known;
    });
  }

  #has({ by, name, selector }: Need): boolean {
    const reference: Reference = by === "selector" ? `selector:${selector}` : `${by}:${name}`;
    const matching = this.#matching(reference);
    return by === "selector" ? matching.some((one) => one.name === name) : matching.length > 0;
  }

  /** The objects that a reference finds here, and the names by which it finds each on another side. */
  #matching(reference: Reference): { key: Key; name: string }[] {
    const { kind, text } = partsOf(reference);
    switch (kind) {
      case "project": {
        const key = keyOf("AppProject", this.scope.namespace, text);
        return this.#projects.has(key) ? [{ key, name: text }] : [];
      }
      case "cluster":
        return this.#clustersWhere(({ name }) => name === text, () => text);
      case "server":
        return this.#clustersWhere(({ server }) => server === text, () => text);
      case "selector": {
        const selector = parseForeign(text);
        return this.#clustersWhere(({ labels }) => selects(selector, labels), ({ name }) => name);
      }
      case "repository":
        return [...this.#repositories].filter(([, one]) =>
          one.prefix ? text.startsWith(one.url) : one.url === text
        ).map(([key]) => ({ key, name: text }));
    }
  }

  #clustersWhere(
    takes: (cluster: Cluster) => boolean,
    nameOf: (cluster: Cluster) => string,
  ): { key: Key; name: string }[] {
    return [...this.#clusters].filter(([, cluster]) => takes(cluster)).map(([key, cluster]) => ({
      key,
      name: nameOf(cluster),
    }));
  }

  #user(key: Key, object: ApiObject, replicated: boolean): void {
    if (replicated) this.#references.set(key, referencesOf(object).map((text) => this.#shared(text)));
    else this.#references.delete(key);
    if (!replicated && object.kind === "Application" && isInCluster(object, this.scope)) {
      this.#inCluster.add(key);
    } else this.#inCluster.delete(key);
  }

  #secret(key: Key, object: ApiObject): void {
    this.#clusters.delete(key);
    this.#repositories.delete(key);
    if (object.metadata.namespace !== this.scope.namespace) return;
    const { labels = {} } = object.metadata;
    const field = (name: string) => secretText(object, name);
    const type = labels[SECRET_TYPE];
    if (type === "cluster") {
      const server = field("server");
      this.#clusters.set(key, { name: field("name") || server, server, labels });
    } else if (type === "repository" || type === "repo-creds") {
      this.#repositories.set(key, {
        url: field("url"),
        project: field("project"),
        prefix: type === "repo-creds",
      });
    }
  }

  #shared(text: Reference): Reference {
    const known = this.#texts.get(text);
    if (known) return known;
    this.#texts.set(text, text);
    return text;
  }
}

function whyItStays({ kind, metadata }: ApiObject): string {
  if (metadata.labels?.[IGNORE_SYNC] === "true") return `label ${IGNORE_SYNC}`;
  return kind === "Secret" ? "--ha-replicate-cluster-secrets=self-registered" : "outside what is replicated";
}

/** Clusters of a generator come first: without them Applications are deleted. Then things that do not replicate by themselves. */
function byUrgency(a: Need, b: Need): number {
  const rank = ({ by, stays }: Need) => (stays === "" ? 2 : 0) + (by === "selector" ? 0 : 1);
  return rank(a) - rank(b) || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
}

const VERBS: Record<ReferenceKind, (need: Need) => string> = {
  project: () => "names it",
  cluster: ({ name }) => `deploys to it as cluster "${name}"`,
  server: ({ name }) => `deploys to it as "${name}"`,
  selector: ({ name }) => `generates from it as cluster "${name}"`,
  repository: ({ name }) => `uses it for "${name}"`,
};

/** A need for a person: `Secret/argocd/east: ApplicationSet/argocd/fleet generates from it as cluster "east"`. */
export function sentenceOf(need: Need): string {
  const { key, user, users, stays, by } = need;
  const more = users > 1 ? ` (and ${(users - 1).toLocaleString("en-US")} more)` : "";
  const because = stays === "" ? "" : `; not replicated: ${stays}`;
  return `${key}: ${user}${more} ${VERBS[by](need)}${because}`;
}

/** Whether a peer's need can be read: its selector is JSON. */
export function isReadable({ key, by, selector }: Need): boolean {
  if (!parseKey(key)) return false;
  if (by !== "selector") return true;
  try {
    parseForeign(selector);
    return true;
  } catch {
    return false;
  }
}
