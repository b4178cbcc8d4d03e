/** The part of the principal that serving replicas needs, in either contract, and the replicas that it refuses. */
import type { Log } from "../../base/log.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import { Refusal, type RefusalKind } from "../../domain/ha/refusal.ts";
import type { StorePoint } from "../../domain/ha/store_history.ts";
import type { Input, Model, Standing } from "../../domain/ha/state.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import type { ChangeTraces } from "../core/change_traces.ts";
import type { Counting } from "../core/counters.ts";
import type { PeerVoice } from "../core/peer_voice.ts";
import type { StoreMarks } from "../core/store_marks.ts";
import type { Replicas } from "../core/replica_sessions.ts";

/** The part of the principal that its replicas' connections use. */
export interface Leadership {
  readonly index: ChangeIndex;
  readonly log: Log;
  readonly counters: Counting;
  readonly traces: Pick<ChangeTraces, "carried">;
  /** Those that are connected now. */
  readonly replicas: Replicas;
  readonly settings: { namespace: string; scope: Scope; initialAckTimeoutMs: number };
  /** Whose word is the peer's. */
  readonly voice: PeerVoice;
  /** Open while this principal is ACTIVE and serves; aborted with the reason when it stops. */
  activeScope(): AbortSignal | undefined;
  model(): Model;
  standing(): Standing;
  /** The marks on this side's store, and what is known of the peer's. */
  readonly marks: Pick<StoreMarks, "list" | "point">;
  readonly peerStore: { readonly seen: StorePoint | undefined; acknowledged(standing: Standing): void };
  input(input: Input): void;
  /** Makes the index show what the store has of a key. @throws StoreError */
  lookUp(key: Key): Promise<void>;
}

/** Streams of replicas at once; the Go principal has the same bound. */
const MAX_REPLICAS = 10;

/** The scope in which replicas are served. @throws Refusal where this principal is not ACTIVE */
export function mustLead({ activeScope, model }: Leadership, kind: RefusalKind): AbortSignal {
  const scope = activeScope();
  if (scope) return scope;
  const { state, memory } = model();
  throw new Refusal(`not ACTIVE (state ${state}, epoch ${memory.epoch})`, kind);
}

/** @throws Refusal where there is no room for one replica more; the last place is the peer's */
export function mustHaveRoom({ replicas, voice }: Leadership, identity: string): void {
  const room = voice.isPeer(identity) ? MAX_REPLICAS : MAX_REPLICAS - 1;
  if (replicas.size >= room) throw new Refusal("max replica connections reached", "exhausted");
}
