/** People, and the users of autonomous agents, who change Applications and credentials: what they write is entered in the ledger. */
import { exactNumber } from "../../src/base/json.ts";
import { keyOfObject } from "../../src/domain/resources/keys.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { DELETION_REQUESTED } from "../../src/domain/resources/transform.ts";
import type { Action } from "./actions.ts";
import { NEWER_FIELD } from "./disk.ts";
import type { Site } from "./site.ts";
import { applicationKey, type World } from "./world.ts";

const FINALIZER = "resources-finalizer.argocd.argoproj.io";

/** One of three Applications is of another team. */
const TEAMS = ["a", "a", "b"] as const;

export class People {
  #written = 0;
  /** How many Applications of each agent they have deleted. */
  readonly deleted = new Map<string, number>();

  constructor(private readonly world: World) {}

  /** Somebody changes things in the cluster of the side that serves. */
  async write(many: number): Promise<void> {
    const { world } = this;
    const { random } = world.clock;
    const site = world.serving;
    if (!site) return;
    for (let n = 0; n < many; n++) {
      const agent = this.#agent(random.int(1_000));
      const owner = agent.mode === "managed" ? agent.agent.name : "agent-1";
      const name = `app-${random.int(12)}`;
      if (random.chance(0.15)) {
        await this.#delete(site, owner, name);
      } else if (random.chance(0.1)) await this.#apply(site, this.#credential());
      else await this.#apply(site, newer(this.#application(owner, name), this.#written));
    }
  }

  /** Somebody deletes every Application of an agent, or of all. */
  async deleteMany(n: number, all: boolean): Promise<void> {
    const site = this.world.serving;
    if (!site) return;
    const { agent: { name } } = this.#agent(n);
    for (const { kind, metadata } of await site.disk.list()) {
      const { namespace = "" } = metadata;
      const managed = kind === "Application" && !this.world.checks.autonomous.has(namespace);
      if (!managed || (!all && namespace !== name)) continue;
      await this.#delete(site, namespace, metadata.name);
    }
  }

  /** An autonomous agent's own users change things there. */
  agentWrites(n: number, remove: boolean): void {
    const { world } = this;
    const own = world.agents.filter(({ mode }) => mode === "autonomous");
    const { agent, process } = own[n % own.length] as (typeof own)[number];
    const name = `own-${world.clock.random.int(5)}`;
    world.clock.as(process, () => {
      if (remove) {
        const removed = agent.cluster.get("Application", name);
        if (!removed) return;
        world.checks.removedByAgents.add(`${applicationKey(agent.name, name)} ${removed.metadata.uid}`);
        agent.remove("Application", name);
        return;
      }
      const object = this.#application(agent.name, name);
      agent.apply("Application", { ...object, metadata: { ...object.metadata, namespace: "argocd" } });
    });
  }

  /** People have Applications where nothing of ours has run yet. */
  async dataFirst({ at, many }: Extract<Action, { do: "data first" }>): Promise<void> {
    const { both } = this.world;
    for (const site of both.filter(({ name }) => at === "both" || at === name)) {
      for (let n = 0; n < many; n++) {
        await this.#apply(site, this.#application("agent-1", `first-${site.name}-${n}`));
      }
    }
  }

  async #delete(site: Site, owner: string, name: string): Promise<void> {
    const key = applicationKey(owner, name);
    this.deleted.set(owner, (this.deleted.get(owner) ?? 0) + 1);
    this.world.checks.requests.request(site, key);
    this.world.ledger.deleted(key, this.world.clock.nowMs);
    await site.disk.write("user", { op: "delete", key, graceful: true });
  }

  /** As `kubectl apply` does: what it does not name stays. */
  async #apply({ disk }: Site, { metadata, ...rest }: ApiObject): Promise<void> {
    const existing = await disk.get(keyOfObject({ metadata, ...rest }));
    const { annotations } = existing?.metadata ?? {};
    const object = {
      ...existing,
      ...rest,
      metadata: { ...metadata, ...(annotations ? { annotations } : {}) },
    };
    await disk.write("user", { op: "put", object });
    // Whoever writes on what is to be deleted does not take the request back.
    const goes = existing?.metadata.deletionTimestamp ?? annotations?.[DELETION_REQUESTED];
    if (object.kind === "Application" && goes === undefined) {
      this.world.ledger.wrote(keyOfObject(object), this.world.clock.nowMs);
    }
  }

  #application(owner: string, name: string): ApiObject {
    const written = String(++this.#written);
    return {
      apiVersion: "argoproj.io/v1alpha1",
      kind: "Application",
      metadata: {
        name,
        namespace: owner,
        labels: { owner, team: TEAMS[Number(name.at(-1)) % TEAMS.length] ?? "" },
        ...(Number(name.at(-1)) % 2 === 0 ? { finalizers: [FINALIZER] } : {}),
      },
      spec: {
        project: "default",
        source: {
          repoURL: "https://git.example.com/a.git",
          path: name,
          targetRevision: written,
          // As doubles, most of these numbers would be another's.
          helm: { valuesObject: { id: exactNumber(`10987654321${written.padStart(8, "0")}`) } },
        },
        destination: { name: owner, namespace: "default" },
      },
    };
  }

  #credential(): ApiObject {
    const { random } = this.world.clock;
    return {
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name: `repo-${random.int(3)}`,
        namespace: "argocd",
        labels: { "argocd.argoproj.io/secret-type": "repository" },
      },
      data: { password: btoa(String(++this.#written)) },
    };
  }

  #agent(n: number) {
    const { agents } = this.world;
    return agents[n % agents.length] as (typeof agents)[number];
  }
}

/** Every third Application has a field that an older release of its definition does not know. */
function newer(application: ApiObject, n: number): ApiObject {
  if (n % 3 > 0) return application;
  return {
    ...application,
    spec: { ...application["spec"] as object, [NEWER_FIELD]: [{ name: "n", value: String(n) }] },
  };
}
