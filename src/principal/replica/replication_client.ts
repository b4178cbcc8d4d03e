/**
 * The replication client: it dials the peer, follows it in our own contract or the Go principal's, and when the stream ends says why
 * and redials with backoff. The backoff starts from its beginning only after the peer has answered, so a dead or refusing peer is not
 * hammered.
 */
import { delay } from "@std/async/delay";
import { delayMs, REDIAL } from "../../base/backoff.ts";
import { reasonOf } from "../../base/reason.ts";
import { type Peer, PeerError } from "../ports/peer.ts";
import { type FollowEnd, type Followership, NOWHERE } from "./followership.ts";
import { followGoLeader } from "./go_leader_connection.ts";
import { followLeader } from "./leader_connection.ts";

/** How long a peer that answers "not ACTIVE" is left alone; it paces its refusals too. */
const REFUSED_DELAY_MS = 500;
/** A peer that has just stepped down tells that first, and is not ACTIVE before. */
const FIRST_MS = 20;

/** The part of the principal that the client needs. */
export interface ClientParts extends Followership {
  readonly peer: Peer;
  readonly settings: Followership["settings"] & { peerAddress: string; plainContract: boolean };
  readonly writer: Followership["writer"] & { seen(signal: AbortSignal): Promise<void> };
}

export class ReplicationClient {
  #running: { controller: AbortController; done: Promise<void> } | undefined;
  #position = NOWHERE;
  #waiting = new AbortController();

  constructor(private readonly parts: ClientParts) {}

  /** Starts following; nothing happens where it runs already or no peer is configured. */
  start(): void {
    if (this.#running || this.parts.settings.peerAddress === "") return;
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
    this.parts.deletions.clear();
    this.#position = NOWHERE;
  }

  /** The peer just became ACTIVE: skips the current redial backoff. */
  redial(): void {
    this.#waiting.abort();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { settings: { peerAddress }, counters, log, input } = this.parts;
    let failures = 0;
    let said = "";
    await this.#wait(FIRST_MS, signal);
    while (!signal.aborted) {
      const end = await this.#once(signal);
      if (signal.aborted) return;
      this.#position = end.position;
      const refused = end.error instanceof PeerError && end.error.kind === "refused";
      const reason = reasonOf(end.error);
      failures = end.answered ? 1 : failures + 1;
      counters.increment("reconnects");
      if (!end.answered) counters.increment("snapshotFetchErrors");
      if (end.answered || reason !== said) {
        log.warn("not following the peer", { event: "peer_lost", peer: peerAddress, reason });
      }
      said = reason;
      input({ type: "streamLost", reason, refused });
      const wait = refused ? REFUSED_DELAY_MS : delayMs(REDIAL, failures, Math.random());
      await this.#wait(wait, signal);
    }
  }

  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    this.#waiting = new AbortController();
    const ended = AbortSignal.any([signal, this.#waiting.signal]);
    await delay(ms, { signal: ended }).catch(() => {});
  }

  async #once(signal: AbortSignal): Promise<FollowEnd> {
    const { settings, writer, peer } = this.parts;
    await writer.seen(signal);
    if (signal.aborted) return { position: this.#position, answered: false, error: signal.reason };
    const connection = peer.connect();
    try {
      if (!settings.plainContract) {
        const end = await followLeader(connection, this.parts, this.#position, signal);
        const unknown = end.error instanceof PeerError && end.error.kind === "unimplemented";
        if (!unknown || signal.aborted) return end;
      }
      return await followGoLeader(connection.plain, this.parts, signal);
    } finally {
      connection.close();
    }
  }
}
