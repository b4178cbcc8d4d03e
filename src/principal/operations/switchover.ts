/** The planned move, performed by the ACTIVE side. What it does and when it can be undone: src/domain/ha/switchover.ts. */
import { delay } from "@std/async/delay";
import type { Model, Standing } from "../../domain/ha/state.ts";
import { type Phase, type Progress, type Receipt, switchoverProblem } from "../../domain/ha/switchover.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Context } from "../core/context.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import { type PeerConnection, PeerError } from "../ports/peer.ts";
import { askPeer, EXAMINE_MS, type PeerAnswer } from "../core/peer.ts";
import { reasonOf } from "../../base/reason.ts";

export const DEFAULT_TIMEOUT_MS = 30_000;
const LOOK_MS = 2;
/** How long the word is given again where nothing comes back, and how long each time waits for an answer. */
const STEP_MS = 20_000;
const WORD_MS = 5_000;
/** Afterwards, with nothing left to undo: how long the old active may take to follow, and agents to come back. */
const FOLLOW_MS = 20_000;
const AGENTS_MS = 15_000;
const ASK_EVERY_MS = 50;
/** What a replica has written is in its own index after this time at the latest. */
const SEEN_MS = 2_000;

export interface SwitchoverOptions {
  /** Who asked for it, as far as is known. */
  who: string;
  dryRun: boolean;
  /** 0: `DEFAULT_TIMEOUT_MS`. */
  timeoutMs: number;
}

/** One switchover at a time. */
export class Switchover {
  #running = false;

  constructor(private readonly ctx: Context) {}

  /** Plays all phases. @throws Refusal: nothing is changed, or what was is undone, as the message says */
  async run(options: SwitchoverOptions, tell: (progress: Progress) => void): Promise<Receipt> {
    if (this.#running) {
      throw new Refusal("cannot switch over: a switchover is under way already; see: ha watch");
    }
    this.#running = true;
    try {
      const timeoutMs = options.timeoutMs || DEFAULT_TIMEOUT_MS;
      return await new Move(this.ctx, { ...options, timeoutMs }, tell).play();
    } finally {
      this.#running = false;
    }
  }

  /** An operator's command, which a switchover that is under way does not bear without `force`. @throws Refusal */
  async command(kind: "promote" | "demote", force: boolean, who: string): Promise<Model> {
    if (this.#running && !force) {
      throw new Refusal(`cannot ${kind}: a switchover is under way; wait for it, see: ha watch`);
    }
    return await this.ctx.command(kind, force, who);
  }

  /** The replica's part: what it has, when that is `expected` or after a while. */
  async prove(expected: string): Promise<string> {
    const digest = () => this.ctx.index.digests.root();
    await within(SEEN_MS, () => digest() === expected);
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
    await this.ctx.handover({ type: "takeOver", peer: active, epoch });
  }
}

/** What came of giving the word once. */
interface Answer {
  after: Standing | undefined;
  refused: boolean;
  reason: string;
}

/** Waits for a condition for a time, and says whether it came true. */
async function within(ms: number, holds: () => boolean): Promise<boolean> {
  const until = monotonicMs() + ms;
  while (!holds()) {
    if (monotonicMs() > until) return false;
    await delay(LOOK_MS);
  }
  return true;
}

/** One switchover under way. */
class Move {
  readonly #startedAt = monotonicMs();
  readonly #phases: { phase: Phase; ms: number }[] = [];
  #phaseAt = monotonicMs();
  readonly #deadline: number;
  /** Open all the time: between the two there is no time to dial. */
  #peer: PeerConnection;

  constructor(
    private readonly ctx: Context,
    private readonly options: SwitchoverOptions,
    private readonly tell: (progress: Progress) => void,
  ) {
    this.#deadline = this.#startedAt + options.timeoutMs;
    this.#peer = ctx.peer.connect();
  }

  get #who(): string {
    return `${this.options.who}, switchover`;
  }

  async play(): Promise<Receipt> {
    try {
      return await this.#play();
    } finally {
      this.#peer.close();
    }
  }

  async #play(): Promise<Receipt> {
    const { ctx } = this;
    const before = ctx.standing();
    await this.#preflight();
    const receipt: Receipt = {
      before,
      epochBefore: before.epoch,
      agentsBefore: before.connectedAgents,
      resources: ctx.index.size,
      dryRun: this.options.dryRun,
      phases: this.#phases,
    };
    if (this.options.dryRun) return receipt;
    const { epoch, ...cut } = await this.#untilReady().catch((error) => {
      ctx.fleet().thaw();
      throw new Refusal(`${reasonOf(error)}; nothing was changed, this principal serves on`);
    });
    Object.assign(receipt, cut);
    ctx.losses.proved(cut.cutRevision);
    const after = await this.#step(epoch);
    Object.assign(receipt, { after, epochAfter: after.epoch, lostAcknowledged: 0 });
    await this.#follow();
    receipt.agentsBack = await this.#agents(before.connectedAgents);
    return receipt;
  }

  async #preflight(): Promise<void> {
    const { ctx } = this;
    this.#say("preflight", "asking the peer, looking at what follows");
    const { peer, error, condition } = await askPeer(ctx, { examineMs: EXAMINE_MS });
    const problem = switchoverProblem({
      own: ctx.standing(),
      busy: ctx.model().operation !== undefined,
      peerAddress: ctx.settings.peerAddress,
      replicas: [...ctx.replicas],
      peer,
      peerError: error,
      peerMissing: condition?.missing,
      storeProblem: ctx.storeProblem(),
    });
    if (problem) throw new Refusal(problem);
    this.#done("preflight");
  }

  /** Everything that can be undone by doing nothing more. */
  async #untilReady() {
    const cut = await this.#untilCut();
    return { ...cut, epoch: await this.#prepare() };
  }

  /** Freezes, waits until the replica has everything, and compares digests. @throws Error when that is not in time */
  async #untilCut(): Promise<{ cutRevision: number; digestActive: string; digestReplica: string }> {
    const { ctx } = this;
    this.#say("freeze", "no more events of agents are taken; finishing what was");
    await this.#inTime(ctx.fleet().freeze(), "the events in hand are not written in time");
    this.#done("freeze");
    for (;;) {
      const revision = ctx.index.head;
      const digest = ctx.index.digests.root();
      this.#say("cut", `at revision ${revision}; waiting until the replica has applied it`);
      while (![...ctx.replicas].some((replica) => replica.appliedRevision >= revision)) {
        if (ctx.replicas.size === 0) throw new Error("switchover undone: the replica's stream is gone");
        this.#mustBeInTime("the replica has not applied everything in time");
        await delay(LOOK_MS);
      }
      const theirs = await this.#proof(digest);
      if (ctx.index.head !== revision) {
        this.#mustBeInTime("this side's resources change all the time");
        continue;
      }
      this.#done("cut");
      if (theirs !== digest) {
        throw new Error(
          `switchover undone: the digests differ at the cut (ours ${digest}, the replica's ${theirs})`,
        );
      }
      this.#say("proof", `both digests are ${digest}`);
      this.#done("proof");
      return {
        cutRevision: revision,
        digestActive: digest,
        digestReplica: theirs,
      };
    }
  }

  #proof(expected: string): Promise<string> {
    return this.#peer.prove(expected, this.#left(SEEN_MS));
  }

  /** Returns the epoch that the replica has recorded. */
  async #prepare(): Promise<number> {
    this.#say("prepare", "the replica records the next epoch");
    const request = { standing: this.ctx.standing(), who: this.#who };
    const promised = await this.#peer.prepare(request, this.#left(0));
    if (promised <= this.ctx.model().memory.epoch) throw new Error("the replica promises no epoch");
    this.#done("prepare");
    return promised;
  }

  /** From here on there is exactly one way back, and it is only taken when the replica has said that it did not begin. */
  async #step(epoch: number): Promise<Standing> {
    const { ctx } = this;
    this.#say("step", "handing over");
    try {
      await ctx.command("demote", false, this.#who);
    } catch (error) {
      ctx.fleet().thaw();
      throw new Refusal(
        `switchover undone before anything was handed over: ${reasonOf(error)}; this principal serves on`,
      );
    }
    const after = await this.#handOver(epoch);
    this.#done("step");
    return after;
  }

  /**
   * Gives the word, again where it may not have arrived; what the peer says of itself decides. Only when the first word was refused is it
   * certain that none has been taken.
   */
  async #handOver(epoch: number): Promise<Standing> {
    const { ctx } = this;
    const until = monotonicMs() + STEP_MS;
    for (let tries = 1;; tries++) {
      const { after, refused, reason } = await this.#word(epoch);
      if (after?.state === "active") return after;
      const { peer } = await this.#ask();
      if (peer?.state === "active") return peer;
      if (peer && refused && tries === 1) {
        await ctx.command("promote", false, `${this.#who} undone`);
        throw new Refusal(
          `switchover undone: the replica did not take over: ${reason}; this principal is ACTIVE again`,
        );
      }
      if (monotonicMs() > until || ctx.model().state === "active") {
        throw new Refusal(
          `switchover not finished: this principal has given up and the peer does not say that it is ACTIVE (${reason}). ` +
            "Look at its ha status; if it is not ACTIVE: ha promote there, or here if it is dead",
        );
      }
      await delay(ASK_EVERY_MS);
      this.#peer.close();
      this.#peer = ctx.peer.connect();
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
    this.#say("follow", "the peer is ACTIVE; following it");
    this.ctx.redial();
    await within(FOLLOW_MS, () => this.ctx.model().state === "replicating");
    this.#done("follow");
  }

  /** How many agents are back, waiting for as many as there were. */
  async #agents(before: number): Promise<number> {
    if (before > 0) this.#say("agents", `waiting for ${before} agents to come back`);
    const until = monotonicMs() + AGENTS_MS;
    for (;;) {
      const back = (await this.#ask()).peer?.connectedAgents ?? 0;
      if (back >= before || monotonicMs() > until) {
        this.#done("agents");
        return back;
      }
      await delay(ASK_EVERY_MS);
    }
  }

  #ask(): Promise<PeerAnswer> {
    return askPeer(this.ctx);
  }

  /** How long a call before the step may take: the time that is left for all of them, and `extraMs`. */
  #left(extraMs: number): number {
    return extraMs + Math.max(500, this.#deadline - monotonicMs());
  }

  #say(phase: Phase, text: string): void {
    this.ctx.log.info(`switchover: ${phase}: ${text}`);
    this.tell({ phase, text, atMs: Math.round(monotonicMs() - this.#startedAt) });
  }

  #done(phase: Phase): void {
    const now = monotonicMs();
    this.#phases.push({ phase, ms: Math.round(now - this.#phaseAt) });
    this.#phaseAt = now;
  }

  #mustBeInTime(what: string): void {
    if (monotonicMs() > this.#deadline) {
      throw new Error(`switchover undone: ${what} (${this.options.timeoutMs} ms)`);
    }
  }

  async #inTime(work: Promise<void>, what: string): Promise<void> {
    let over = false;
    const finished = work.then(() => over = true);
    while (!over) {
      this.#mustBeInTime(what);
      await Promise.race([finished, delay(LOOK_MS * 5)]);
    }
  }
}
