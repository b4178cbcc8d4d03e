/** Effects of the state machine, performed. */
import { deadline } from "@std/async/deadline";
import { delay } from "@std/async/delay";
import pLimit from "p-limit";
import { Refusal } from "../../domain/ha/refusal.ts";
import type { Effect, Input, Memory } from "../../domain/ha/state.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import { until } from "../../base/until.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Store } from "../ports/store.ts";
import type { Tenure } from "../ports/store_lock.ts";
import type { EffectRunner } from "./driver.ts";
import { writeMemory } from "./memory.ts";
import { type Asking, askPeer } from "./peer.ts";
import type { Replicas } from "./replica_sessions.ts";

/** How long a demotion waits for replicas to apply what they do not have yet. */
const DRAIN_MS = 5_000;
/** How often an ACTIVE asks its peer: this is how it learns of a higher epoch. */
const ASK_EVERY_MS = 5_000;
const REMEMBER_AGAIN_MS = 1_000;

/** Of the principal, what effects take. */
export interface EffectParts extends Asking {
  readonly settings: Asking["settings"] & { namespace: string };
  readonly store: Store;
  readonly tenure: Pick<Tenure, "holds">;
  readonly log: Log;
  readonly index: ChangeIndex;
  readonly replicas: Replicas;
  readonly counters: { recordMs: number };
  readonly losses: { proved(revision: number): void };
  /** Writes of the ACTIVE; `settled`: none is under way. */
  readonly activeStore: { settled(): Promise<unknown> };
  input(input: Input): void;
}

/** The scopes that effects open and end. */
export interface Acting {
  readonly follower: { start(): void; stop(): Promise<void> };
  readonly fleet: {
    open(durable: Promise<void>): void;
    close(why: string): Promise<void>;
    readonly ended: Promise<void>;
  };
  /** Copies that another writer changed; what `restore` says stands against serving. */
  readonly copies: {
    standby(): void;
    serving(): void;
    restore(compare: boolean): Promise<string>;
  };
  readonly writeBack: { serving(): void };
  readonly exposure: { serving(signal: AbortSignal): void; keep(): Promise<void> };
}

/** Opens and ends what only the active does, and everything else that the state machine asks for. */
export class Effects {
  #scope: AbortController | undefined;
  /** Counts memories to make durable: a retry gives way to the next memory. */
  #turn = 0;
  readonly #oneAtATime = pLimit(1);
  #asked = 0;
  #resting = false;

  constructor(
    private readonly ctx: EffectParts,
    private readonly parts: Acting,
  ) {}

  /** Undefined as soon as this process does not hold the lock on its store, before anything else notices. */
  get scope(): AbortSignal | undefined {
    return this.ctx.tenure.holds() ? this.#scope?.signal : undefined;
  }

  readonly run: EffectRunner = (effect) => {
    switch (effect.type) {
      case "askPeer":
        this.#ask(effect.afterMs ?? 0);
        return;
      case "record":
        return this.#record(effect);
      case "remember":
        return this.#remember(effect.memory).tried;
      case "follow":
        this.parts.copies.standby();
        this.parts.follower.start();
        return;
      case "stopFollowing":
        void this.#stopFollowing(effect.compare ?? false);
        return;
      case "serve":
        this.parts.copies.serving();
        this.#scope = new AbortController();
        this.ctx.losses.proved(0);
        this.parts.exposure.serving(this.#scope.signal);
        this.parts.fleet.open(effect.memory ? this.#remember(effect.memory).durable : Promise.resolve());
        this.parts.writeBack.serving();
        this.#watchPeer(this.#scope.signal);
        return;
      case "stopServing":
        return this.stopServing(effect.drain, "this principal is no longer ACTIVE");
    }
  };

  /** Waits until each counted replica that is still connected has applied everything, within a bounded time. */
  async #drained(): Promise<void> {
    const { replicas, index } = this.ctx;
    const drained = () => replicas.counted.every(({ appliedRevision }) => appliedRevision >= index.head);
    await until(drained, { changed: [replicas.onChange], withinMs: DRAIN_MS });
  }

  /**
   * Ends agents' streams at once, and replicas' streams at once or, with `drain`, when the replicas hold every change that was
   * acknowledged to agents, within a bounded time. Afterwards no write of an agent is in flight: as a replica, this side must
   * not overwrite the new active's state with late writes of its own.
   */
  async stopServing(drain: boolean, why: string): Promise<void> {
    const written = this.parts.fleet.close(why);
    if (!drain) this.#endScope(why);
    await deadline(written, DRAIN_MS).catch(() => {});
    if (drain) await this.#drained();
    this.#endScope(why);
    await deadline(this.ctx.activeStore.settled(), DRAIN_MS).catch(() => {});
  }

  /** Ends what the active does and what the replica does; nothing is retried any more. */
  async rest(reason: string): Promise<void> {
    this.#resting = true;
    // It begins its write while this side still serves, and the end of serving waits for writes in flight.
    void this.parts.exposure.keep();
    await this.stopServing(false, reason);
    const { fleet, follower } = this.parts;
    await fleet.ended;
    await follower.stop();
  }

  #endScope(why: string): void {
    this.#scope?.abort(new Refusal(why, "unavailable"));
    this.#scope = undefined;
  }

  /** A later question replaces an earlier one: only its answer counts. */
  async #ask(afterMs: number): Promise<void> {
    const asked = ++this.#asked;
    if (afterMs > 0) await delay(afterMs);
    if (this.#resting || asked !== this.#asked) return;
    const { peer, error, olderStore } = await askPeer(this.ctx);
    if (asked === this.#asked) {
      this.ctx.input({ type: "peerAnswer", peer, error, ...(olderStore ? { olderStore } : {}) });
    }
  }

  async #stopFollowing(compare: boolean): Promise<void> {
    await this.parts.follower.stop();
    this.ctx.input({ type: "stopped", problem: await this.parts.copies.restore(compare) });
  }

  async #record({ memory, compare = false }: Extract<Effect, { type: "record" }>): Promise<void> {
    const error = await this.#write(memory);
    const problem = compare && error === "" ? await this.parts.copies.restore(true) : "";
    this.ctx.input({ type: "recorded", error, ...(problem ? { problem } : {}) });
  }

  /** `tried`: once; `durable`: it is, or another one has taken its place. */
  #remember(memory: Memory): { tried: Promise<void>; durable: Promise<void> } {
    const writing = this.#write(memory);
    const turn = this.#turn;
    const durable = writing.then((error) => {
      if (!error) return;
      this.ctx.log.error("role and epoch could not be remembered; trying again", {
        event: "record_failed",
        error,
      });
      return this.#rememberLater(memory, turn);
    });
    return { tried: writing.then(() => {}), durable };
  }

  async #rememberLater(memory: Memory, turn: number): Promise<void> {
    while (!this.#resting) {
      await delay(REMEMBER_AGAIN_MS);
      if (this.#resting || turn !== this.#turn) return;
      const error = await this.#oneAtATime(() => turn === this.#turn ? this.#put(memory) : "");
      if (error === "") return;
    }
  }

  /** Replaces the present retry; returns the error, or undefined. */
  #write(memory: Memory): Promise<string> {
    this.#turn++;
    return this.#oneAtATime(() => this.#put(memory));
  }

  async #put(memory: Memory): Promise<string> {
    const { store, settings, counters } = this.ctx;
    const startedAt = monotonicMs();
    try {
      await writeMemory(store, settings.namespace, memory);
      counters.recordMs = monotonicMs() - startedAt;
      return "";
    } catch (error) {
      return reasonOf(error);
    }
  }

  async #watchPeer(signal: AbortSignal): Promise<void> {
    if (this.ctx.settings.peerAddress === "") return;
    while (!signal.aborted) {
      const { peer } = await askPeer(this.ctx);
      if (signal.aborted) return;
      this.ctx.input(peer ? { type: "heard", peer } : { type: "peerSilent" });
      await delay(ASK_EVERY_MS, { signal }).catch(() => {});
    }
  }
}
