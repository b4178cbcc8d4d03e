/**
 * Follows a Go primary in its own contract and tolerates its habits: replays and gaps in sequence numbers, resources
 * without data, false agents, missing apiVersion and kind. Its confirmations delete nothing until a live event has
 * proved that it is active: a demoted or superseded Go primary answers confirmations too, and thereby deletes live
 * resources.
 */
import { parseForeign } from "../../base/bounds.ts";
import { Newest } from "../../base/newest.ts";
import { OutOfBounds, parseJson } from "../../base/json.ts";
import { completed, fromReplicatedEvent } from "../events/replicated.ts";
import type { ReplicatedEvent } from "../events/messages.ts";
import type { ConfirmMissingResourceResult, ReplicationSnapshot, Resource } from "./go_messages.ts";
import type { ChangeIndex } from "../changes/index.ts";
import { Marks } from "../changes/marks.ts";
import { kindNamed } from "../resources/kinds.ts";
import type { Scope } from "../resources/scope.ts";
import type { ApiObject } from "../resources/object.ts";
import { type Key, keyOf, parseKey } from "../resources/keys.ts";
import { fromRawInbound } from "./raw_inbound.ts";
import { RETRY_WRITE } from "../../base/backoff.ts";
import { Applier, type DeletionGate, type IncomingChange } from "./applier.ts";

/** The most states kept until the index surely has them. */
const MAX_READ = 2_000;

/** The transport's next task after reading a snapshot. */
export interface SnapshotPlan {
  /** Per agent: resources held here that the snapshot does not name and the primary must confirm. */
  candidates: { agent: string; resources: Resource[] }[];
}

/** One Subscribe stream towards a Go primary. */
export class GoFollowerProtocol {
  readonly applier: Applier;
  /** Our own running number of changes; the primary's numbers may repeat or go back. */
  #offered = 0;
  readonly #peerAt = new Marks();
  /** The latest states read, by key; empty: a deletion. */
  readonly #read = new Newest<Key, string>(MAX_READ);
  #peerSequence = 0;
  #peerExpected: number | undefined;
  #gap = false;
  #provenActive = false;
  #snapshotEnd: number | undefined;
  #complete = false;

  /** @param gate decides about deletions; confirmed ones are `concluded` */
  constructor(private readonly index: ChangeIndex, private readonly scope: Scope, gate?: DeletionGate) {
    this.applier = new Applier(0, RETRY_WRITE, gate);
  }

  /** Reads a snapshot and offers its resources to the applier, lower ranks first. */
  snapshot(message: ReplicationSnapshot, nowMs: number): SnapshotPlan {
    const objects: { rank: number; object: ApiObject }[] = [];
    const unread: { key: Key; problem: string }[] = [];
    const named = new Set<string>();
    const agents = (message.agents ?? []).map((agent) => agent.resources ?? []);
    for (const resource of [...(message.principal_resources ?? []), ...agents.flat()]) {
      const read = readResource(resource, this.scope);
      if (!read) continue;
      named.add(read.key);
      if (read.problem) unread.push({ key: read.key, problem: read.problem });
      if (read.object) objects.push({ rank: read.rank, object: read.object });
    }
    objects.sort((a, b) => a.rank - b.rank);
    this.#offer(objects.map(({ object }) => object), nowMs);
    this.#push(unread.map((one) => ({ ...one, object: "" })), nowMs);
    this.#peerSequence = Math.max(this.#peerSequence, message.last_sequence_num ?? 0);
    this.#peerExpected ??= this.#peerSequence + 1;
    this.#peerAt.push(this.#offered, this.#peerSequence);
    this.#snapshotEnd = this.#offered;
    this.#gap = false;
    return { candidates: this.#missing(message, named) };
  }

  /** Reads one streamed event. */
  event(wire: ReplicatedEvent, nowMs: number): { problem?: string } {
    const incoming = wire.direction === "inbound"
      ? fromRawInbound(wire, this.scope, (key) => this.#base(key))
      : fromReplicatedEvent(wire, this.scope.namespace);
    if ("problem" in incoming) return incoming;
    const sequence = wire.sequence_num ?? 0;
    if (this.#peerExpected !== undefined && sequence > this.#peerExpected) this.#gap = true;
    this.#peerExpected = sequence + 1;
    this.#peerSequence = sequence;
    this.#provenActive = true;
    if ("key" in incoming) {
      if ("unread" in incoming) {
        this.#push([{ key: incoming.key, object: "", problem: incoming.unread }], nowMs);
      } else if (incoming.object) this.#offer([incoming.object], nowMs);
      else this.#push([{ key: incoming.key }], nowMs);
    }
    this.#peerAt.push(this.#offered, sequence);
    return {};
  }

  /** Reads the primary's answers about candidates; accepts deletions only if it has proved to be active. */
  confirmed(results: readonly ConfirmMissingResourceResult[], nowMs: number): number {
    let deletions = 0;
    for (const result of results) {
      const read = result.resource && readResource(result.resource, this.scope);
      if (!read) continue;
      if (result.status === "exists" && read.object) this.#offer([read.object], nowMs);
      if (result.status === "deleted" && this.#provenActive) {
        this.#push([{ key: read.key, concluded: true }], nowMs);
        deletions++;
      }
    }
    return deletions;
  }

  /** The primary's sequence number to acknowledge: everything up to it is durable. */
  get acknowledge(): number {
    return this.#peerAt.reached(this.applier.applied);
  }

  /** Returns true once, when the first snapshot is durable or held. */
  settle(): boolean {
    if (this.#complete || this.#snapshotEnd === undefined || this.applier.undecided > 0) return false;
    if (this.applier.processed < this.#snapshotEnd) return false;
    this.#complete = true;
    return true;
  }

  /** Whether another snapshot is due, given the primary's `Status`. */
  behind(currentSequence: number): boolean {
    return this.#gap || currentSequence > this.#peerSequence;
  }

  /** The last of the primary's sequence numbers that was read. */
  get peerSequence(): number {
    return this.#peerSequence;
  }

  get live(): boolean {
    return this.#complete;
  }

  /** Whether nothing is known to differ: everything that was received is durable, and no number is missing. */
  get same(): boolean {
    return this.#complete && !this.#gap && this.applier.pending === 0;
  }

  /** Snapshot progress in resources. */
  get progress(): { done: number; total: number } {
    const total = this.#snapshotEnd ?? 0;
    return { done: Math.min(this.applier.processed, total), total };
  }

  #offer(objects: readonly ApiObject[], nowMs: number): void {
    this.#push(
      objects.map((object) => ({
        key: keyOf(object.kind, object.metadata.namespace ?? "", object.metadata.name),
        object: JSON.stringify(object),
      })),
      nowMs,
    );
  }

  /** The newest known state of a key; the latest one read may not be in the index yet. */
  #base(key: Key): ApiObject | undefined {
    const read = this.#read.get(key);
    if (read !== undefined) return read === "" ? undefined : parseJson(read) as ApiObject;
    const entry = this.index.get(key);
    return entry && !entry.deleted ? parseJson(entry.payload) as ApiObject : undefined;
  }

  #push(
    changes: readonly Pick<IncomingChange, "key" | "object" | "concluded" | "problem">[],
    nowMs: number,
  ): void {
    for (const { key, object = "", problem } of changes) {
      if (problem !== undefined) continue;
      this.#read.set(key, object);
    }
    this.applier.offer(changes.map((c) => ({ ...c, sequence: ++this.#offered, changedAt: nowMs })));
  }

  #missing(message: ReplicationSnapshot, named: Set<string>): SnapshotPlan["candidates"] {
    const agents = new Set((message.agents ?? []).map((agent) => agent.name ?? ""));
    const missing = new Map<string, Resource[]>();
    for (const entry of this.index.live()) {
      const parts = parseKey(entry.key);
      if (!parts || parts.kind !== "Application" || named.has(entry.key) || !agents.has(parts.namespace)) {
        continue;
      }
      const list = missing.get(parts.namespace) ?? [];
      missing.set(parts.namespace, list);
      list.push({ name: parts.name, namespace: parts.namespace, kind: parts.kind });
    }
    return [...missing].map(([agent, resources]) => ({ agent, resources }));
  }
}

function readResource(
  resource: Resource,
  scope: Scope,
): { key: string; rank: number; object?: ApiObject; problem?: string } | undefined {
  const kind = kindNamed(resource.kind ?? "");
  if (!kind) return undefined;
  const namespace = kind.scope === "principal" ? scope.namespace : resource.namespace ?? "";
  const key = keyOf(kind.kind, namespace, resource.name ?? "");
  if (!parseKey(key)) return undefined;
  if (!resource.data?.length) return { key, rank: kind.rank };
  try {
    const value = parseForeign(new TextDecoder().decode(resource.data));
    const object = completed(value, kind, scope.namespace, resource.uid);
    return object ? { key, rank: kind.rank, object } : undefined;
  } catch (error) {
    if (error instanceof OutOfBounds) return { key, rank: kind.rank, problem: error.message };
    return undefined;
  }
}
