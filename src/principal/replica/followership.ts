/** The part of the principal that following a leader needs, and the common steps of both contracts. */
import { monotonicMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { Position } from "../../domain/changes/cursor.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Input, Model, Standing } from "../../domain/ha/state.ts";
import type { IncomingChange } from "../../domain/replication/applier.ts";
import { hasCaughtUp } from "../../domain/replication/caught_up.ts";
import type { Drift } from "../../domain/replication/drift.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import type { SaidOnce } from "../core/said_once.ts";
import type { Counting } from "../core/counters.ts";
import type { PeerStore } from "../core/peer_store.ts";
import type { Following } from "../core/following.ts";
import type { PeerVoice } from "../core/peer_voice.ts";
import type { Tracing } from "../ports/tracing.ts";
import type { ForwardedRequests } from "./forwarded_requests.ts";
import type { ReplicaDeletions } from "./replica_deletions.ts";

/** Held keys that are named in status and acknowledgements. */
export const MAX_HELD_SHOWN = 100;

/** The part of the principal that a connection to its leader uses. */
export interface Followership {
  readonly index: ChangeIndex;
  readonly log: Log;
  readonly tracing: Tracing;
  readonly counters: Counting;
  /** Which lines about held changes are due. */
  readonly heldLines: SaidOnce;
  readonly following: Following;
  readonly settings: { scope: Scope };
  readonly comparison: { equal(atMs: number): void };
  readonly losses: { proved(revision: number): void };
  /** Whose word is the leader's. */
  readonly voice: Pick<PeerVoice, "heard" | "problemOf">;
  readonly deletions: ReplicaDeletions;
  /** The copies that others have changed. */
  readonly drift: Pick<Drift, "received" | "compared">;
  readonly writer: { apply(change: IncomingChange): Promise<void> };
  /** The way to the leader's agents. */
  readonly forwarded: Pick<ForwardedRequests, "open" | "close">;
  /** The leader's store as far as this side has heard of it. */
  readonly peerStore: Pick<PeerStore, "welcomed" | "saw" | "complete" | "inSync" | "flush">;
  model(): Model;
  standing(): Standing;
  input(input: Input): void;
}

/** How a stream ended: where to go on, and whether the leader had answered. */
export interface FollowEnd {
  position: Position;
  answered: boolean;
  error: unknown;
}

/** No position: the next stream begins by comparing. */
export const NOWHERE: Position = { session: "", revision: 0 };

/** Keeps until when this copy had everything; `inSyncAsOfMs` on the monotonic clock. */
export function keepInSync(
  { peerStore, model }: Pick<Followership, "peerStore" | "model">,
  inSyncAsOfMs: number,
): void {
  const atMs = Math.floor(Date.now() - (monotonicMs() - inSyncAsOfMs));
  peerStore.inSync({ epoch: model().memory.epoch, atMs });
}

/** The part of a protocol that tells its progress. */
interface Progressing {
  readonly live: boolean;
  readonly progress: { done: number; total: number };
  readonly same: boolean;
}

/** Tells how far a snapshot is. */
export function tellProgress({ input }: Followership, { live, progress }: Progressing): void {
  if (!live && progress.total > 0) input({ type: "progress", ...progress });
}

/** Tells that a former ACTIVE has caught up, as soon as it has. @param answeredAtMs when the leader answered, on the monotonic clock */
export function tellCaughtUp(
  { input, model }: Followership,
  { same }: Progressing,
  answeredAtMs: number,
): void {
  if (!model().memory.formerActive) return;
  if (hasCaughtUp({ answeredForMs: monotonicMs() - answeredAtMs, same })) input({ type: "caughtUp" });
}
