/**
 * Keeps the exposure of this side while it is ACTIVE: hears what replicas acknowledge and what changes, and keeps in the store, at a
 * low rate, when a replica last had everything (ConfigMap `argocd-agent-ha-copy`, not replicated), so that a restart knows it.
 */
import { onAbort } from "../../base/abort.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import { Copies, type Exposure } from "../../domain/ha/exposure.ts";
import type { Model } from "../../domain/ha/state.ts";
import { configMap, dataOf } from "../../domain/resources/config_map.ts";
import { keyOf } from "../../domain/resources/keys.ts";
import type { Store } from "../ports/store.ts";
import type { Comparison } from "./concerns.ts";
import type { Replicas, ReplicaSession } from "./replica_sessions.ts";

const NAME = "argocd-agent-ha-copy";
const KEEP_EVERY_MS = 60_000;
/** The record is written anew after this time even where nothing has changed. */
const RENEW_MS = 600_000;

/** A replica's copy as the store remembers it; times in unix ms. */
interface Kept {
  epoch: number;
  replica: string;
  heldAtMs: number;
  equalAtMs: number;
  /** Of everything, where the copy had everything; empty: it had not. */
  digest: string;
}

/** Of the principal, what its exposure takes. */
export interface ExposureParts {
  readonly index: ChangeIndex;
  readonly replicas: Replicas;
  readonly comparison: Pick<Comparison, "equal">;
  readonly settings: { readonly namespace: string };
  readonly log: Log;
  readonly store: Pick<Store, "get">;
  /** For what only the ACTIVE writes. */
  readonly activeStore: Pick<Store, "write">;
  model(): Model;
}

/** Part of a principal. */
export class ExposureKeeper {
  readonly #copies: Copies;
  #kept: Kept | undefined;
  #connected = new Set<string>();

  constructor(private readonly parts: ExposureParts) {
    const { index, replicas } = parts;
    this.#copies = new Copies(index);
    index.onChange(() => this.#copies.changed(monotonicMs()));
    replicas.onChange(() => this.#look());
  }

  /** Reads an earlier process's record. @throws StoreError */
  async load(): Promise<void> {
    const found = await this.parts.store.get(keyOf("ConfigMap", this.parts.settings.namespace, NAME));
    this.#kept = found && keptOf(dataOf(found));
  }

  /** This side serves from now on, until the signal aborts. */
  serving(signal: AbortSignal): void {
    this.#copies.clear();
    this.#recall();
    const timer = setInterval(() => void this.keep(), KEEP_EVERY_MS);
    onAbort(signal, () => clearInterval(timer));
  }

  /** The other side has handed over with everything that this one had at `revision`. */
  handedOver(replica: string, revision: number): void {
    const nowMs = monotonicMs();
    this.#copies.progressed(
      replica,
      { applied: revision, received: revision, unwritten: 0, equalAtMs: nowMs },
      nowMs,
    );
    this.#copies.gone(replica);
  }

  now(): Exposure {
    return this.#copies.exposure(monotonicMs());
  }

  #recall(): void {
    const { index, model } = this.parts;
    const kept = this.#kept;
    if (kept?.epoch !== model().memory.epoch) return;
    const sinceMs = (atMs: number) => monotonicMs() - Math.max(0, Date.now() - atMs);
    const same = kept.digest !== "" && kept.digest === index.digests.root();
    this.#copies.remembered({
      replica: kept.replica,
      heldAtMs: same ? monotonicMs() : sinceMs(kept.heldAtMs),
      equalAtMs: kept.equalAtMs === 0 ? 0 : sinceMs(kept.equalAtMs),
      same,
    });
  }

  #look(): void {
    const { replicas, comparison } = this.parts;
    // The last stream of an identity counts: of an earlier one the end may not have been noticed.
    const { counted } = replicas;
    const last = new Map(counted.map((session) => [session.identity, session]));
    const connected = new Map([...last.values()].map((session) => [nameOf(session), session]));
    for (const name of this.#connected) if (!connected.has(name)) this.#copies.gone(name);
    this.#connected = new Set(connected.keys());
    const nowMs = monotonicMs();
    for (const [name, session] of connected) {
      const { receivedRevision, appliedRevision, unwritten, equalAtMs } = session;
      const applied = receivedRevision === undefined ? undefined : appliedRevision;
      this.#copies.progressed(
        name,
        { applied, received: receivedRevision ?? 0, unwritten, equalAtMs },
        nowMs,
      );
      if (equalAtMs > 0) comparison.equal(equalAtMs);
    }
  }

  /** Makes the present knowledge durable where it has changed; a failure is only told. */
  async keep(): Promise<void> {
    const { index, model, activeStore, settings, log } = this.parts;
    const nowMs = monotonicMs();
    const best = this.#copies.best(nowMs);
    if (!best) return;
    const unixMs = (atMs: number) => Math.round(Date.now() - (nowMs - atMs));
    const { unacknowledged } = this.#copies.exposure(nowMs);
    const next: Kept = {
      epoch: model().memory.epoch,
      replica: best.replica,
      heldAtMs: unixMs(best.heldAtMs),
      equalAtMs: best.equalAtMs === 0 ? 0 : unixMs(best.equalAtMs),
      digest: unacknowledged === 0 ? index.digests.root() : "",
    };
    if (this.#kept && !isWorthWriting(this.#kept, next)) return;
    const data = Object.fromEntries(Object.entries(next).map(([name, value]) => [name, String(value)]));
    try {
      await activeStore.write({ op: "put", object: configMap(settings.namespace, NAME, data) });
      this.#kept = next;
    } catch (error) {
      log.debug("the state of the replica's copy could not be kept; tried again later", {
        reason: reasonOf(error),
      });
    }
  }
}

function isWorthWriting(before: Kept, next: Kept): boolean {
  const same = before.epoch === next.epoch && before.replica === next.replica &&
    before.digest === next.digest && next.digest !== "";
  return !same || next.heldAtMs - before.heldAtMs > RENEW_MS;
}

function keptOf({ epoch, replica, heldAtMs, equalAtMs, digest }: Record<string, unknown>): Kept | undefined {
  const kept = {
    epoch: Number(epoch),
    replica: String(replica),
    heldAtMs: Number(heldAtMs),
    equalAtMs: Number(equalAtMs),
    digest: String(digest),
  };
  return [kept.epoch, kept.heldAtMs, kept.equalAtMs].every(Number.isFinite) ? kept : undefined;
}

function nameOf({ standing, identity }: ReplicaSession): string {
  return standing?.uid || identity;
}
