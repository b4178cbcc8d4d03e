/** The checkers' knowledge of one side. */
import type { Key } from "../../src/domain/resources/keys.ts";
import type { Site } from "./site.ts";

/** The records of a principal's index, in order. */
export interface Recorded {
  revision: number;
  digest: string;
  atMs: number;
}

/** The state of one side. */
export interface Watched {
  site: Site;
  /** By key: what the present or last principal here took. */
  taken: Map<Key, Recorded[]>;
  uid: string;
  seen: number;
  wasActive: boolean;
  /** Its store remembered no role when its process started. */
  emptyAtStart: boolean;
  /** When its process was alive last. */
  aliveMs: number;
  /** The epoch that it was promised, before the last event. */
  promised: number;
  wasLive: boolean;
  leftStart: boolean;
  /** An operator has asked for a promotion and it has not come yet. */
  promotionAsked: boolean;
  activations: number;
  lastServedMs: number;
  /** When it did not serve last. */
  notServingMs: number;
  /** When the present or last principal here had read its store. */
  openedMs: number;
  /** Guarded deletions of this side's copy, and of each agent that it serves. */
  erased: Map<string, { key: Key; atMs: number }[]>;
  /** When it could not be asked anything last. */
  deafAtMs: number;
  /** The last applied revision that its replica has acknowledged. */
  acknowledged: number;
  brokenSinceMs: number | undefined;
  /** By key: where in the leader's order of states this copy stands, under which activation of it. */
  stands: Map<Key, { activation: number; at: number }>;
}

/** Nothing is known of a principal that has just started. */
export function fresh() {
  return {
    taken: new Map<Key, Recorded[]>(),
    uid: "",
    seen: 0,
    wasActive: false,
    promised: 0,
    wasLive: false,
    leftStart: false,
    promotionAsked: false,
    acknowledged: 0,
    brokenSinceMs: undefined,
  };
}

/** Nothing is known of a side. */
export function watch(site: Site): Watched {
  return {
    site,
    ...fresh(),
    activations: 0,
    emptyAtStart: false,
    aliveMs: 0,
    lastServedMs: -Infinity,
    notServingMs: 0,
    openedMs: 0,
    erased: new Map(),
    deafAtMs: 0,
    stands: new Map(),
  };
}
