/**
 * The replication client: dial the peer, follow it in our own contract or the plain one, and when the stream ends
 * say why and dial again with backoff. The backoff starts anew only after the peer has answered, so a dead or
 * refusing peer is not hammered.
 */
import { delay } from "@std/async/delay";
import { type FollowEnd, followLink } from "../../adapters/grpc/follow_link.ts";
import { followPlain } from "../../adapters/grpc/follow_plain.ts";
import { Code, codeOf, explainCall } from "../../adapters/grpc/status.ts";
import { delayMs, REDIAL } from "../../base/backoff.ts";
import type { ChangeWriter } from "./change_writer.ts";
import type { Context } from "../core/context.ts";

/** How long a peer that answers "not ACTIVE" is left alone; it paces its refusals too. */
const REFUSED_DELAY_MS = 500;
/** One that has just given up has first to tell the peer so, which is not ACTIVE before. */
const FIRST_MS = 20;

export class Follower {
  #running: { controller: AbortController; done: Promise<void> } | undefined;
  #position = { session: "", revision: 0 };

  constructor(
    private readonly ctx: Context,
    private readonly writer: ChangeWriter,
  ) {}

  /** Starts following; nothing happens where it runs already or no peer is configured. */
  start(): void {
    if (this.#running || this.ctx.settings.peerAddress === "") return;
    const controller = new AbortController();
    this.#running = { controller, done: this.#run(controller.signal) };
  }

  /**
   * Ends the stream and waits for the writes in flight: nothing of the peer's is written after this. The position
   * is forgotten: what is written here meanwhile is found only by comparing digests.
   */
  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    running?.controller.abort();
    await running?.done;
    this.#position = { session: "", revision: 0 };
  }

  #waiting = new AbortController();

  async #run(signal: AbortSignal): Promise<void> {
    const { peerAddress } = this.ctx.settings;
    let failures = 0;
    let said = "";
    await this.#wait(FIRST_MS, signal);
    while (!signal.aborted) {
      const end = await this.#once(signal);
      if (signal.aborted) return;
      this.#position = end.position;
      const refused = codeOf(end.error) === Code.FAILED_PRECONDITION;
      const reason = explainCall(end.error, peerAddress);
      failures = end.answered ? 1 : failures + 1;
      this.ctx.counters.increment("reconnects");
      if (!end.answered) this.ctx.counters.increment("snapshotFetchErrors");
      if (end.answered || reason !== said) {
        this.ctx.log.warn("not following the peer", { peer: peerAddress, reason });
      }
      said = reason;
      this.ctx.input({ type: "streamLost", reason, refused });
      const wait = refused ? REFUSED_DELAY_MS : delayMs(REDIAL, failures, Math.random());
      await this.#wait(wait, signal);
    }
  }

  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    this.#waiting = new AbortController();
    const ended = AbortSignal.any([signal, this.#waiting.signal]);
    await delay(ms, { signal: ended }).catch(() => {});
  }

  /** The peer has just said that it is ACTIVE: no need to wait any longer before dialling it. */
  redial(): void {
    this.#waiting.abort();
  }

  async #once(signal: AbortSignal): Promise<FollowEnd> {
    const { settings } = this.ctx;
    await this.writer.seen(signal);
    if (signal.aborted) return { position: this.#position, answered: false, error: signal.reason };
    const client = this.ctx.peer.dial();
    try {
      if (!settings.plainContract) {
        const end = await followLink(client, this.ctx, this.writer, this.#position, signal);
        if (codeOf(end.error) !== Code.UNIMPLEMENTED || signal.aborted) return end;
      }
      return await followPlain(client, this.ctx, this.writer, signal);
    } finally {
      client.close();
    }
  }
}
