/** The parts that write a replica's copies and keep them the leader's, put together. */
import type { ChangeIndex } from "../../domain/changes/index.ts";
import { Drift } from "../../domain/replication/drift.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import type { Counting } from "../core/counters.ts";
import type { DeletionRecord } from "../core/deletion_record.ts";
import type { ForeignObjects } from "../core/foreign_objects.ts";
import type { UnconfirmedWrites } from "../core/unconfirmed_writes.ts";
import type { Store } from "../ports/store.ts";
import { ChangeWriter } from "./change_writer.ts";
import { DriftRepair, type DriftRepairParts } from "./drift_repair.ts";
import type { LossManifest } from "./loss_manifest.ts";

/** The part of the principal that copying needs. */
export interface CopyingParts extends Omit<DriftRepairParts, "drift" | "writer" | "namespace"> {
  readonly store: Store;
  readonly index: ChangeIndex;
  readonly settings: { readonly scope: Scope; readonly namespace: string };
  readonly counters: Counting;
  readonly losses: LossManifest;
  readonly foreign: ForeignObjects;
  readonly deletions: DeletionRecord;
  readonly unconfirmed: UnconfirmedWrites;
}

/** `writerOver` makes a writer over another store; all share what is known of unconfirmed writes and of drift. */
export function copying(parts: CopyingParts) {
  const { store, index, settings, counters, losses, foreign, deletions, unconfirmed } = parts;
  const drift = new Drift(index);
  const writerOver = (to: Pick<Store, "get" | "write">) =>
    new ChangeWriter(to, settings.scope, counters, losses, unconfirmed, foreign, drift, deletions);
  const writer = writerOver(store);
  return {
    writerOver,
    writer,
    drift,
    copies: new DriftRepair({ ...parts, drift, writer, namespace: settings.namespace }),
  };
}
