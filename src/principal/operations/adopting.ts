/** The ACTIVE's part of an adoption: a saved state is written over its own, but no newer state unless its key was named. */
import { parseForeign } from "../../base/bounds.ts";
import { parseJson } from "../../base/json.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { ChainedEntry } from "../../domain/ha/history.ts";
import type { Model } from "../../domain/ha/state.ts";
import type { Key } from "../../domain/resources/keys.ts";
import { adoptedState, type Ages, mayBeNewer } from "../../domain/resources/adoption.ts";
import { type ApiObject, isRecord } from "../../domain/resources/object.ts";
import type { ChangeWriter } from "../replica/change_writer.ts";

/** A saved state that an operator adopts. */
export interface Adoption {
  key: Key;
  /** JSON of the replicated form. */
  object: string;
  /** When it was written, in unix ms; 0: not known. */
  writtenAtMs: number;
  /** The operator named this key: a newer state may be written over. */
  named: boolean;
}

/** Of the principal, what taking a state needs. */
export interface AdoptingParts {
  readonly index: Pick<ChangeIndex, "present">;
  model(): Model;
  /** The durable history, oldest first. */
  chain(): readonly ChainedEntry[];
}

/** Writes a saved state; what there is to say about it, empty: nothing. @throws Error where the state is refused, or newer here */
export async function adoptHere(
  parts: AdoptingParts,
  writer: Pick<ChangeWriter, "apply">,
  { key, object, writtenAtMs, named }: Adoption,
): Promise<string> {
  const saved: unknown = parseForeign(object);
  if (!isRecord(saved)) throw new Error("the saved state is no object");
  const entry = parts.index.present(key);
  const present = entry && parseJson(entry.payload) as ApiObject;
  let note = "";
  if (entry && present) {
    const ages = {
      savedAtMs: writtenAtMs,
      presentAtMs: entry.contentAt,
      activeSinceMs: activeSinceMs(parts),
    };
    if (mayBeNewer(saved as unknown as ApiObject, present, ages)) note = written(ages);
    if (note !== "" && !named) {
      throw new Error(
        `the ACTIVE's state may be newer (${note}); to write over it: ha reconcile --adopt ${key}`,
      );
    }
  }
  const state = adoptedState(saved as unknown as ApiObject, present);
  await writer.apply({ sequence: 0, key, object: JSON.stringify(state), changedAt: 0 });
  return note === "" ? "" : `wrote over a state that may be newer (${note})`;
}

/** Since when this principal is ACTIVE in its epoch, over restarts. */
function activeSinceMs({ model, chain }: AdoptingParts): number {
  const { sinceMs, memory: { epoch } } = model();
  const first = chain().find((entry) => entry.state === "active" && entry.epoch === epoch);
  return Math.min(sinceMs, first?.atMs ?? sinceMs);
}

function written({ savedAtMs, presentAtMs }: Ages): string {
  const text = (ms: number) => new Date(ms).toISOString();
  return `changed ${text(presentAtMs)}; the saved one ${
    savedAtMs > 0 ? `was written ${text(savedAtMs)}` : "nobody knows when"
  }`;
}
