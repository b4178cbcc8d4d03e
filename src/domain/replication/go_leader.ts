/**
 * Serves a Go replica in its own contract: the same index, as a unary snapshot and a stream with contiguous sequence
 * numbers. The replica opens Subscribe, applies a snapshot and acknowledges; the stream then starts at the snapshot's
 * revision, so no older state ever overwrites it. A Go client receives at most 4 MiB at once: a snapshot stays below,
 * and the keys that did not fit follow as events.
 */
import { parseJson } from "../../base/json.ts";
import { Cursor } from "../changes/cursor.ts";
import type { ChangeIndex, Entry } from "../changes/index.ts";
import { Marks } from "../changes/marks.ts";
import { type PlainChange, sourceUid, toReplicatedEvent, withSourceUid } from "../events/replicated.ts";
import type { ReplicatedEvent } from "../events/messages.ts";
import type { ConfirmMissingResourceResult, ReplicationSnapshot, Resource } from "./go_messages.ts";
import { readRoster, rosterKey } from "../resources/roster.ts";
import type { ApiObject } from "../resources/object.ts";
import { type Key, keyOf, parseKey } from "../resources/keys.ts";
import { type Kind, kindOf, KINDS } from "../resources/kinds.ts";
import { agentOf, type Scope } from "../resources/scope.ts";

/** Below the Go client's receive limit of 4 MiB, with room for framing. */
export const MAX_SNAPSHOT_BYTES = 3_500_000;

/** One `Replication/Subscribe` stream of a replica. */
export class GoLeaderProtocol {
  readonly #left = new Set<string>();
  #cursor: Cursor;
  #sequence = 0;
  #acked = 0;
  #acknowledgedOnce = false;
  readonly #marks = new Marks();

  constructor(private readonly index: ChangeIndex, private readonly scope: Scope) {
    this.#cursor = new Cursor(index, index.head);
  }

  /** A snapshot for this stream's replica; the stream continues from it. */
  snapshot(maxBytes = MAX_SNAPSHOT_BYTES): ReplicationSnapshot {
    this.#cursor = new Cursor(this.index, this.index.head);
    this.#left.clear();
    const { snapshot, omitted } = snapshotOf(this.index, this.scope, maxBytes);
    for (const key of omitted) this.#left.add(key);
    return { ...snapshot, last_sequence_num: this.#sequence };
  }

  /** An acknowledgement; the first one, whatever its number, opens the stream. */
  ack(sequence: number): void {
    this.#acknowledgedOnce = true;
    this.#acked = Math.max(this.#acked, Math.min(sequence, this.#sequence));
  }

  /** The next event, or undefined; at most `window` are in flight. */
  next(nowMs: number, window = 1_000): ReplicatedEvent | undefined {
    if (!this.#acknowledgedOnce || this.#sequence - this.#acked >= window) return undefined;
    for (;;) {
      const entry = this.#take();
      if (!entry) return undefined;
      const change = plainChange(entry, this.scope);
      const event = change && toReplicatedEvent(change, this.#sequence + 1, nowMs);
      if (!event) continue;
      this.#sequence++;
      if (this.#left.size === 0) this.#marks.push(this.#sequence, this.#cursor.revision);
      return event;
    }
  }

  /** The last sequence number sent. `Status` must report it, or a Go replica fetches another snapshot. */
  get sent(): number {
    return this.#sequence;
  }

  /** The last sequence number acknowledged. */
  get acked(): number {
    return this.#acked;
  }

  /** Changes waiting to be sent. */
  get pending(): number {
    return this.#left.size + this.#cursor.pending;
  }

  /** Everything up to this revision is acknowledged (a Go replica acknowledges failed writes too). */
  get appliedRevision(): number {
    const quiet = this.#acknowledgedOnce && this.#left.size === 0 && this.#acked === this.#sequence;
    return quiet ? this.#cursor.revision : this.#marks.reached(this.#acked);
  }

  #take(): Entry | undefined {
    for (const key of this.#left) {
      this.#left.delete(key);
      const entry = this.index.get(key);
      if (entry) return entry;
    }
    return this.#cursor.read(1)[0];
  }
}

/** The snapshot of an index for a Go replica, with the keys whose objects did not fit into `maxBytes`. */
export function snapshotOf(
  index: ChangeIndex,
  scope: Scope,
  maxBytes = MAX_SNAPSHOT_BYTES,
): { snapshot: ReplicationSnapshot; omitted: string[] } {
  const agents = new Map<string, Resource[]>();
  const principalResources: Resource[] = [];
  const omitted: string[] = [];
  const encoder = new TextEncoder();
  let bytes = 0;
  for (const entry of index.live()) {
    const change = plainChange(entry, scope);
    if (!change?.object) continue;
    const { kind, namespace, name, object } = change;
    if (!kind.target && kind.name !== "ClusterSecret") continue;
    const data = encoder.encode(JSON.stringify(withSourceUid(object)));
    const resource: Resource = { name, namespace, kind: kind.name, uid: sourceUid(object) };
    const fits = bytes + data.length + 256 <= maxBytes;
    if (fits) resource.data = data;
    else omitted.push(entry.key);
    bytes += fits ? data.length + 256 : 256;
    if (["ApplicationSet", "ClusterSecret"].includes(kind.name)) principalResources.push(resource);
    else {
      const resources = agents.get(change.agent) ?? [];
      agents.set(change.agent, resources);
      resources.push(resource);
    }
  }
  const known = index.get(rosterKey(scope.namespace));
  const registered = readRoster(known && !known.deleted ? parseJson(known.payload) as ApiObject : undefined);
  const states = [...new Set([...agents.keys(), ...registered.keys()])].map((name) => ({
    name,
    mode: registered.get(name)?.mode ?? "unknown",
    connected: registered.get(name)?.connected ?? false,
    resources: agents.get(name) ?? [],
  }));
  return { snapshot: { agents: states, principal_resources: principalResources }, omitted };
}

/**
 * Answers a Go replica's question about one of its resources that the snapshot did not name.
 *
 * @param lookUp makes the index show the store's state of a key
 */
export async function confirm(
  index: ChangeIndex,
  scope: Scope,
  resource: Resource,
  lookUp: (key: Key) => Promise<void>,
): Promise<ConfirmMissingResourceResult> {
  const kind = KINDS.find((candidate) => candidate.name === resource.kind);
  const name = resource.name ?? "";
  const namespace = kind?.scope === "principal" ? scope.namespace : resource.namespace ?? "";
  if (!kind || !parseKey(`${kind.kind}/${namespace}/${name}`)) {
    return {
      resource,
      status: "unknown",
      reason: `kind "${(resource.kind ?? "").slice(0, 64)}" is not replicated`,
    };
  }
  const key = keyOf(kind.kind, namespace, name);
  try {
    await lookUp(key);
  } catch {
    return { resource, status: "unknown", reason: "the store cannot be read now" };
  }
  if (index.isUnsaid(key)) return { resource, status: "unknown", reason: "the object here cannot be used" };
  const entry = index.present(key);
  const object = entry && plainChange(entry, scope)?.object;
  if (!object) return { resource, status: "deleted", reason: "" };
  const data = new TextEncoder().encode(JSON.stringify(withSourceUid(object)));
  return { resource: { ...resource, uid: sourceUid(object), data }, status: "exists", reason: "" };
}

function plainChange(entry: Entry, scope: Scope): PlainChange | undefined {
  const parts = parseKey(entry.key);
  if (!parts) return undefined;
  const { namespace, name } = parts;
  if (entry.deleted) {
    const kind = KINDS.find((candidate) => candidate.kind === parts.kind);
    return kind &&
      { kind, namespace, name, agent: agentOfChange(kind, namespace), state: `deleted-${entry.revision}` };
  }
  const object = parseJson(entry.payload) as ApiObject;
  const kind = kindOf(object, scope);
  if (!kind) return undefined;
  const agent = kind.name === "Application" ? agentOf(object, scope) : agentOfChange(kind, namespace);
  return { kind, namespace, name, agent, object, state: entry.digest };
}

/** The Go principal names no agent for ApplicationSets, and the namespace for resources of no single agent. */
function agentOfChange(kind: Kind, namespace: string): string {
  return kind.name === "ApplicationSet" ? "" : namespace;
}
