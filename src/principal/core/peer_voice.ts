/**
 * The peer's word: a standing counts only from the peer's own identity, and only with an epoch that can be. Whatever carries it, it
 * passes here before it reaches the state machine.
 */
import type { Log } from "../../base/log.ts";
import { type Noted, noted } from "../../domain/ha/concerns.ts";
import { epochProblem } from "../../domain/ha/epochs.ts";
import type { Input, Model, Standing } from "../../domain/ha/state.ts";

/** Identities that are not the peer's are named in the log once each; so many of them. */
const MAX_TOLD = 100;

/** The part of the principal that hearing its peer needs. */
export interface PeerVoiceParts {
  readonly log: Log;
  /** The peer's identity; empty: not known. */
  peerIdentity(): string;
  model(): Pick<Model, "memory" | "peerAddress">;
  input(input: Input): void;
}

export class PeerVoice {
  readonly #told = new Set<string>();
  #claim = "";

  constructor(private readonly parts: PeerVoiceParts) {}

  /** Whether calls of an identity are the peer's. */
  isPeer(identity: string): boolean {
    return identity !== "" && identity === this.parts.peerIdentity();
  }

  /** Why calls of an identity are not the peer's; empty: they are. */
  notPeer(identity: string): string {
    if (this.isPeer(identity)) return "";
    const peer = this.parts.peerIdentity();
    return peer === ""
      ? `identity "${identity}" may read, and the peer's identity is not known here; name it in --ha-peer-identity`
      : `identity "${identity}" may read, and is not the peer "${peer}"`;
  }

  /** Whether a copy at an identity counts as this side's second one: it is the peer's, or nobody is known to be the peer. */
  counts(identity: string): boolean {
    return this.isPeer(identity) || this.parts.peerIdentity() === "";
  }

  /** A caller's standing; the uid of another than the peer says nothing: it may be copied. */
  bound(identity: string, standing: Standing | undefined): Standing | undefined {
    return standing && !this.isPeer(identity) ? { ...standing, uid: "" } : standing;
  }

  /** A caller says what it is. Whether that is the peer's word; then the state machine hears it. */
  says(identity: string, standing: Standing | undefined): boolean {
    if (this.isPeer(identity)) return standing !== undefined && this.heard(standing);
    if (standing && standing.uid !== "") this.#tellOnce(identity);
    return false;
  }

  /** The peer says what it is. Whether that can be; then the state machine hears it. */
  heard(standing: Standing): boolean {
    if (this.problemOf(standing) !== "") return false;
    this.parts.input({ type: "heard", peer: standing });
    return true;
  }

  /** Why what the peer says of itself is not believed; empty: it is. */
  problemOf(standing: Standing | undefined): string {
    const { log, model } = this.parts;
    const { memory, peerAddress } = model();
    const problem = standing ? epochProblem(standing.epoch, memory) : "";
    if (problem !== "" && this.#claim === "") {
      log.warn("the peer's word is not believed", {
        event: "peer_disbelieved",
        peer: peerAddress,
        reason: problem,
      });
    }
    this.#claim = problem;
    return problem;
  }

  /** Its last claim, if that is not believed. */
  get noted(): Noted {
    return noted(this.#claim === "" ? [] : [this.#claim]);
  }

  #tellOnce(identity: string): void {
    if (this.#told.has(identity) || this.#told.size >= MAX_TOLD) return;
    this.#told.add(identity);
    this.parts.log.warn("a replication client speaks as the peer and is not heard", {
      event: "peer_disbelieved",
      reason: this.notPeer(identity),
    });
  }
}
