/**
 * The checks of requested deletions (I14): an agent hears of a deletion only where somebody asked for it at the side that tells, in the
 * epoch in which it serves; nothing is created that is being deleted; and what another writer did on a standby is told to no agent.
 */
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import { type Key, keyOf } from "../../src/domain/resources/keys.ts";
import type { Site } from "./site.ts";
import { Violation } from "./violation.ts";

export class Requests {
  /** `SITE EPOCH KEY UID`: deletions that people asked for at a side that served. */
  readonly #asked = new Set<string>();
  /** `KEY UID` of those, at whichever side. */
  readonly asked = new Set<string>();
  /** `SITE EPOCH KEY`: deletions at agents that an operator released while the side that serves had no such object. */
  readonly #released = new Set<string>();
  /** `SITE KEY UID`: deletions by another writer on a standby. */
  readonly #byHand = new Set<string>();

  constructor(private readonly note: (invariant: string) => void) {}

  /** Somebody asked for a deletion at a side that serves, or released one there. */
  request(site: Site, key: Key): void {
    const what = `${key} ${site.disk.identities.get(key)}`;
    this.#asked.add(`${site.name} ${epochOf(site)} ${what}`);
    this.asked.add(what);
  }

  /** An operator lets agents delete what this side does not have; one that is adopted meanwhile goes when they have done so. */
  released(site: Site, key: Key): void {
    if (site.serving && site.disk.now(key) === "") this.#released.add(`${site.name} ${epochOf(site)} ${key}`);
  }

  /** Whether an operator or people let an object of this side that serves go. */
  mayEnd(site: Site, key: Key): boolean {
    return this.asked.has(`${key} ${site.disk.identities.get(key)}`) ||
      this.#released.has(`${site.name} ${epochOf(site)} ${key}`);
  }

  /** Another writer deletes on a standby. */
  byHand(site: Site, key: Key): void {
    this.#byHand.add(`${site.name} ${key} ${site.disk.identities.get(key)}`);
  }

  /** A side's process has begun: what it knew of another writer is forgotten with the one before, and the guard is left. */
  opened(site: Site): void {
    for (const what of this.#byHand) if (what.startsWith(`${site.name} `)) this.#byHand.delete(what);
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
    if (type === "delete" && !entry) this.#mustBeGone(site, agent, key, metadata.uid);
    if (type === "delete" && this.#byHand.has(`${site.name} ${what}`) && !this.asked.has(what)) {
      throw new Violation(
        "I14",
        `${site.name} tells ${agent} to delete ${what}, which another writer deleted`,
      );
    }
  }

  /** An Application that is in the store is not gone: the flags of this side leave it out. */
  #mustBeGone({ name, part, disk }: Site, agent: string, key: Key, uid: string): void {
    if (part === "everything") return;
    this.note("I14");
    const there = disk.now(key) !== "" && disk.identities.get(key) === uid && !disk.isForeign(key);
    if (!there || this.asked.has(`${key} ${uid}`)) return;
    throw new Violation("I14", `${name}, of ${part}, tells ${agent} to delete ${key}, which its store has`);
  }

  #mayFire(site: Site, agent: string, what: string): void {
    this.note("I14");
    if (this.#asked.has(`${site.name} ${epochOf(site)} ${what}`)) return;
    throw new Violation(
      "I14",
      `${site.name} tells ${agent} to delete ${what}, which nobody asked for in epoch ${epochOf(site)}`,
    );
  }
}

function epochOf(site: Site): number | undefined {
  return site.core?.model().memory.epoch;
}
