/** The planned move, performed by the ACTIVE side. Its phases and when they can be undone: src/domain/ha/switchover.ts. */
import { deadline } from "@std/async/deadline";
import { delay } from "@std/async/delay";
import { monotonicMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import { until } from "../../base/until.ts";
import type { Digest } from "../../domain/changes/digest.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import { type Noted, noted } from "../../domain/ha/concerns.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import type { Command, Model, Standing } from "../../domain/ha/state.ts";
import { outcomeText, type Receipt, switchoverProblem } from "../../domain/ha/switchover.ts";
import type { Fleet } from "../active/fleet.ts";
import { type Asking, askPeer, EXAMINE_MS } from "../core/peer.ts";
import type { ExposureKeeper } from "../core/exposure.ts";
import type { OperationTraces } from "../core/operation_traces.ts";
import type { Replicas } from "../core/replica_sessions.ts";
import { type PeerConnection, PeerError, type Repaired, type SwitchoverRequest } from "../ports/peer.ts";
import type { LossManifest } from "../replica/loss_manifest.ts";
import { type ComparingParts, differingKeys } from "./comparing.ts";
import { type Machine, withOutcome } from "./machine.ts";
import { Phases, type Tell } from "./switchover_phases.ts";
import { mend, tellsHeld, unmended, untilApplied } from "./mending.ts";

const DEFAULT_TIMEOUT_MS = 30_000;
/** How long the hand-over is retried where no answer comes, and how long each attempt waits. */
const STEP_MS = 20_000;
const WORD_MS = 5_000;
/** Afterwards, with nothing left to undo: how long the old active may take to follow, and agents to come back. */
const FOLLOW_MS = 20_000;
const AGENTS_MS = 15_000;
const ASK_EVERY_MS = 50;
/** A replica's write is in its own index after this time at the latest. */
const SEEN_MS = 2_000;
/** Repairing takes at most this part of the time that is left. */
const MEND_SHARE = 3;
/** A call before the step is given at least this long. */
const CALL_MS = 500;

/** The parts that a switchover needs. */
export interface SwitchoverParts extends Machine, Asking {
  readonly log: Log;
  readonly operations: OperationTraces;
  readonly index: ChangeIndex;
  readonly replicas: Replicas;
  /** The replica's part: its copies, which are restored before it serves. */
  readonly copies: { received(): Digest };
  readonly comparison: ComparingParts["comparison"];
  readonly losses: Pick<LossManifest, "proved">;
  readonly exposure: Pick<ExposureKeeper, "handedOver">;
  fleet(): Pick<Fleet, "freeze" | "thaw">;
  storeProblem(): string;
  redial(): void;
  activeScope(): AbortSignal | undefined;
  command(kind: "promote" | "demote", force: boolean, who: string, by: "switchover"): Promise<Model>;
  handover(word: Extract<Command, { type: "prepare" | "takeOver" }>): Promise<Model>;
}

export class Switchover {
  constructor(private readonly ctx: SwitchoverParts) {}

  /** From either side: here where this principal is ACTIVE, otherwise at the peer. @throws Refusal as `run` */
  async ask(request: SwitchoverRequest, tell: Tell): Promise<Receipt> {
    const { ctx } = this;
    if (ctx.activeScope() || ctx.settings.peerAddress === "") return await this.run(request, tell);
    const connection = ctx.peer.connect();
    try {
      return await connection.switchover(request, tell);
    } catch (error) {
      const refused = error instanceof PeerError && error.kind === "refused";
      throw new Refusal(refused ? error.message : `cannot ask the ACTIVE peer: ${reasonOf(error)}`);
    } finally {
      connection.close();
    }
  }

  /** Plays all phases. @throws Refusal: nothing is changed, or what was is undone, as the message says */
  async run(request: SwitchoverRequest, tell: Tell): Promise<Receipt> {
    const { ctx } = this;
    const options = { ...request, timeoutMs: request.timeoutMs || DEFAULT_TIMEOUT_MS };
    const play = () => new Move(ctx, options, tell).play();
    if (options.dryRun) return await play();
    return await withOutcome(ctx, "switchover", options.who, play, outcomeText);
  }

  /** The replica's part: the digest of what it would serve, when that is `expected` or after a while. */
  async prove(expected: string): Promise<string> {
    const { index, copies } = this.ctx;
    const digest = () => copies.received();
    await until(() => digest() === expected, {
      changed: [(notify) => index.onChange(notify)],
      withinMs: SEEN_MS,
    });
    return digest();
  }

  /** The replica's part: gets ready for the next epoch, and says which that is. @throws Refusal */
  async prepare(active: Standing, who: string): Promise<number> {
    this.ctx.note("switchover", who);
    const { memory } = await this.ctx.handover({ type: "prepare", peer: active });
    return memory.promised;
  }

  /** The replica's part: becomes ACTIVE. @throws Refusal */
  async takeOver(active: Standing, epoch: number): Promise<void> {
    const revision = this.ctx.index.head;
    await this.ctx.handover({ type: "takeOver", peer: active, epoch });
    this.ctx.exposure.handedOver(active.uid, revision);
  }
}

/** Before the step everything is as it was. @throws Refusal */
function unchanged(error: unknown): never {
  throw new Refusal(`${reasonOf(error)}; nothing was changed, this principal serves on`);
}

/** The outcome of one takeover message. */
interface Answer {
  after: Standing | undefined;
  refused: boolean;
  reason: string;
}

/** One switchover under way. */
class Move {
  readonly #phases: Phases;
  /** Keys that the replica was to take again, and that differed afterwards. */
  #unmended: Repaired["failed"] = [];
  readonly #deadline: number;
  /** Open all the time: between the two there is no time to dial. */
  #connection: PeerConnection | undefined;

  constructor(
    private readonly ctx: SwitchoverParts,
    private readonly options: SwitchoverRequest,
    tell: Tell,
  ) {
    this.#phases = new Phases(ctx.log, tell, ctx.operations.tracing);
    this.#deadline = this.#phases.startedAt + options.timeoutMs;
  }

  get #who(): string {
    return `${this.options.who}, switchover`;
  }

  get #peer(): PeerConnection {
    return this.#connection ??= this.ctx.peer.connect();
  }

  play(): Promise<Receipt> {
    const { who, dryRun } = this.options;
    return this.ctx.operations.act("ha.switchover", { "ha.who": who, "ha.dry_run": dryRun }, async () => {
      try {
        return await this.#begun();
      } catch (error) {
        this.#phases.failed(error);
        throw error;
      }
    });
  }

  async #begun(): Promise<Receipt> {
    const problem = await this.#preflight();
    const end = await this.ctx.begin("switchover", problem);
    try {
      return await this.#play();
    } finally {
      end();
      this.#connection?.close();
    }
  }

  async #play(): Promise<Receipt> {
    const { ctx } = this;
    const before = ctx.standing();
    this.#phases.finish("preflight");
    const receipt: Omit<Receipt, "differing"> = {
      before,
      epochBefore: before.epoch,
      agentsBefore: before.connectedAgents,
      resources: ctx.index.size,
      dryRun: this.options.dryRun,
      phases: this.#phases.done,
    };
    const differing = await this.#mended().catch(unchanged);
    if (this.options.dryRun) return { ...receipt, differing };
    const { epoch, ...cut } = await this.#untilReady().catch((error) => {
      ctx.fleet().thaw();
      return unchanged(error);
    });
    ctx.losses.proved(cut.cutRevision);
    const after = await this.#step(epoch);
    await this.#follow();
    const agentsBack = await this.#agents(before.connectedAgents);
    return { ...receipt, ...cut, differing, after, epochAfter: after.epoch, lostAcknowledged: 0, agentsBack };
  }

  /** The fact outside the state machine that forbids a switchover; empty: none. */
  async #preflight(): Promise<string> {
    const { ctx } = this;
    this.#phases.say("preflight", "asking the peer, looking at what follows");
    const { peer, error, condition } = await askPeer(ctx, { examineMs: EXAMINE_MS });
    return switchoverProblem({
      own: ctx.standing(),
      peerAddress: ctx.settings.peerAddress,
      replicas: [...ctx.replicas],
      peer,
      peerError: error,
      peerMissing: condition?.missing,
      peerLacks: condition?.concerns.dependencies,
      storeProblem: ctx.storeProblem(),
    });
  }

  /**
   * The keys that differ, which the replica has taken again unless this is a forecast. A copy that others change again and again may differ
   * afterwards; the proof decides, for a takeover restores it. @throws Error with those that it cannot take
   */
  async #mended(settleMs?: number): Promise<Noted> {
    const { ctx, options: { dryRun } } = this;
    this.#unmended = [];
    const keys = await differingKeys(ctx, this.#peer, settleMs);
    if (keys.length === 0 || dryRun) return noted(keys);
    const keysText = `${keys.length.toLocaleString("en-US")} keys`;
    this.#phases.say("preflight", `repairing at the replica what differs: ${keysText}`);
    const timeoutMs = Math.ceil(this.#leftMs() / MEND_SHARE);
    const request = { standing: ctx.standing(), who: this.#who, timeoutMs };
    const { failed } = await mend(this.#peer, keys, request);
    this.#unmended = failed;
    if (failed.length > 0 && await tellsHeld(ctx.replicas)) {
      throw new Error(`switchover undone: ${unmended(failed)}`);
    }
    return noted(keys);
  }

  /** Everything that can be undone by doing nothing more. */
  async #untilReady() {
    const cut = await this.#untilCut();
    return { ...cut, epoch: await this.#prepare() };
  }

  /** Freezes, waits until the replica has everything, and compares digests. @throws Error when that is not in time */
  async #untilCut(): Promise<{ cutRevision: number; digestActive: string; digestReplica: string }> {
    const { ctx } = this;
    this.#phases.say("freeze", "no more events of agents are taken; finishing what was");
    await this.#inTime(ctx.fleet().freeze(), "the events in hand are not written in time");
    this.#phases.finish("freeze");
    for (let tries = 1;; tries++) {
      const revision = ctx.index.head;
      const digest = ctx.index.digests.root();
      this.#phases.say("cut", `at revision ${revision}; waiting until the replica has applied it`);
      await this.#applied(revision);
      const theirs = await this.#peer.prove(digest, this.#leftMs(SEEN_MS));
      if (ctx.index.head !== revision) {
        if (monotonicMs() > this.#deadline) throw this.#late("this side's resources change all the time");
        continue;
      }
      this.#phases.finish("cut");
      if (theirs !== digest) {
        if (tries === 1) {
          await this.#mended(0);
          continue;
        }
        throw new Error(await this.#differ(digest, theirs));
      }
      this.#phases.say("proof", `both digests are ${digest}`);
      this.#phases.finish("proof");
      return { cutRevision: revision, digestActive: digest, digestReplica: theirs };
    }
  }

  /** Names what differs although it was repaired. */
  async #differ(ours: string, theirs: string): Promise<string> {
    if (this.#unmended.length > 0) return `switchover undone: ${unmended(this.#unmended)}`;
    const keys = await differingKeys(this.ctx, this.#peer, 0).catch(() => []);
    const named = keys.length > 0 ? `: ${noted(keys).examples.join(", ")}` : "";
    return `switchover undone: the digests differ at the cut (ours ${ours}, the replica's ${theirs})${named}; see: ha diff`;
  }

  /** Waits until a replica has applied a revision. @throws Error when none does in time */
  async #applied(revision: number): Promise<void> {
    const how = await untilApplied(this.ctx.replicas, revision, this.#deadline);
    if (how === "gone") throw new Error("switchover undone: the replica's stream is gone");
    if (how === "late") throw this.#late("the replica has not applied everything in time");
  }

  /** Returns the epoch that the replica has recorded. */
  async #prepare(): Promise<number> {
    this.#phases.say("prepare", "the replica records the next epoch");
    const request = { standing: this.ctx.standing(), who: this.#who };
    const promised = await this.#peer.prepare(request, this.#leftMs());
    if (promised <= this.ctx.model().memory.epoch) throw new Error("the replica promises no epoch");
    this.#phases.finish("prepare");
    return promised;
  }

  /** From here on there is exactly one way back, and it is only taken when the replica has said that it did not begin. */
  async #step(epoch: number): Promise<Standing> {
    const { ctx } = this;
    this.#phases.say("step", "handing over");
    try {
      await ctx.command("demote", false, this.#who, "switchover");
    } catch (error) {
      ctx.fleet().thaw();
      throw new Refusal(
        `switchover undone before anything was handed over: ${reasonOf(error)}; this principal serves on`,
      );
    }
    const after = await this.#handOver(epoch);
    this.#phases.finish("step");
    return after;
  }

  /**
   * Hands over, and retries where the word may not have arrived; the peer's own standing decides. Only when the first word was refused is it
   * certain that none has been taken.
   */
  async #handOver(epoch: number): Promise<Standing> {
    const { ctx } = this;
    const untilMs = monotonicMs() + STEP_MS;
    for (let tries = 1;; tries++) {
      const { after, refused, reason } = await this.#word(epoch);
      if (after?.state === "active") return after;
      const { peer } = await askPeer(ctx);
      if (peer?.state === "active") return peer;
      if (peer && refused && tries === 1) {
        await ctx.command("promote", false, `${this.#who} undone`, "switchover");
        throw new Refusal(
          `switchover undone: the replica did not take over: ${reason}; this principal is ACTIVE again`,
        );
      }
      if (monotonicMs() > untilMs || ctx.model().state === "active") {
        throw new Refusal(
          `switchover not finished: this principal has given up and the peer does not say that it is ACTIVE (${reason}). ` +
            "Look at its ha status; if it is not ACTIVE: ha promote there, or here if it is dead",
        );
      }
      await delay(ASK_EVERY_MS);
      this.#connection?.close();
      this.#connection = undefined;
    }
  }

  async #word(epoch: number): Promise<Answer> {
    try {
      const after = await this.#peer.takeOver({ standing: this.ctx.standing(), epoch }, WORD_MS);
      return { after, refused: false, reason: `the peer is ${after?.state ?? "of an unknown state"}` };
    } catch (error) {
      const refused = error instanceof PeerError && error.kind === "refused";
      return { after: undefined, refused, reason: reasonOf(error) };
    }
  }

  async #follow(): Promise<void> {
    const { ctx } = this;
    this.#phases.say("follow", "the peer is ACTIVE; following it");
    ctx.redial();
    const follows = () => ctx.model().state === "replicating";
    await until(follows, { changed: [(notify) => ctx.onModel(notify)], withinMs: FOLLOW_MS });
    this.#phases.finish("follow");
  }

  /** How many agents are back, waiting for as many as there were. */
  async #agents(before: number): Promise<number> {
    if (before > 0) this.#phases.say("agents", `waiting for ${before} agents to come back`);
    const untilMs = monotonicMs() + AGENTS_MS;
    for (;;) {
      const back = (await askPeer(this.ctx)).peer?.connectedAgents ?? 0;
      if (back >= before || monotonicMs() > untilMs) {
        this.#phases.finish("agents");
        return back;
      }
      await delay(ASK_EVERY_MS);
    }
  }

  /** How long a call before the step may take. */
  #leftMs(extraMs = 0): number {
    return extraMs + Math.max(CALL_MS, this.#deadline - monotonicMs());
  }

  #late(what: string): Error {
    return new Error(`switchover undone: ${what} (${this.options.timeoutMs} ms)`);
  }

  async #inTime(work: Promise<void>, what: string): Promise<void> {
    const leftMs = Math.max(0, this.#deadline - monotonicMs());
    await deadline(work, leftMs).catch((error) => {
      throw error instanceof DOMException && error.name === "TimeoutError" ? this.#late(what) : error;
    });
  }
}
