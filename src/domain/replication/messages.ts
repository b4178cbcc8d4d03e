/**
 * The messages between two principals on one `Follow` stream, as plain values: the adapter encodes them, the simulator
 * passes them as they are. `proto/link.proto` documents each field.
 */
import type { StorePoint } from "../ha/store_history.ts";
import type { Standing } from "../ha/state.ts";
import type { IncomingChange } from "./applier.ts";
import type { ChangesHeader, LeaderBeat } from "./follower.ts";
import type { Outgoing } from "./leader.ts";

/** Both ends say something this often, and end the stream after this much silence. */
export const HEARTBEAT_MS = 1_000;
export const SILENCE_MS = 8_000;

/** A key and its digest (32 hex digits; empty: the resource does not exist). */
export interface KeyDigest {
  key: string;
  digest: string;
}

/** From a replica to its leader. */
export type FollowerMessage =
  | {
    type: "hello";
    standing: Standing | undefined;
    /** Where an earlier stream stopped; an empty session: nowhere. */
    resume: { session: string; revision: number };
    /** The digest table, 16 bytes a bucket. */
    buckets: Uint8Array;
  }
  | { type: "have"; entries: readonly KeyDigest[]; last: boolean }
  | { type: "ack"; ack: Acknowledgement }
  /** The leader sends the present state of these, whatever it sent before. */
  | { type: "resend"; keys: readonly string[] };

/** A replica's progress. */
export interface Acknowledgement {
  /** Changes up to here have arrived; 0: an older release. */
  received: number;
  /** Keys that have arrived and are not durable. */
  unwritten: number;
  /** Changes up to here are durable or held. */
  processed: number;
  /** Changes up to here are durable. */
  applied: number;
  held: readonly { key: string; reason: string }[];
  heldTotal: number;
  standing: Standing | undefined;
  /** The send time on the replica's monotonic clock, in ms. */
  saidAtMs: number;
  /** The `sentAtMs` of the last heartbeat with which everything was applied here and both digests were equal; 0: none. */
  equalAtMs: number;
}

/** From a leader to its replica, which reads an `Outgoing` as `IncomingChanges`. */
export type LeaderMessage<Changes> =
  | {
    type: "welcome";
    standing: Standing | undefined;
    session: string;
    resumed: boolean;
    /** Buckets whose digests differ. */
    differing: readonly number[];
    /** The marks on the leader's store; none: an older release. */
    marks: readonly StorePoint[];
  }
  /** `store`: the leader's store when this was sent. */
  | { type: "changes"; changes: Changes; store?: StorePoint }
  | { type: "heartbeat"; standing: Standing | undefined; beat: LeaderBeat };

export type SentByLeader = LeaderMessage<Outgoing>;
export type HeardFromLeader = LeaderMessage<IncomingChanges>;

/** One message of changes as a replica reads it. */
export interface IncomingChanges {
  header: ChangesHeader;
  changes: readonly IncomingChange[];
}
