/** Our extension's messages to and from domain values. */
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type { Condition } from "../../domain/ha/preflight.ts";
import { isState, type Standing } from "../../domain/ha/state.ts";
import type { Outgoing } from "../../domain/replication/leader.ts";
import type { IncomingChange } from "../../domain/replication/applier.ts";

type Wire = argocdagentha.v1.Standing;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

export function standingToWire(standing: Standing): Wire {
  const { uid, version, namespace, state, epoch } = standing;
  return {
    uid,
    version,
    namespace,
    state,
    epoch,
    since_unix_ms: standing.sinceMs,
    connected_agents: standing.connectedAgents,
  };
}

export function standingFromWire(wire: Wire | null | undefined): Standing | undefined {
  if (!wire) return undefined;
  const state = wire.state ?? "";
  return {
    uid: (wire.uid ?? "").slice(0, 64),
    version: (wire.version ?? "").slice(0, 64),
    namespace: (wire.namespace ?? "").slice(0, 64),
    state: isState(state) ? state : "",
    epoch: Math.max(0, Math.floor(wire.epoch ?? 0)),
    sinceMs: wire.since_unix_ms ?? 0,
    connectedAgents: wire.connected_agents ?? 0,
  };
}

export function conditionToWire(condition: Condition, nowMs: number): argocdagentha.v1.Condition {
  return {
    now_unix_ms: nowMs,
    store_problem: condition.storeProblem,
    certificate_not_after_unix_ms: condition.certificateNotAfterMs,
    held_total: condition.heldTotal,
    behind: condition.behind,
    record_ms: condition.recordMs,
    no_signing_key: condition.noSigningKey,
    ...(condition.missing ? { missing: condition.missing } : {}),
    ...(condition.examinationError ? { examination_error: condition.examinationError } : {}),
  };
}

export function conditionFromWire(wire: argocdagentha.v1.Condition): Condition {
  const { missing, examination_error } = wire;
  return {
    storeProblem: (wire.store_problem ?? "").slice(0, 1_000),
    certificateNotAfterMs: wire.certificate_not_after_unix_ms ?? 0,
    heldTotal: wire.held_total ?? 0,
    behind: wire.behind ?? 0,
    recordMs: wire.record_ms ?? 0,
    noSigningKey: wire.no_signing_key ?? false,
    ...(missing
      ? {
        missing: {
          rights: bounded(missing.rights),
          definitions: bounded(missing.definitions),
          namespaces: bounded(missing.namespaces),
        },
      }
      : {}),
    ...(examination_error ? { examinationError: examination_error.slice(0, 1_000) } : {}),
  };
}

/** What a peer lists of what it lacks. */
function bounded(texts: string[] = []): string[] {
  return texts.slice(0, 1_000).map((text) => text.slice(0, 300));
}

/** A digest's 16 bytes. */
export function digestToWire(digest: string): Uint8Array {
  const bytes = new Uint8Array(digest.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(digest.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

export function digestFromWire(bytes: Uint8Array | undefined): string {
  return [...(bytes ?? [])].slice(0, 32).map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function changesToWire(message: Outgoing): argocdagentha.v1.Changes {
  return {
    first_sequence: message.firstSequence,
    revision: message.revision,
    snapshot: message.snapshot,
    snapshot_end: message.snapshotEnd,
    snapshot_remaining: message.snapshotRemaining,
    changes: message.changes.map(({ key, entry }) =>
      entry && !entry.deleted
        ? { key, object: encoder.encode(entry.payload), changed_at_unix_ms: entry.changedAt }
        : { key, deleted: true, changed_at_unix_ms: entry?.changedAt ?? 0 }
    ),
  };
}

export function changesFromWire(wire: argocdagentha.v1.Changes): IncomingChange[] {
  const first = wire.first_sequence ?? 0;
  return (wire.changes ?? []).map((change, i) => {
    const base = { sequence: first + i, key: change.key ?? "", changedAt: change.changed_at_unix_ms ?? 0 };
    return change.deleted ? base : { ...base, object: decodeText(change.object) };
  });
}

function decodeText(bytes: Uint8Array | undefined): string {
  try {
    return decoder.decode(bytes ?? new Uint8Array());
  } catch {
    return "not UTF-8";
  }
}
