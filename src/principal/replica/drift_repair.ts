/**
 * Keeps a copy the leader's. A key that another writer changed is asked for again at once, through the stream and so in its order; before
 * this side serves, each such key is restored to what the leader sent last. A deletion that another writer began is ended and never
 * becomes this side's own.
 */
import pLimit from "p-limit";
import { monotonicMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Digest } from "../../domain/changes/digest.ts";
import type { ChangeIndex, Entry } from "../../domain/changes/index.ts";
import type { Model } from "../../domain/ha/state.ts";
import type { Key } from "../../domain/resources/keys.ts";
import { commandAgainst, OtherWriters, writerLine } from "../../domain/ha/writers.ts";
import { SETTLED_MS } from "../../domain/replication/caught_up.ts";
import type { IncomingChange } from "../../domain/replication/applier.ts";
import type { Drift, DriftedCopy } from "../../domain/replication/drift.ts";
import { type Changed, type Feed, READS_AT_ONCE } from "../core/feed.ts";
import type { Following } from "../core/following.ts";

const LOOK_MS = 250;
/** Keys that the leader is asked for at once. */
const MAX_ASKED = 500;
/** Keys of one request that the log names. */
const MAX_NAMED = 5;
/** Keys that a refusal names. */
const MAX_TOLD = 10;
/** So often are copies restored that another writer changes while others are being restored. */
const MAX_ROUNDS = 5;

/** The index has forgotten that a key was deleted. */
const NOTHING = { version: "", deleted: true };

/** The part of the principal that a repair needs. */
export interface DriftRepairParts {
  readonly index: ChangeIndex;
  readonly log: Log;
  /** Argo CD's. */
  readonly namespace: string;
  readonly following: Pick<Following, "resend">;
  readonly feed: Pick<Feed, "refresh" | "catchUp">;
  readonly drift: Drift;
  readonly writer: { apply(change: IncomingChange): Promise<void> };
  readonly marks: { tryToLeave(): Promise<number | undefined> };
  model(): Pick<Model, "memory">;
}

export class DriftRepair {
  readonly writers = new OtherWriters();
  #looking: ReturnType<typeof setTimeout> | undefined;
  #served = false;
  #steppedDownAtMs = -Infinity;
  /** Nothing that the store held when this side had stepped down is newer than this; undefined: not known. */
  #ownUpTo: number | undefined;

  constructor(private readonly parts: DriftRepairParts, private readonly nowMs = monotonicMs) {
    parts.drift.found = (key, manager, atMs) => {
      if (this.writers.saw(manager, key, atMs)) this.#tell(manager);
      this.#look(0);
    };
  }

  /** The copies that are known not to be the leader's. */
  get drift(): Drift {
    return this.parts.drift;
  }

  /** The store told a change of a key. */
  readonly changed: Changed = (key, before, manager) => {
    const { index, model, drift } = this.parts;
    const { complete, formerActive } = model().memory;
    if (!index.standby || !complete) return;
    if (formerActive && this.#mayBeOwn(index.get(key))) return;
    drift.changed(key, before, manager, this.nowMs());
  };

  /** The digest of all that the leader sent last: what this side serves with once `restore` has succeeded. */
  received(): Digest {
    const { index, drift } = this.parts;
    return drift.received(index.digests.root());
  }

  /** Those who change copies again and again, with the command that stops each. */
  get writerLines(): string[] {
    const { index, namespace } = this.parts;
    return index.standby ? this.writers.list(this.nowMs()).map((one) => writerLine(one, namespace)) : [];
  }

  #tell(manager: string): void {
    const writer = this.writers.list(this.nowMs()).find((one) => one.manager === manager);
    if (!writer) return;
    const { log, namespace } = this.parts;
    log.warn("another writer keeps changing copies here; stop it: it is repaired each time", {
      event: "other_writer",
      manager,
      command: commandAgainst(writer, namespace),
    });
  }

  /** Copies that are not the leader's, those included that were being deleted before this process began. */
  get copies(): Pick<DriftedCopy, "key" | "change" | "manager">[] {
    const { index, drift } = this.parts;
    if (!index.standby) return [];
    const known = new Set(drift.copies.map(({ key }) => key));
    const terminating = index.terminating().filter(({ key }) => !known.has(key));
    return [
      ...drift.copies,
      ...terminating.map(({ key }) => ({ key, change: "being deleted" as const, manager: "" })),
    ];
  }

  /** This side holds a copy, or is about to. All that its store holds now is its own, whoever wrote it. */
  standby(): void {
    const { index } = this.parts;
    if (index.standby) return;
    index.standby = true;
    if (!this.#served) return;
    this.#steppedDownAtMs = this.nowMs();
    this.#ownUpTo = undefined;
    void this.#markStepDown(this.#steppedDownAtMs);
  }

  /** The mark is left after the last write of the ACTIVE, and of everyone who wrote there meanwhile. */
  async #markStepDown(atMs: number): Promise<void> {
    const version = await this.parts.marks.tryToLeave();
    if (atMs === this.#steppedDownAtMs) this.#ownUpTo = version;
  }

  /** This side is ACTIVE: its objects are its own. */
  serving(): void {
    this.#served = true;
    this.parts.index.standby = false;
    this.parts.drift.clear();
    this.writers.clear();
    clearTimeout(this.#looking);
    this.#looking = undefined;
  }

  /**
   * Restores every copy that is not what the leader sent last, those included that another writer changes meanwhile; of one that was being
   * deleted before, the deletion becomes a request. Returns what stands against serving: the keys that could not be restored; empty: nothing.
   *
   * @param compare whether everything in the store is looked at first, which the watch may not have told
   */
  async restore(compare: boolean): Promise<string> {
    try {
      if (compare) await this.#lookAtAll();
    } catch (error) {
      return `the copy here cannot be compared with what the active sent last: ${reasonOf(error)}`;
    }
    for (let round = 1;; round++) {
      const wanted = this.#wanted();
      if (wanted.size === 0) return "";
      if (round > MAX_ROUNDS) {
        return `another writer keeps changing copies here: ${listed([...wanted.keys()])}`;
      }
      const failed = await this.#restoreAll(wanted);
      if (failed.length > 0) {
        return `another writer changed copies here, and they cannot be restored: ${listed(failed)}`;
      }
    }
  }

  async #lookAtAll(): Promise<void> {
    const { feed, drift, index, model } = this.parts;
    const present = await feed.catchUp();
    if (index.standby && model().memory.complete) drift.listed((key) => present.has(key), this.nowMs());
  }

  /** Each copy that is not what the leader sent last, with that. */
  #wanted(): Map<Key, string | undefined> {
    const { index, drift } = this.parts;
    const wanted = new Map(
      index.terminating().map(({ key, payload }) => [key, payload as string | undefined]),
    );
    for (const { key, payload } of drift.copies) wanted.set(key, payload);
    return wanted;
  }

  /** Returns the keys that could not be restored, with the reasons. */
  async #restoreAll(wanted: ReadonlyMap<Key, string | undefined>): Promise<string[]> {
    const { feed, log, writer } = this.parts;
    const failed: string[] = [];
    await pLimit(READS_AT_ONCE).map(wanted, async ([key, object]) => {
      try {
        await writer.apply({
          sequence: 0,
          key,
          changedAt: 0,
          restored: true,
          ...(object === undefined ? {} : { object }),
        });
        await feed.refresh(key);
        log.warn("a copy that another writer changed is restored to what the active sent last", {
          event: "copy_drifted",
          key,
        });
      } catch (error) {
        failed.push(`${key} (${reasonOf(error)})`);
      }
    });
    return failed;
  }

  /**
   * Whether a state may be from when this side was ACTIVE, and told late; where that cannot be known, every early one. Such a state is
   * found by comparing, and saved before it is overwritten. A deletion needs proof: without a mark it counts as another writer's.
   */
  #mayBeOwn({ version, deleted }: Pick<Entry, "version" | "deleted"> = NOTHING): boolean {
    if (version !== "" && this.#ownUpTo !== undefined) return Number(version) <= this.#ownUpTo;
    return !deleted && this.nowMs() - this.#steppedDownAtMs <= SETTLED_MS;
  }

  #look(afterMs: number): void {
    if (afterMs > 0 && this.#looking) return;
    clearTimeout(this.#looking);
    this.#looking = setTimeout(() => {
      this.#looking = undefined;
      this.#ask();
      if (this.parts.drift.size > 0) this.#look(LOOK_MS);
    }, afterMs);
  }

  #ask(): void {
    const { following, log, drift } = this.parts;
    if (!following.resend) return;
    const due = drift.due(this.nowMs(), MAX_ASKED, Math.random());
    if (due.length === 0) return;
    following.resend(due.map(({ key }) => key));
    for (const { key, change, manager, repairs } of due.slice(0, MAX_NAMED)) {
      log.warn("another writer changed this copy; the active's state is restored", {
        event: "copy_drifted",
        key,
        change,
        ...(manager === "" ? {} : { manager }),
        ...(repairs > 1 ? { times: repairs } : {}),
      });
    }
    if (due.length > MAX_NAMED) log.warn("as did others", { keys: due.length - MAX_NAMED });
  }
}

/** Names, as far as a message has room. */
function listed(names: readonly string[]): string {
  const more = names.length > MAX_TOLD ? ` and ${names.length - MAX_TOLD} more` : "";
  return `${names.slice(0, MAX_TOLD).join(", ")}${more}`;
}
