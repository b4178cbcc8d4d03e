/** The fields that this side's resources use, for the peer to find those that its API server would drop. */
import { delay } from "@std/async/delay";
import { parseJson } from "../../base/json.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import { fieldsOf } from "../../domain/resources/field_paths.ts";
import type { ApiObject } from "../../domain/resources/object.ts";

/** Entries that are read before other work has its turn. */
const SLICE = 100;
/** More fields than Argo CD's kinds have in use anywhere; user's keys of maps count too. */
const MAX_FIELDS = 5_000;
/** A longer path is not compared: it would not travel whole. */
const MAX_LENGTH = 300;

export class FieldsInUse {
  #revision = 0;
  #fields = new Set<string>();

  constructor(private readonly index: ChangeIndex) {}

  /** All of them; only resources that changed since the last time are read. */
  async now(): Promise<string[]> {
    for (;;) {
      const { entries, position } = this.index.since(this.#revision, SLICE);
      for (const { deleted, payload } of entries) {
        if (!deleted) this.#add(fieldsOf(parseJson(payload) as ApiObject));
      }
      this.#revision = position;
      if (entries.length < SLICE) return [...this.#fields];
      await delay(0);
    }
  }

  /** Reads everything the next time: a field may not be in use any more. */
  forget(): void {
    this.#revision = 0;
    this.#fields = new Set();
  }

  #add(fields: readonly string[]): void {
    for (const field of fields) {
      if (this.#fields.size < MAX_FIELDS && field.length <= MAX_LENGTH) this.#fields.add(field);
    }
  }
}
