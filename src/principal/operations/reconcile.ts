/**
 * `ha reconcile`: an operator lists the loss manifest, adopts a state (the ACTIVE principal, whichever that is now, writes it
 * over its own) or discards it. Nothing is adopted or discarded automatically.
 */
import { reasonOf } from "../../base/reason.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Model, Standing } from "../../domain/ha/state.ts";
import { digestOf, payloadOf } from "../../domain/changes/content.ts";
import type { Key } from "../../domain/resources/keys.ts";
import { kindOf } from "../../domain/resources/kinds.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import { adoptedState } from "../../domain/resources/adoption.ts";
import { replicatedForm } from "../../domain/resources/transform.ts";
import type { Store } from "../ports/store.ts";
import type { ForeignObjects } from "../core/foreign_objects.ts";
import type { ListedLoss, ReconcileOptions } from "../ports/operations.ts";
import type { Adoption, Peer, Repaired } from "../ports/peer.ts";
import type { ChangeWriter } from "../replica/change_writer.ts";
import type { KeptObjects } from "../core/kept_objects.ts";
import type { KeptObject } from "../core/kept_pages.ts";
import { adoptHere, type AdoptingParts } from "./adopting.ts";
import type { Machine } from "./machine.ts";

const ADOPT_TIMEOUT_MS = 20_000;
const MAX_KEY = 300;

/** The parts that reconciling needs. */
export interface ReconcileParts extends Machine, AdoptingParts {
  readonly settings: { readonly peerAddress: string; readonly scope: Scope };
  readonly index: ChangeIndex;
  readonly kept: Pick<KeptObjects, "list" | "forget">;
  readonly store: Pick<Store, "get" | "write">;
  readonly foreign: Pick<ForeignObjects, "keys" | "has" | "delete">;
  model(): Model;
  readonly peer: Pick<Peer, "connect">;
  activeScope(): AbortSignal | undefined;
  standing(): Standing;
}

export class Reconciler {
  /** @param writer writes only while this principal is ACTIVE */
  constructor(private readonly ctx: ReconcileParts, private readonly writer: Pick<ChangeWriter, "apply">) {}

  /** Everything that is kept, oldest first, then the objects that never were the leader's. @throws StoreError */
  async list(): Promise<ListedLoss[]> {
    const losses = await this.ctx.kept.list();
    const foreign = (await this.#foreign()).map((loss) => ({ ...loss, now: "not replicated" as const }));
    const kept = losses.map((loss): ListedLoss => {
      const entry = this.ctx.index.get(loss.key);
      const now = !entry || entry.deleted
        ? "nothing"
        : entry.digest === loss.digest
        ? "the same"
        : "another state";
      return { ...loss, now };
    });
    return [...kept, ...foreign];
  }

  async #foreign(): Promise<KeptObject[]> {
    const { foreign, store, model, settings: { scope } } = this.ctx;
    const losses: KeptObject[] = [];
    for (const key of foreign.keys) {
      const object = await store.get(key);
      const kind = object && kindOf(object, scope);
      if (!object || !kind) continue;
      const digest = digestOf(key, payloadOf(object, kind));
      const { epoch } = model().memory;
      losses.push({
        key,
        reason: "foreign",
        digest,
        epoch,
        newActiveHas: "nothing",
        atMs: 0,
        cause: "",
        object,
      });
    }
    return losses;
  }

  /**
   * Adopts or discards; what fails stays. Without keys, of all that waits for a decision: deleted objects are named one by one.
   * @throws Refusal when nothing can be done
   */
  async reconcile(options: ReconcileOptions): Promise<Repaired> {
    const newest = new Map<Key, KeptObject>();
    for (const kept of [...await this.ctx.kept.list(), ...await this.#foreign()]) {
      if (options.keys || kept.reason !== "deleted") newest.set(kept.key, kept);
    }
    const unknown = options.keys?.find((key) => !newest.has(key));
    const problem = unknown === undefined
      ? ""
      : `the loss manifest has no ${unknown.slice(0, MAX_KEY)}; see: ha reconcile`;
    const end = await this.ctx.begin("reconcile", problem);
    try {
      return await this.#reconcile(options, newest);
    } finally {
      end();
    }
  }

  async #reconcile({ action, keys, who }: ReconcileOptions, newest: Map<Key, KeptObject>): Promise<Repaired> {
    const notes: { key: Key; reason: string }[] = [];
    const result: Repaired = { done: [], failed: [], notes };
    for (const key of keys ?? newest.keys()) {
      const loss = newest.get(key) as KeptObject;
      try {
        if (action === "adopt") {
          const reason = await this.#adopt(loss, who, keys !== undefined);
          if (reason !== "") notes.push({ key, reason });
        } else if (this.ctx.foreign.has(key)) await this.ctx.store.write({ op: "delete", key });
        await this.ctx.foreign.delete(key);
        result.done.push(key);
      } catch (error) {
        result.failed.push({ key, reason: reasonOf(error) });
      }
    }
    const done = new Set(result.done);
    await this.ctx.kept.forget(({ key, reason }) =>
      done.has(key) && (keys !== undefined || reason !== "deleted")
    );
    this.ctx.note(`reconcile --${action} (${result.done.length} of ${newest.size} keys)`, who);
    return result;
  }

  /** Takes a state over this side's own; a remark on it, empty: none. @throws Refusal where this principal is not ACTIVE; Error where the state is refused */
  async take(adoption: Omit<Adoption, "standing">): Promise<string> {
    const end = await this.ctx.begin("adopt");
    try {
      const remark = await adoptHere(this.ctx, this.writer, adoption);
      this.ctx.note(`reconcile --adopt ${adoption.key}${remark && `: ${remark}`}`, adoption.who);
      return remark;
    } finally {
      end();
    }
  }

  async #adopt({ key, object, writtenAtMs = 0 }: KeptObject, who: string, named: boolean): Promise<string> {
    const { settings } = this.ctx;
    const kind = kindOf(object, settings.scope);
    if (!kind) throw new Error("it is not of a kind that is replicated any more");
    const form = adoptedState(replicatedForm(object, kind), undefined);
    const adoption = { key, object: JSON.stringify(form), who, writtenAtMs, named };
    if (this.ctx.activeScope()) return await this.take(adoption);
    if (settings.peerAddress === "") throw new Error("this principal is not ACTIVE and has no peer");
    const connection = this.ctx.peer.connect();
    try {
      return await connection.adopt({ standing: this.ctx.standing(), ...adoption }, ADOPT_TIMEOUT_MS);
    } catch (error) {
      throw new Error(`the ACTIVE principal did not take it: ${reasonOf(error)}`);
    } finally {
      connection.close();
    }
  }
}
