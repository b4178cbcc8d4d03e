/**
 * The Go principal's incremental replication events, to and from changes of the index. Only principal-side objects
 * are ever sent (direction `outbound`): raw agent events carry the agent's coordinates and corrupt a replica.
 */
import { parseForeign } from "../../base/bounds.ts";
import { OutOfBounds } from "../../base/json.ts";
import type { ReplicatedEvent } from "./messages.ts";
import { type ApiObject, isRecord, SOURCE_UID } from "../resources/object.ts";
import { type Key, keyOf, parseKey } from "../resources/keys.ts";
import { type Kind, KINDS } from "../resources/kinds.ts";
import { type AgentEvent, decodeEvent, encodeEvent } from "./cloudevent.ts";

/** One change, as the Go principal's events describe it. */
export interface PlainChange {
  kind: Kind;
  namespace: string;
  name: string;
  /** The agent concerned, as the Go principal names it. */
  agent: string;
  /** The replicated form; absent for a deletion. */
  object?: ApiObject;
  /** Names this state of the object uniquely: its digest, or the revision of its deletion. */
  state: string;
}

/** A `ReplicatedEvent` for a change of a kind that the Go principal's events know; undefined for other kinds. */
export function toReplicatedEvent(
  change: PlainChange,
  sequence: number,
  nowMs: number,
): ReplicatedEvent | undefined {
  const { kind, namespace, name, object } = change;
  if (!kind.target) return undefined;
  const body = object ? withSourceUid(object) : { metadata: { name, namespace } };
  const uid = object ? sourceUid(object) : "";
  const event: AgentEvent = {
    type: object ? "spec-update" : "delete",
    target: kind.target,
    subject: `${namespace}/${name}`,
    extensions: { resourceid: `${name}_${uid}`, eventid: `${name}_${uid}_${change.state}` },
    payload: new TextEncoder().encode(JSON.stringify(body)),
  };
  return {
    event: encodeEvent(event),
    agent_name: change.agent,
    direction: "outbound",
    sequence_num: sequence,
    processed_at_unix: Math.floor(nowMs / 1000),
  };
}

/** The meaning of a Go primary's event for a replica of ours. */
export type Incoming =
  | { key: Key; object?: ApiObject }
  /** A state that is beyond the bounds of an object. */
  | { key: Key; unread: string }
  /** Nothing to do; its sequence number still counts. */
  | { skip: string }
  | { problem: string };

/**
 * Reads one event of a Go primary. Inbound (raw agent) events are skipped: the primary sends their effect as an
 * outbound event or in the next snapshot.
 */
export function fromReplicatedEvent(
  wire: ReplicatedEvent,
  principalNamespace: string,
): Incoming {
  if (wire.direction !== "outbound") return { skip: `direction "${(wire.direction ?? "").slice(0, 32)}"` };
  const event = decodeEvent(wire.event);
  if ("problem" in event) return event;
  const kind = KINDS.find((candidate) => candidate.target === event.target);
  if (!kind) return { skip: `target "${event.target.slice(0, 32)}"` };
  const stateful = ["create", "spec-update", "terminate-operation", "status-update"].includes(event.type);
  if (!stateful && event.type !== "delete") return { skip: `type "${event.type.slice(0, 32)}"` };
  let object: unknown;
  try {
    object = parseForeign(
      new TextDecoder("utf-8", { fatal: true }).decode(event.payload ?? new Uint8Array()),
    );
  } catch (error) {
    if (!(error instanceof OutOfBounds)) return { problem: "the payload is not JSON" };
    const [namespace = "", name = ""] = (event.subject ?? "").split("/");
    const key = keyOf(kind.kind, kind.scope === "principal" ? principalNamespace : namespace, name);
    return parseKey(key) ? { key, unread: error.message } : { problem: error.message };
  }
  const complete = completed(object, kind, principalNamespace);
  if (!complete) return { problem: "the payload is not a Kubernetes object" };
  const { namespace = "", name } = complete.metadata;
  const key = keyOf(kind.kind, namespace, name);
  if (!parseKey(key)) return { problem: "the payload's namespace or name is malformed" };
  return event.type === "delete" ? { key } : { key, object: complete };
}

/**
 * The Go principal's JSON, completed with the fields that it omits: apiVersion and kind, and the namespace of kinds
 * that live in the principal's own. `uid` is the source UID, if the message carries one beside the object.
 */
export function completed(
  value: unknown,
  kind: Kind,
  principalNamespace: string,
  uid = "",
): ApiObject | undefined {
  if (!isRecord(value) || !isRecord(value["metadata"])) return undefined;
  const metadata = { ...value["metadata"] } as ApiObject["metadata"];
  if (typeof metadata.name !== "string" || metadata.name === "") return undefined;
  if (kind.scope === "principal") metadata.namespace = principalNamespace;
  if (typeof metadata.namespace !== "string") return undefined;
  if (uid !== "") metadata.uid = uid;
  return { ...value, apiVersion: kind.apiVersion, kind: kind.kind, metadata };
}

/** The source UID of a replicated form. */
export function sourceUid(form: ApiObject): string {
  return form.metadata.annotations?.[SOURCE_UID] ?? form.metadata.uid ?? "";
}

/** The form with the source's UID as `metadata.uid`, as Go receivers expect. */
export function withSourceUid(form: ApiObject): ApiObject {
  const uid = sourceUid(form);
  return uid === "" ? form : { ...form, metadata: { ...form.metadata, uid } };
}
