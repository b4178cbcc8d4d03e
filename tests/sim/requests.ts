/**
 * The checks of requested deletions (I14): an agent hears of a deletion only where somebody asked for it at the side that tells, since
 * that side became ACTIVE or without the other side having served after; nothing is created that is being deleted; and what another
 * writer did on a standby is told to no agent.
 */
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import { type Key, keyOf } from "../../src/domain/resources/keys.ts";
import type { Clock } from "./clock.ts";
import type { Site } from "./site.ts";
import { Violation } from "./violation.ts";
import type { Watched } from "./watched.ts";

interface Asked {
  atMs: number;
  activation: number;
}

export class Requests {
  /** `SITE KEY UID`: deletions that people asked for at a side that served. */
  readonly #asked = new Map<string, Asked>();
  /** `KEY UID` of those, at whichever side. */
  readonly asked = new Set<string>();
  /** `SITE KEY UID`: deletions by another writer on a standby. */
  readonly #byHand = new Set<string>();

  constructor(
    private readonly clock: Clock,
    private readonly watched: Record<"a" | "b", Watched>,
    private readonly note: (invariant: string) => void,
  ) {}

  /** Somebody asked for a deletion at a side that serves, or released one there. */
  request(site: Site, key: Key): void {
    const what = `${key} ${site.disk.identities.get(key)}`;
    const { activations } = this.watched[site.name];
    this.#asked.set(`${site.name} ${what}`, { atMs: this.clock.nowMs, activation: activations });
    this.asked.add(what);
  }

  /** Another writer deletes on a standby. */
  byHand(site: Site, key: Key): void {
    this.#byHand.add(`${site.name} ${key} ${site.disk.identities.get(key)}`);
  }

  /** A side sends an event to a managed agent. @throws Violation */
  sent(site: Site, agent: string, { type, target, payload }: AgentEvent): void {
    if (target !== "application" || !site.core) return;
    if (type !== "create" && type !== "spec-update" && type !== "delete") return;
    const { metadata } = JSON.parse(new TextDecoder().decode(payload)) as {
      metadata: { name: string; uid: string; deletionTimestamp?: string };
    };
    const key = keyOf("Application", agent, metadata.name);
    const what = `${key} ${metadata.uid}`;
    const entry = site.core.index.present(key);
    if (entry?.terminating && type !== "delete" && (type === "create" || !metadata.deletionTimestamp)) {
      throw new Violation("I14", `${site.name} sends ${agent} ${key}, which is being deleted`);
    }
    if (entry && entry.deletionRequested !== "" && !entry.terminating) {
      throw new Violation(
        "I14",
        `${site.name} tells ${agent} of ${key}, whose deletion waits for an operator`,
      );
    }
    if (metadata.deletionTimestamp) this.#mayFire(site, agent, what);
    if (type === "delete" && this.#byHand.has(`${site.name} ${what}`) && !this.asked.has(what)) {
      throw new Violation(
        "I14",
        `${site.name} tells ${agent} to delete ${what}, which another writer deleted`,
      );
    }
  }

  #mayFire(site: Site, agent: string, what: string): void {
    this.note("I14");
    const asked = this.#asked.get(`${site.name} ${what}`);
    const { activations } = this.watched[site.name];
    const served = this.watched[site.other].lastServedMs;
    if (asked && (asked.activation === activations || served <= asked.atMs)) return;
    throw new Violation(
      "I14",
      `${site.name} tells ${agent} to delete ${what}, ${
        asked ? "asked for before the other side served" : "which nobody asked for"
      }`,
    );
  }
}
