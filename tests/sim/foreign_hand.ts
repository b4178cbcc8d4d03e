/** Another writer in the cluster of a standby: its copies are the leader's, whatever is done to them there. */
import { keyOfObject } from "../../src/domain/resources/keys.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Action } from "./actions.ts";
import { HAND } from "./hand.ts";
import type { Operator } from "./operator.ts";
import type { Site } from "./site.ts";
import type { World } from "./world.ts";

const PASSIVE = ["syncing", "replicating", "disconnected"];
/** The other side dies within this time after, where it does; the promotion comes within the next. */
const DIES_MS = 300;
const PROMOTED_MS = 3_000;
const DOWN_MS = 20_000;

type Act = Extract<Action, { do: "foreign hand" }>;

export class ForeignHand {
  #written = 0;

  constructor(private readonly world: World, private readonly operator: Operator) {}

  /** Changes something where the side is passive, and lets the other side die where that is asked for. */
  async act({ site: name, change, failover }: Act): Promise<void> {
    const { sites, clock: { random } } = this.world;
    const site = sites[name];
    const other = sites[site.other];
    // An ACTIVE that steps down passes on what is done in its cluster until its replicas have everything.
    if (!PASSIVE.includes(site.state) || !site.core?.index.standby) return;
    await this.#change(site, change);
    if (!failover || !other.serving) return;
    this.#later(random.int(DIES_MS), () => other.kill());
    this.#later(DIES_MS + random.int(PROMOTED_MS), () => {
      if (random.chance(0.5)) this.#whileRecording(site);
      return this.operator.promote(site, false);
    });
    this.#later(DOWN_MS, () => other.start());
  }

  /** Deletes something once more, after the promotion has looked at its copies and before its epoch is durable. */
  #whileRecording(site: Site): void {
    site.disk.onRecording = () => {
      site.disk.onRecording = () => {};
      if (PASSIVE.includes(site.state)) void this.#change(site, "delete");
    };
  }

  async #change(site: Site, change: Act["change"]): Promise<void> {
    const { checks, clock: { random, nowMs }, ledger, sites } = this.world;
    if (change === "create") {
      await site.disk.write(HAND, { op: "put", object: stray(`hand-${random.int(3)}`) });
      return;
    }
    const own = (await site.disk.list()).filter(({ kind, metadata }) =>
      kind === "Application" && metadata.labels?.["owner"] === metadata.namespace
    );
    if (own.length === 0) return;
    const object = random.pick(own);
    if (change === "delete") {
      if (!isPromised(site)) checks.requests.byHand(site, keyOfObject(object));
      // A side that follows nobody takes what is done to it for its own.
      if (site.state === "replicating") {
        ledger.deletedByHand(keyOfObject(object), site.disk, sites[site.other].disk, nowMs);
      } else ledger.deleted(keyOfObject(object), nowMs);
      await site.disk.write(HAND, { op: "delete", key: keyOfObject(object), graceful: true });
      return;
    }
    const spec = { ...object["spec"] as object, project: `by hand ${++this.#written}` };
    await site.disk.write(HAND, { op: "put", object: { ...object, spec } });
  }

  #later(ms: number, run: () => unknown): void {
    const { clock } = this.world;
    clock.schedule(clock.nobody, ms, run, "later");
  }
}

/** Whether the epoch of a promotion is durable: what is done from then on is the new ACTIVE's own. */
function isPromised({ core, disk }: Site): boolean {
  const epoch = core?.model().operation?.recording?.epoch;
  return epoch !== undefined && disk.remembered?.epoch === epoch;
}

function stray(name: string): ApiObject {
  return {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "Application",
    metadata: { name, namespace: "agent-1", labels: { owner: "agent-1" } },
    spec: { project: "default", destination: { name: "agent-1", namespace: "default" } },
  };
}
