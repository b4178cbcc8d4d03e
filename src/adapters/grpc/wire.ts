/** Our extension's messages to and from domain values. */
import type { argocdagentha } from "../../../proto/gen.d.ts";
import { wasSeenToGo } from "../../domain/changes/index.ts";
import { traceOf } from "../../domain/events/trace.ts";
import { type Concerns, isConcern, noted, present } from "../../domain/ha/concerns.ts";
import { MAX_MARKS, type StorePoint } from "../../domain/ha/store_history.ts";
import type { Exposure } from "../../domain/ha/exposure.ts";
import type { Condition } from "../../domain/ha/preflight.ts";
import type { Holds } from "../../domain/ha/ranking.ts";
import { MAX_COVERAGE } from "../../domain/resources/coverage.ts";
import { isReadable, MAX_NEEDS, type Need } from "../../domain/resources/dependencies.ts";
import { isReferenceKind } from "../../domain/resources/references.ts";
import { isState, type Standing } from "../../domain/ha/state.ts";
import type { Outgoing } from "../../domain/replication/leader.ts";
import type { IncomingChange } from "../../domain/replication/applier.ts";

/** The most fields in use that a peer is believed to have. */
const MAX_FIELDS = 5_000;
/** The end of the year 9999. */
const MAX_TIME_MS = 253_402_300_799_999;
/** A text of a need. */
const MAX_NEED_TEXT = 4_096;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

export function marksFromWire(wire: readonly argocdagentha.v1.StorePoint[] = []): StorePoint[] {
  return wire.slice(-MAX_MARKS).flatMap((point) => storePointFromWire(point) ?? []);
}

/** Whether a number of a peer is a time that can be written down. */
function isTime(ms: number | null | undefined): ms is number {
  return typeof ms === "number" && ms > 0 && ms <= MAX_TIME_MS;
}

/** How far a store is; a version beyond any store's counts as the highest. */
export function storePointFromWire(
  wire: argocdagentha.v1.StorePoint | null | undefined,
): StorePoint | undefined {
  if (!wire?.mark) return undefined;
  const point = { mark: wire.mark.slice(0, 64), version: Math.max(0, Math.floor(Number(wire.version ?? 0))) };
  return isTime(wire.atMs) ? { ...point, atMs: wire.atMs } : point;
}

export function standingFromWire(wire: argocdagentha.v1.Standing | null | undefined): Standing | undefined {
  if (!wire) return undefined;
  const state = wire.state ?? "";
  const store = storePointFromWire(wire.store);
  return {
    ...(store ? { store } : {}),
    uid: (wire.uid ?? "").slice(0, 64),
    name: (wire.name ?? "").slice(0, 64),
    version: (wire.version ?? "").slice(0, 64),
    namespace: (wire.namespace ?? "").slice(0, 64),
    state: isState(state) ? state : "",
    epoch: Math.max(0, Math.floor(wire.epoch ?? 0)),
    sinceMs: wire.sinceMs ?? 0,
    connectedAgents: wire.connectedAgents ?? 0,
    lineage: (wire.lineage ?? "").slice(0, 64),
    coverage: (wire.coverage ?? "").slice(0, MAX_COVERAGE),
  };
}

/** `heldTotal` once more by itself, for an older release. */
export function conditionToWire(
  { concerns, missing, needs, fieldsInUse = [], ...condition }: Condition,
  nowMs: number,
): argocdagentha.v1.Condition {
  return {
    ...condition,
    ...(missing ? { missing: { ...missing, fieldsCompared: missing.fields !== undefined } } : {}),
    fieldsInUse: [...fieldsInUse],
    nowMs,
    heldTotal: concerns.held?.count ?? 0,
    concerns: concernsToWire(concerns),
    ...(needs ? { needs: { needs: [...needs] } } : {}),
  };
}

export function concernsToWire(concerns: Concerns): argocdagentha.v1.Concern[] {
  return present(concerns).map(({ name, count, examples }) => ({
    name,
    count,
    examples: [...examples],
  }));
}

export function exposureToWire(exposure: Exposure | undefined): argocdagentha.v1.Exposure | undefined {
  return exposure && {
    unacknowledged: exposure.unacknowledged ?? -1,
    heldAgoMs: Math.round(exposure.heldAgoMs ?? -1),
    equalAgoMs: Math.round(exposure.equalAgoMs ?? -1),
  };
}

/** Of a newer release's concerns those that this one knows. */
export function concernsFromWire(wire: readonly argocdagentha.v1.Concern[] = []): Concerns {
  return Object.fromEntries(
    wire.filter(({ name = "" }) => isConcern(name)).map(({ name, count = 0, examples = [] }) => [
      name,
      noted(examples, count),
    ]),
  );
}

function holdsFromWire(
  { resources = 0, complete = false, unproven = false, older = false }: argocdagentha.v1.Holds,
): Holds {
  return { resources, complete, unproven, older };
}

export function conditionFromWire(wire: argocdagentha.v1.Condition): Condition {
  const { missing, examinationError, needs } = wire;
  return {
    storeProblem: (wire.storeProblem ?? "").slice(0, 1_000),
    certificateNotAfterMs: wire.certificateNotAfterMs ?? 0,
    certificateProblem: (wire.certificateProblem ?? "").slice(0, 1_000),
    concerns: wire.concerns?.length
      ? concernsFromWire(wire.concerns)
      : { held: noted([], wire.heldTotal ?? 0) },
    behind: wire.behind ?? 0,
    recordMs: wire.recordMs ?? 0,
    noSigningKey: wire.noSigningKey ?? false,
    ...(missing
      ? {
        missing: {
          rights: bounded(missing.rights),
          definitions: bounded(missing.definitions),
          namespaces: bounded(missing.namespaces),
          ...(missing.fieldsCompared ? { fields: bounded(missing.fields) } : {}),
        },
      }
      : {}),
    ...(wire.fieldsInUse?.length ? { fieldsInUse: bounded(wire.fieldsInUse, MAX_FIELDS) } : {}),
    ...(needs ? { needs: needsFromWire(needs.needs) } : {}),
    ...(wire.holds ? { holds: holdsFromWire(wire.holds) } : {}),
    ...(examinationError ? { examinationError: examinationError.slice(0, 1_000) } : {}),
  };
}

/** Of a peer's needs those that this release understands. */
function needsFromWire(wire: readonly argocdagentha.v1.Need[] = []): Need[] {
  return wire.slice(0, MAX_NEEDS).flatMap(({ by = "", users = 0, ...rest }) => {
    if (!isReferenceKind(by)) return [];
    const text = (value = "") => value.slice(0, MAX_NEED_TEXT);
    const { name, selector, key, user, stays } = rest;
    const need = {
      by,
      users,
      name: text(name),
      selector: text(selector),
      key: text(key),
      user: text(user),
      stays: text(stays),
    };
    return isReadable(need) ? [need] : [];
  });
}

/** A peer's list of rights, kinds, namespaces or fields. */
function bounded(texts: string[] = [], most = 1_000): string[] {
  return texts.slice(0, most).map((text) => text.slice(0, 300));
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
    ...message,
    changes: message.changes.map(({ key, entry, trace }) =>
      entry && !entry.deleted
        ? { key, object: encoder.encode(entry.payload), changedAt: entry.changedAt, ...trace }
        : { key, deleted: true, changedAt: entry?.changedAt ?? 0, concluded: !wasSeenToGo(entry), ...trace }
    ),
  };
}

export function changesFromWire(wire: argocdagentha.v1.Changes): IncomingChange[] {
  const first = wire.firstSequence ?? 0;
  return (wire.changes ?? []).map((change, i) => {
    const trace = traceOf(change);
    const base = {
      sequence: first + i,
      key: change.key ?? "",
      changedAt: change.changedAt ?? 0,
      ...(trace ? { trace } : {}),
    };
    if (change.deleted) return { ...base, ...(change.concluded ? { concluded: true } : {}) };
    return { ...base, object: decodeText(change.object) };
  });
}

function decodeText(bytes: Uint8Array | undefined): string {
  try {
    return decoder.decode(bytes ?? new Uint8Array());
  } catch {
    return "not UTF-8";
  }
}
