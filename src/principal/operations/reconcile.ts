/**
 * What becomes of the loss manifest: an operator looks at it, and adopts a state (the ACTIVE principal, whichever it is now, takes it
 * over its own) or discards it. Nothing happens to it by itself.
 */
import type { Key } from "../../domain/resources/keys.ts";
import { kindOf } from "../../domain/resources/kinds.ts";
import { replicatedForm } from "../../domain/resources/transform.ts";
import type { ChangeWriter } from "../replica/change_writer.ts";
import type { Context } from "../core/context.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import type { Loss } from "../replica/loss_manifest.ts";
import { reasonOf } from "../../base/reason.ts";

const ADOPT_TIMEOUT_MS = 20_000;

/** A loss, and how this side's copy compares with it now. */
export interface ListedLoss extends Loss {
  now: "the same" | "another state" | "nothing";
}

export interface Reconciled {
  done: Key[];
  failed: { key: Key; reason: string }[];
}

export interface ReconcileOptions {
  action: "adopt" | "discard";
  /** Undefined: all. */
  keys: readonly Key[] | undefined;
  who: string;
}

export class Reconciler {
  constructor(private readonly ctx: Context, private readonly writer: ChangeWriter) {}

  /** The manifest, oldest first. @throws StoreError */
  async list(): Promise<ListedLoss[]> {
    const losses = await this.ctx.losses.list();
    return losses.map((loss) => {
      const entry = this.ctx.index.get(loss.key);
      const now = !entry || entry.deleted
        ? "nothing"
        : entry.digest === loss.digest
        ? "the same"
        : "another state";
      return { ...loss, now };
    });
  }

  /** Adopts or discards; what fails stays in the manifest. @throws Refusal when nothing can be done */
  async reconcile({ action, keys, who }: ReconcileOptions): Promise<Reconciled> {
    const newest = new Map<Key, Loss>();
    for (const loss of await this.ctx.losses.list()) newest.set(loss.key, loss);
    const unknown = (keys ?? []).filter((key) => !newest.has(key));
    if (unknown.length > 0) {
      throw new Refusal(`the loss manifest has no ${unknown[0]?.slice(0, 300)}; see: ha reconcile`);
    }
    const result: Reconciled = { done: [], failed: [] };
    for (const key of keys ?? newest.keys()) {
      const loss = newest.get(key) as Loss;
      try {
        if (action === "adopt") await this.#adopt(loss, who);
        result.done.push(key);
      } catch (error) {
        result.failed.push({ key, reason: reasonOf(error) });
      }
    }
    const done = new Set(result.done);
    await this.ctx.losses.forget(({ key }) => done.has(key));
    this.ctx.note(`reconcile --${action} (${result.done.length} of ${newest.size} keys)`, who);
    return result;
  }

  /** Takes a state over this side's own. @throws Refusal where this principal is not ACTIVE; Error where the state is refused */
  async take(key: Key, object: string, who: string): Promise<void> {
    const { state } = this.ctx.model();
    if (!this.ctx.activeScope()) {
      throw new Refusal(`not ACTIVE (state ${state}): only the ACTIVE principal adopts`);
    }
    await this.writer.apply({ sequence: 0, key, object, changedAt: 0 });
    this.ctx.note(`reconcile --adopt ${key}`, who);
  }

  async #adopt({ key, object }: Loss, who: string): Promise<void> {
    const kind = kindOf(object, this.ctx.settings.scope);
    if (!kind) throw new Error("it is not of a kind that is replicated any more");
    const json = JSON.stringify(replicatedForm(object, kind));
    if (this.ctx.activeScope()) return await this.take(key, json, who);
    const { peerAddress } = this.ctx.settings;
    if (peerAddress === "") throw new Error("this principal is not ACTIVE and has no peer");
    const peer = this.ctx.peer.connect();
    try {
      await peer.adopt({ standing: this.ctx.standing(), key, object: json, who }, ADOPT_TIMEOUT_MS);
    } catch (error) {
      throw new Error(`the ACTIVE principal did not take it: ${reasonOf(error)}`);
    } finally {
      peer.close();
    }
  }
}
