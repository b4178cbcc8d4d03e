/**
 * The calls of one principal to the other. The gRPC adapter implements them over `argocdagentha.v1.Link` and
 * `replicationapi.Replication`, the simulator over a network of its own. Every call rejects with a `PeerError`.
 */
import type { ReplicatedEvent } from "../../domain/events/messages.ts";
import type {
  ConfirmMissingResourceResult,
  ConfirmMissingResourcesRequest,
  ReplicationAck,
  ReplicationSnapshot,
  ReplicationStatus,
} from "../../domain/replication/go_messages.ts";
import type { CertificateNames } from "../../domain/agents/identity.ts";
import type { Group } from "../../domain/changes/inventory.ts";
import type { Condition } from "../../domain/ha/preflight.ts";
import type { StorePoint } from "../../domain/ha/store_history.ts";
import type { Standing } from "../../domain/ha/state.ts";
import type { Progress, Receipt } from "../../domain/ha/switchover.ts";
import type {
  FollowerMessage,
  HeardFromLeader,
  KeyDigest,
  SentByLeader,
} from "../../domain/replication/messages.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import type { HttpAnswer } from "../../domain/proxy/status.ts";
import type { ForwardedReply, ForwardedRequest } from "./forwarding.ts";
import type { StreamedAnswer } from "./resource_proxy.ts";
import type { OpenTerminal, TerminalUser } from "./terminals.ts";
import type { ServedStream, Sink, StreamEvents } from "./stream.ts";

/** Why a call to the peer failed. */
export type PeerErrorKind =
  /** The peer answered, and refuses in its present state. */
  | "refused"
  /** The peer does not know the call: a Go principal, or an older release. */
  | "unimplemented"
  /** No answer, or none that says more. */
  | "failed";

/** A call to the peer that failed; the message is an operator's, with the address. */
export class PeerError extends Error {
  constructor(readonly kind: PeerErrorKind, message: string) {
    super(message);
  }
}

/** How this principal reaches its peer. */
export interface Peer {
  /** A connection of its own; the caller closes it. @throws Error where this principal can have no peer */
  connect(): PeerConnection;
  /** Whether a Go principal serves, by its `/healthz`; false where none is configured. */
  healthy(timeoutMs: number): Promise<boolean>;
  /** The certificate that it is dialled with, and the one that its address presented last; absent: not known. */
  certificates(): { own?: CertificateNames; presented?: CertificateNames };
  /** Why the certificate that it is dialled with does not do for a pair; empty: it does. */
  certificateProblem(): string;
  /** When the certificate it is dialled with expires, in unix ms. */
  certificateNotAfterMs(): number;
}

/** One connection to the peer; it is dialled with the first call. */
export interface PeerConnection {
  close(): void;
  /** `Link/Ask`: the peer's standing. With `examine` it also looks around itself first. */
  ask(
    request: { standing: Standing; condition?: Condition; examine: boolean },
    timeoutMs: number,
  ): Promise<Asked>;
  /** `Link/Inventory`: the peer's resources by kind and agent; of `groups` (`Kind/agent`) the keys. */
  inventory(groups: readonly string[], timeoutMs: number): Promise<Inventory>;
  /** `Link/Fetch`: digests of keys that exist there; with a salt their shown forms too. */
  fetch(keys: readonly Key[], salt: Uint8Array | undefined, timeoutMs: number): Promise<Fetched[]>;
  /** `Link/Repair`: the replica has these keys resent. */
  repair(request: RepairRequest, timeoutMs: number): Promise<Repaired>;
  /** `Link/Prove`: the replica's digest, when it is `expected` or after a while. */
  prove(expected: string, timeoutMs: number): Promise<string>;
  /** `Link/Prepare`: the epoch that the replica has recorded as promised. */
  prepare(request: { standing: Standing; who: string }, timeoutMs: number): Promise<number>;
  /** `Link/TakeOver`: the replica becomes ACTIVE; its standing then. */
  takeOver(request: { standing: Standing; epoch: number }, timeoutMs: number): Promise<Standing | undefined>;
  /** `Link/Switchover`: the ACTIVE peer hands over to this side. */
  switchover(request: SwitchoverRequest, tell: (progress: Progress) => void): Promise<Receipt>;
  /** `Link/Kept`: objects that the peer keeps and this ACTIVE may adopt; all, or those of `keys`. */
  kept(keys: readonly Key[], timeoutMs: number): Promise<KeptState[]>;
  /** `Link/Settled`: this ACTIVE has adopted them. */
  settled(states: readonly KeyDigest[], who: string, timeoutMs: number): Promise<void>;
  /** `Link/Follow`. `closed` gets a `PeerError`. */
  follow(events: StreamEvents<HeardFromLeader>): FollowStream<FollowerMessage>;
  /** `Link/Forward`: this side's requests to the agents of the ACTIVE peer. `closed` gets a `PeerError`. */
  forward(events: StreamEvents<ForwardedReply>): FollowStream<ForwardedRequest>;
  /** A log of an agent of the peer; `url` is its path and query. @throws PeerError @throws the reason of `signal` */
  log(agent: string, url: string, signal: AbortSignal): Promise<HttpAnswer | StreamedAnswer>;
  /** A terminal at an agent of the peer, as `log`. */
  terminal(agent: string, url: string, user: TerminalUser): Promise<HttpAnswer | OpenTerminal>;
  /** The Go principal's replication contract on the same connection. */
  readonly plain: PlainPeer;
}

/** A stream that this side opened. */
export interface FollowStream<Message> extends Sink<Message> {
  cancel(): void;
}

/** `replicationapi.Replication`, in its own messages. */
export interface PlainPeer {
  subscribe(
    events: StreamEvents<ReplicatedEvent>,
  ): FollowStream<ReplicationAck>;
  snapshot(
    request: { since_sequence_num?: number },
    timeoutMs: number,
  ): Promise<ReplicationSnapshot>;
  status(timeoutMs: number): Promise<ReplicationStatus>;
  confirmMissing(
    request: ConfirmMissingResourcesRequest,
    timeoutMs: number,
  ): Promise<{ results?: ConfirmMissingResourceResult[] }>;
}

/** The answer to `ask`. */
export interface Asked {
  standing: Standing | undefined;
  /** Absent: an older release. */
  condition?: Condition;
  /** The peer's clock when it answered, in unix ms; absent with `condition`. */
  nowMs?: number;
  /** How far it has heard the asking side's store to be; absent: it has heard of none, or is an older release. */
  seen?: StorePoint;
}

/** The resources of one side. */
export interface Inventory {
  standing: Standing | undefined;
  groups: Group[];
  entries: KeyDigest[];
}

/** A resource as the peer has it. */
export interface Fetched extends KeyDigest {
  /** Its shown form: of Secrets only digests. */
  object: ApiObject | undefined;
}

export interface RepairRequest {
  standing: Standing;
  keys: readonly Key[];
  timeoutMs: number;
  who: string;
}

/** The outcome of a repair or reconciliation for some keys. */
export interface Repaired {
  done: Key[];
  failed: { key: Key; reason: string }[];
  /** Remarks about keys that are done. */
  notes?: { key: Key; reason: string }[];
}

export interface SwitchoverRequest {
  who: string;
  dryRun: boolean;
  /** 0: the default. */
  timeoutMs: number;
}

/** An object that a side keeps and the ACTIVE may adopt. */
export interface KeptState extends KeyDigest {
  /** `held`: its deletion waits for an operator in that side's copy. */
  reason: "overwritten" | "deleted" | "foreign" | "held";
  epoch: number;
  newActiveHas: "another state" | "nothing";
  atMs: number;
  /** 0: not known. */
  writtenAtMs: number;
  cause: string;
  /** JSON of the replicated form; empty: there are too many, it is sent where its key is named. */
  object: string;
}

/** `read`: may read the stream; `peer`: is the other principal of the pair. */
export type ReplicationRight = "read" | "peer";

/** The identities that may replicate. */
export interface ReplicationAccess {
  /** The identity of a caller with this certificate. @throws Refusal where it does not have the right */
  authorize(certificate: CertificateNames | undefined, right: ReplicationRight): string;
}

/**
 * This principal's answers to its peer: the serving side of `PeerConnection`. The adapter authorises the caller first. Every
 * method throws or rejects with a `Refusal` if the principal refuses.
 */
export interface PeerService extends ReplicationAccess {
  /** Everyone who may read is answered; only the peer's own word is heard. `condition` is absent where an older release asks. */
  ask(
    request: { standing: Standing | undefined; condition?: Condition | undefined; examine: boolean },
    identity: string,
  ): Promise<Asked>;
  /** Serves a replica's stream, whose messages go to the returned events. */
  follow(identity: string, stream: ServedStream<SentByLeader>): StreamEvents<FollowerMessage>;
  /** Serves the requests of a replica's UI, which go to the returned events. */
  forward(stream: ServedStream<ForwardedReply>): StreamEvents<ForwardedRequest>;
  /** A log of an agent that is connected here. @throws the reason of `signal` */
  log(agent: string, url: string, signal: AbortSignal): Promise<HttpAnswer | StreamedAnswer>;
  /** A terminal at an agent that is connected here. @throws the reason of the user's `signal` */
  terminal(agent: string, url: string, user: TerminalUser): Promise<HttpAnswer | OpenTerminal>;
  inventory(groups: readonly string[]): Inventory;
  fetch(keys: readonly Key[], salt: Uint8Array | undefined): Fetched[];
  repair(request: Omit<RepairRequest, "standing">): Promise<Repaired>;
  prove(expected: string): Promise<string>;
  prepare(request: { standing: Standing | undefined; who: string }): Promise<number>;
  takeOver(request: { standing: Standing | undefined; epoch: number }): Promise<Standing>;
  switchover(request: SwitchoverRequest, tell: (progress: Progress) => void): Promise<Receipt>;
  kept(keys: readonly Key[]): Promise<KeptState[]>;
  settled(states: readonly KeyDigest[], who: string): Promise<void>;
}

/** The serving side of `PlainPeer`: the answers to a Go replica. Refusals as above. */
export interface PlainPeerService extends ReplicationAccess {
  subscribe(
    identity: string,
    stream: ServedStream<ReplicatedEvent>,
  ): StreamEvents<ReplicationAck>;
  snapshot(identity: string): ReplicationSnapshot;
  status(identity: string): ReplicationStatus;
  confirmMissing(
    request: ConfirmMissingResourcesRequest,
  ): Promise<{ results?: ConfirmMissingResourceResult[] }>;
}
