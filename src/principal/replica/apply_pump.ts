/** The pump moves changes from an applier into the store, in parallel across keys, and reports progress. */
import type { Applier, IncomingChange } from "../../domain/replication/applier.ts";
import { parseKey } from "../../domain/resources/keys.ts";
import { RETRY_REFUSED, RETRY_WRITE } from "../../base/backoff.ts";
import { StoreError, type StoreErrorCode } from "../ports/store.ts";
import { monotonicMs } from "../../base/clock.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Log } from "../../base/log.ts";
import type { SaidOnce } from "../core/said_once.ts";
import type { Counting } from "../core/counters.ts";

/** Writes asked for at once; the store bounds and groups them further. */
const CONCURRENT_WRITES = 256;
/** How often held keys are looked at. */
const RETRY_LOOK_MS = 200;

/** Answers that will be the same until a person changes something. */
const LASTING: readonly StoreErrorCode[] = ["invalid", "forbidden", "notFound"];

/** The part of the replica that a pump needs. */
export interface PumpEvents {
  apply(change: IncomingChange): Promise<void>;
  /** Before changes are taken, and now and then: decides about deletions that were gathered. */
  decide(): void;
  /** After some writes came back. */
  settled(): void;
  /** Whether a snapshot is complete: failures before count as the snapshot's. */
  live(): boolean;
}

export class ApplyPump {
  #stopped = false;
  #scheduled = false;
  #idle: (() => void) | undefined;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(
    private readonly applier: Applier,
    private readonly events: PumpEvents,
    private readonly ctx: { counters: Counting; log: Log; heldLines: SaidOnce },
  ) {
    this.#timer = setInterval(() => this.kick(), RETRY_LOOK_MS);
  }

  /** Call after changes were offered. */
  kick(): void {
    if (this.#stopped) return;
    this.events.decide();
    for (const change of this.applier.take(CONCURRENT_WRITES - this.applier.inFlight, monotonicMs())) {
      this.events.apply(change).then(
        () => {
          this.applier.succeeded(change);
          this.ctx.counters.increment("eventsApplied");
        },
        (error) => {
          const reason = reasonOf(error);
          this.applier.failed(change, reason, monotonicMs(), Math.random(), policyFor(error));
          this.#count(change, reason);
        },
      ).then(() => this.#schedule());
    }
  }

  /** Starts no more writes and waits for those in flight. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    if (this.applier.inFlight > 0) await new Promise<void>((resolve) => this.#idle = resolve);
  }

  #count({ key, object }: IncomingChange, reason: string): void {
    const { counters, log, heldLines } = this.ctx;
    counters.increment("applyErrors");
    if (!this.events.live()) counters.increment("snapshotApplyErrors");
    const operation = object === undefined ? "delete" : "upsert";
    counters.increment("operationErrors", { kind: parseKey(key)?.kind ?? "unknown", operation });
    const leftOut = heldLines.due(`${parseKey(key)?.kind} ${operation}: ${reason}`, monotonicMs());
    if (!leftOut) return;
    const facts = { key: key.slice(0, 300), reason, ...leftOut };
    log.warn("change held, will be retried; ha status lists what is held", {
      event: "change_held",
      ...facts,
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      this.kick();
      this.events.settled();
      if (this.#stopped && this.applier.inFlight === 0) this.#idle?.();
    });
  }
}

function policyFor(error: unknown) {
  return error instanceof StoreError && LASTING.includes(error.code) ? RETRY_REFUSED : RETRY_WRITE;
}
