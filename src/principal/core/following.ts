/** The state of this side's replication client, as status, metrics and readiness read it. */
import type { OlderCopy } from "../../domain/ha/store_history.ts";
import type { HeldKey } from "../../domain/replication/applier.ts";

export interface Following {
  contract: "link" | "plain" | "";
  connected: boolean;
  /** Changes that the active is known to have and that are not durable here. */
  behind: number;
  /** Nothing that the active had at this time is missing here, on the monotonic clock; 0: no such time in this process. */
  inSyncAsOfMs: number;
  /** The same of an earlier process, in unix ms, and when this one started. */
  inSyncBefore: { epoch: number; atMs: number; startedAtMs: number } | undefined;
  /** When this copy was last found to differ from the active's, on the monotonic clock; 0: never. */
  driftAtMs: number;
  /** The copy behind the leader's store, where that is older than this side has heard of before. */
  leaderRestored: OlderCopy | undefined;
  lastEventMs: number;
  lastSequence: number;
  held: HeldKey[];
  heldTotal: number;
  /** How many of them are deletions that wait for an operator. */
  guarded: number;
  /** Asks the leader to resend the present state of these keys; undefined: no leader is followed in our own contract. */
  resend: ((keys: readonly string[]) => void) | undefined;
}

/** Nothing followed yet. */
export function newFollowing(inSyncBefore?: Following["inSyncBefore"]): Following {
  return {
    contract: "",
    connected: false,
    behind: 0,
    inSyncAsOfMs: 0,
    inSyncBefore,
    driftAtMs: 0,
    leaderRestored: undefined,
    lastEventMs: 0,
    lastSequence: 0,
    held: [],
    heldTotal: 0,
    guarded: 0,
    resend: undefined,
  };
}

/** The active's reports stay fresh for this long: it sends one every second; a Go principal is asked every five. */
const FRESH_MS = { "": 3_000, link: 3_000, plain: 12_000 };

/** Nothing older than this is missing here, in ms: it bounds what a promotion loses. Undefined: nothing bounds it. */
export function inSyncAgoMs({ inSyncAsOfMs }: Following, nowMs: number): number | undefined {
  return inSyncAsOfMs === 0 ? undefined : Math.max(0, nowMs - inSyncAsOfMs);
}

/** The last equality of an earlier process, where nothing but this side's absence has happened in its epoch since. */
export function inSyncBefore({ inSyncBefore }: Following, epoch: number): Following["inSyncBefore"] {
  return inSyncBefore?.epoch === epoch ? inSyncBefore : undefined;
}

/** How long a replica lags, in ms: 0 when nothing is known to be missing and that is fresh; undefined when it does not follow. */
export function lagMs(following: Following, nowMs: number): number | undefined {
  const { connected, behind, contract } = following;
  const ago = inSyncAgoMs(following, nowMs);
  return ago !== undefined && connected && behind === 0 && ago < FRESH_MS[contract] ? 0 : ago;
}
