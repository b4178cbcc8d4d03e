/**
 * The peer's store as it was last heard of, in the ConfigMap `argocd-agent-ha-peer-store`: by that, a peer whose store was restored from
 * an older copy is known, here when it is to be followed and there before it serves. What was heard last is durable a few seconds later,
 * and when a stream ends: where this process dies before, a restored store may pass for whole. Beside it stands until when this copy had
 * everything, at most a minute old, so that a restart without the leader still bounds what a promotion loses.
 */
import { delay } from "@std/async/delay";
import { monotonicMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Standing } from "../../domain/ha/state.ts";
import { copyOf, isOlder, type OlderCopy, type StorePoint } from "../../domain/ha/store_history.ts";
import { configMap, dataOf } from "../../domain/resources/config_map.ts";
import { keyOf } from "../../domain/resources/keys.ts";
import type { Store } from "../ports/store.ts";

const NAME = "argocd-agent-ha-peer-store";
const SAVE_EVERY_MS = 5_000;
const RETRY_MS = 1_000;
/** The time of the last equality alone is written at most this often. */
const IN_SYNC_EVERY_MS = 60_000;

/** Until when a copy had everything that its leader had. */
export interface InSync {
  epoch: number;
  /** In unix ms, on this side's clock. */
  atMs: number;
}

export class PeerStore {
  #seen: StorePoint | undefined;
  /** The store that is followed although it is older: it counts when this copy has become the same. */
  #older: StorePoint | undefined;
  #saved: StorePoint | undefined;
  #savedAtMs = -Infinity;
  #inSync: InSync | undefined;
  #savedInSync: InSync | undefined;
  #before: { inSync: InSync; startedAtMs: number } | undefined;
  #flushing = false;
  #stopped = false;

  constructor(
    private readonly store: Pick<Store, "get" | "write">,
    private readonly namespace: string,
    private readonly log: Log,
  ) {}

  /** Reads what an earlier process kept. @throws StoreError */
  async load(): Promise<void> {
    const found = await this.store.get(keyOf("ConfigMap", this.namespace, NAME));
    const { mark, version, heardAtMs, inSyncEpoch, inSyncAtMs } = dataOf(found);
    if (typeof mark === "string" && mark !== "") {
      this.#seen = { mark, version: Number(version), atMs: Number(heardAtMs) || 0 };
    }
    this.#saved = this.#seen;
    const inSync = { epoch: Number(inSyncEpoch), atMs: Number(inSyncAtMs) };
    if (!(inSync.atMs > 0)) return;
    this.#inSync = this.#savedInSync = inSync;
    this.#before = { inSync, startedAtMs: Date.now() };
  }

  /** The last equality that an earlier process kept, and when this one read it. */
  get before(): { inSync: InSync; startedAtMs: number } | undefined {
    return this.#before;
  }

  /** This copy has everything that its leader had at a time. */
  inSync(inSync: InSync): void {
    this.#inSync = inSync;
    const { epoch = 0, atMs = 0 } = this.#savedInSync ?? {};
    if (inSync.epoch !== epoch || inSync.atMs - atMs >= IN_SYNC_EVERY_MS) void this.flush();
  }

  get seen(): StorePoint | undefined {
    return this.#seen;
  }

  /** A leader has welcomed this side. The copy that its store was restored from since it was last heard of; undefined: it was not. */
  welcomed(marks: readonly StorePoint[]): OlderCopy | undefined {
    const last = marks.at(-1);
    const older = isOlder(marks, this.#seen);
    const copy = older ? copyOf(marks, this.#seen) : undefined;
    this.#older = older ? last : undefined;
    if (last && !older) this.#take(last);
    return copy;
  }

  /** The leader that welcomed this side has told how far its store is. */
  saw(point: StorePoint | undefined): void {
    if (point && this.#older) this.#older = point;
    else if (point) this.#take(point);
  }

  /** This copy has become the leader's. */
  complete(): void {
    if (this.#older) this.#take(this.#older);
    this.#older = undefined;
  }

  /** A replica has acknowledged. Where its copy is not complete, it may have lost what it had. */
  acknowledged({ state, store }: Standing): void {
    if (store && (store.mark === this.#seen?.mark || state === "replicating")) this.#take(store);
  }

  #take(point: StorePoint): void {
    const same = point.mark === this.#seen?.mark;
    const version = same ? Math.max(point.version, this.#seen?.version ?? 0) : point.version;
    this.#seen = { mark: point.mark, version, atMs: Date.now() };
    const due = !same || monotonicMs() - this.#savedAtMs >= SAVE_EVERY_MS;
    if (due && !this.#isPointSaved) void this.flush();
  }

  /** Makes durable what was heard last; tries until that is done. */
  async flush(): Promise<void> {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#savedAtMs = monotonicMs();
    while (!this.#stopped && !this.#isSaved) {
      try {
        await this.#save();
      } catch (error) {
        this.log.debug("what is known of the peer's store could not be kept", { error: reasonOf(error) });
        await delay(RETRY_MS);
      }
    }
    this.#flushing = false;
  }

  /** Ends every retry, after one last try. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (!this.#isSaved) await this.#save().catch(() => {});
  }

  get #isSaved(): boolean {
    return this.#isPointSaved && this.#inSync?.epoch === this.#savedInSync?.epoch &&
      this.#inSync?.atMs === this.#savedInSync?.atMs;
  }

  get #isPointSaved(): boolean {
    return this.#seen?.mark === this.#saved?.mark && this.#seen?.version === this.#saved?.version;
  }

  async #save(): Promise<void> {
    const [seen, inSync] = [this.#seen, this.#inSync];
    const data = {
      ...(seen ? { mark: seen.mark, version: String(seen.version), heardAtMs: String(seen.atMs ?? 0) } : {}),
      ...(inSync ? { inSyncEpoch: String(inSync.epoch), inSyncAtMs: String(inSync.atMs) } : {}),
    };
    await this.store.write({ op: "put", object: configMap(this.namespace, NAME, data) });
    this.#saved = seen;
    this.#savedInSync = inSync;
  }
}
