/** What the parts of a running principal share. Only `serve.ts` makes one. */
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Concerns } from "../../domain/ha/concerns.ts";
import type { ChainedEntry } from "../../domain/ha/history.ts";
import type { Command, Input, Model, Procedure, Standing } from "../../domain/ha/state.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { Peer } from "../ports/peer.ts";
import type { Store } from "../ports/store.ts";
import type { ActiveStore } from "../active/active_store.ts";
import type { Roster } from "../active/roster.ts";
import type { ClusterInfo } from "../ports/cluster_info.ts";
import type { ClusterSecrets } from "../active/cluster_secrets.ts";
import type { Blocklist } from "./blocklist.ts";
import type { Fleet } from "../active/fleet.ts";
import type { Counters } from "./counters.ts";
import type { RecentEvent } from "./observe.ts";
import type { Comparison, PeerSays } from "./concerns.ts";
import type { ExposureKeeper } from "./exposure.ts";
import type { Following } from "./following.ts";
import type { Replicas } from "./replica_sessions.ts";
import type { Processing } from "../ports/telemetry.ts";
import type { Log } from "../../base/log.ts";
import type { ForeignObjects } from "./foreign_objects.ts";
import type { LossManifest } from "../replica/loss_manifest.ts";
import type { Readiness } from "../operations/readiness.ts";
import type { Settings } from "../../config/settings.ts";

export interface Context {
  readonly settings: Settings;
  readonly log: Log;
  readonly store: Store;
  /** Makes the index show what the store has of a key, where the index has never heard of it. @throws StoreError */
  lookUp(key: Key): Promise<void>;
  /** For what only the ACTIVE writes. */
  readonly activeStore: ActiveStore;
  readonly index: ChangeIndex;
  readonly uid: string;
  readonly version: string;
  readonly replicas: Replicas;
  readonly following: Following;
  readonly counters: Counters;
  readonly history: RecentEvent[];
  /** The durable history, chained by hashes. */
  chain(): readonly ChainedEntry[];
  readonly roster: Roster;
  readonly clusters: ClusterSecrets;
  readonly blocklist: Blocklist;
  readonly peer: Peer;
  /** Whether a key is configured that signs agents' tokens. */
  readonly hasSigningKey: boolean;
  readonly clusterInfo: ClusterInfo;
  fleet(): Fleet;
  /** What this side held and the next active did not. */
  readonly losses: LossManifest;
  /** Objects of this store that never were the leader's. */
  readonly foreign: ForeignObjects;
  /** The last comparison of both sides. */
  readonly comparison: Comparison;
  /** Of this side where it is ACTIVE. */
  readonly exposure: ExposureKeeper;
  /** Matters for a person here. */
  concerns(): Concerns;
  /** The peer's last word on its condition. */
  readonly peerSays: PeerSays;
  /** The peer is ACTIVE: whoever waits before dialling it again need not. */
  redial(): void;
  readonly processing: Processing;
  /** Whether the pair is ready for a failover. */
  readonly readiness: Readiness;
  /** The problem that keeps the store from being current, in words; empty: none. */
  storeProblem(): string;
  /** The state machine's present model. */
  model(): Model;
  input(input: Input): void;
  /** Keeps in the durable history that an operator asked for something. */
  note(what: string, who: string): void;
  /** Calls a listener after every change of the model until the returned function is called. */
  onModel(notify: () => void): () => void;
  /** An operator's command, or a switchover's own; rejects with a `Refusal`. */
  command(kind: "promote" | "demote", force: boolean, who?: string, by?: "switchover"): Promise<Model>;
  /** Begins an operator's procedure, against which `problem` may stand; resolves with how to end it, rejects with a `Refusal`. */
  begin(procedure: Procedure, problem?: string): Promise<() => void>;
  /** The active's word in a switchover, to its replica; rejects with a `Refusal`. */
  handover(word: Extract<Command, { type: "prepare" | "takeOver" }>): Promise<Model>;
  /** Open while this principal is ACTIVE and serves; aborted when it stops. */
  activeScope(): AbortSignal | undefined;
  /** What we say about ourselves. */
  standing(): Standing;
  /** Whether the peer has answered lately. */
  peerReachable(): boolean;
  connectedAgents(): number;
}
