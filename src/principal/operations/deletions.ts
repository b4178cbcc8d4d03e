/**
 * `ha deletions`: an operator lists the deletions that the guard holds on this side, lets them go, or has the objects restored. The
 * ACTIVE restores from its kept copies; what waits in a replica's copy, which still has the objects, the ACTIVE adopts (`ha reconcile`).
 */
import { monotonicMs } from "../../base/clock.ts";
import { reasonOf } from "../../base/reason.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { HeldDeletion } from "../../domain/ha/deletion_guard.ts";
import type { Standing } from "../../domain/ha/state.ts";
import { type Key, parseKey } from "../../domain/resources/keys.ts";
import { kindOf, rankOf } from "../../domain/resources/kinds.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import { replicatedForm } from "../../domain/resources/transform.ts";
import type { Fleet } from "../active/fleet.ts";
import type { KeptObjects } from "../core/kept_objects.ts";
import type { DeletionsDecision, ListedDeletion } from "../ports/operations.ts";
import type { Repaired } from "../ports/peer.ts";
import type { ChangeWriter } from "../replica/change_writer.ts";
import type { ReplicaDeletions } from "../replica/replica_deletions.ts";
import type { Machine } from "./machine.ts";
import type { PendingDeletion, PendingDeletions } from "./pending_deletions.ts";

const MAX_KEY = 300;
/** Keys that the history names. */
const NAMED = 5;

/** The deletions that the guard holds on this side. */
export interface HeldDeletions {
  /** `agent` is empty in a replica's copy. */
  list(): readonly (HeldDeletion & { agent: string })[];
  /** Lets these go, at one agent or wherever they wait. */
  release(keys: readonly Key[], agent: string): void;
}

/** The deletions that wait in the present role. */
export function heldIn(
  active: () => AbortSignal | undefined,
  fleet: Pick<Fleet, "heldDeletions" | "releaseDeletions">,
  replica: Pick<ReplicaDeletions, "held" | "release">,
): HeldDeletions {
  return {
    list: () => active() ? fleet.heldDeletions : replica.held.map((one) => ({ ...one, agent: "" })),
    release: (keys, agent) => active() ? fleet.releaseDeletions(keys, agent) : replica.release(keys),
  };
}

/** The parts that deciding about deletions needs. */
export interface DeletionsParts extends Machine {
  readonly settings: { readonly peerAddress: string; readonly scope: Scope };
  readonly index: Pick<ChangeIndex, "present">;
  readonly kept: Pick<KeptObjects, "newest">;
  readonly heldDeletions: HeldDeletions;
  readonly pending: Pick<PendingDeletions, "list" | "release" | "restore">;
  activeScope(): AbortSignal | undefined;
  standing(): Standing;
}

export class Deletions {
  /** @param writer writes only while this principal is ACTIVE */
  constructor(private readonly ctx: DeletionsParts, private readonly writer: Pick<ChangeWriter, "apply">) {}

  /** The deletions that wait, oldest first. @throws StoreError */
  async list(): Promise<ListedDeletion[]> {
    const held = this.ctx.heldDeletions.list();
    const kept = await this.ctx.kept.newest(new Set(held.map(({ key }) => key)));
    const { memory, peerAddress } = this.ctx.model();
    const listed = held.map(({ key, agent, cause, sinceMs }) => ({
      key,
      agent,
      cause,
      sinceMs: Date.now() - (monotonicMs() - sinceMs),
      by: agent === ""
        ? `the ACTIVE "${peerAddress}" in epoch ${memory.epoch}`
        : kept.get(key)?.cause ?? "not known: this store has never held it, as far as it remembers",
      restorable: agent === "" || kept.has(key),
    }));
    const requested = this.#pending().map(({ key, requested, waitsFor }) => ({
      key,
      agent: "",
      cause: "requested" as const,
      sinceMs: Date.parse(requested),
      by: waitsFor === "finalizers" ? "a user; waits for finalizers" : "a user of an earlier ACTIVE",
      restorable: true,
    }));
    return [...listed, ...requested].sort((a, b) => a.sinceMs - b.sinceMs || (a.key < b.key ? -1 : 1));
  }

  /** Lets deletions go, or has the objects restored; what fails still waits. @throws Refusal when nothing can be done */
  async decide(decision: DeletionsDecision): Promise<Repaired> {
    const { action, agent, who } = decision;
    const chosen = this.#chosen(decision);
    const end = await this.ctx.begin(action, "problem" in chosen ? chosen.problem : "");
    try {
      const { keys } = chosen as { keys: Key[] };
      const result = await this.#carryOut(action, keys, agent);
      this.ctx.note(`deletions --${action} (${summary(result.done, keys.length, agent)})`, who);
      return result;
    } finally {
      end();
    }
  }

  /** Requested deletions, which the ACTIVE alone decides about. */
  #pending(): PendingDeletion[] {
    return this.ctx.activeScope() ? this.ctx.pending.list() : [];
  }

  async #carryOut(action: "release" | "restore", keys: readonly Key[], agent: string) {
    const held = new Set(this.ctx.heldDeletions.list().map(({ key }) => key));
    const guarded = keys.filter((key) => held.has(key));
    const requested = keys.filter((key) => !held.has(key));
    const results = [
      action === "release" ? this.#release(guarded, agent) : await this.#restore(guarded),
      await each(requested, (key) => this.ctx.pending[action](key)),
    ];
    return { done: results.flatMap(({ done }) => done), failed: results.flatMap(({ failed }) => failed) };
  }

  #chosen({ action, keys, agent }: DeletionsDecision): { keys: Key[] } | { problem: string } {
    const { settings: { peerAddress }, activeScope } = this.ctx;
    if (action === "restore" && !activeScope()) {
      const problem =
        `this side is not ACTIVE, and only the ACTIVE gives objects back; at the peer "${peerAddress}" run: ` +
        "ha reconcile --adopt KEY";
      return { problem };
    }
    const held = new Set(
      this.ctx.heldDeletions.list().filter((one) => agent === "" || one.agent === agent).map(({ key }) =>
        key
      ),
    );
    // What waits for finalizers goes on by itself: it is ended only by name.
    for (const { key, waitsFor } of agent === "" ? this.#pending() : []) {
      if (waitsFor === "an operator" || keys?.includes(key)) held.add(key);
    }
    const where = agent === "" ? "" : ` at agent "${agent.slice(0, MAX_KEY)}"`;
    if (held.size === 0) return { problem: `no deletion waits here${where}; see: ha deletions` };
    const unknown = keys?.find((key) => !held.has(key));
    if (unknown !== undefined) {
      return { problem: `no deletion of ${unknown.slice(0, MAX_KEY)} waits here${where}; see: ha deletions` };
    }
    return { keys: [...new Set(keys ?? held)] };
  }

  #release(keys: readonly Key[], agent: string): Repaired {
    this.ctx.heldDeletions.release(keys, agent);
    return { done: [...keys], failed: [] };
  }

  /** Lower ranks first, so that an Application finds its project. */
  async #restore(keys: readonly Key[]): Promise<Repaired> {
    const ordered = [...keys].sort((a, b) => rankOfKey(a) - rankOfKey(b));
    return await this.#writeBack(ordered);
  }

  /** The ACTIVE writes its kept copies back; agents then lack nothing that they have. */
  async #writeBack(keys: readonly Key[]): Promise<Repaired> {
    const { kept, settings } = this.ctx;
    const copies = await kept.newest(new Set(keys));
    return await each(keys, async (key) => {
      const copy = copies.get(key);
      if (!copy) {
        throw new Error("no copy of it is kept here; apply it by hand, or see ha deletions on the peer");
      }
      const kind = kindOf(copy.object, settings.scope);
      if (!kind) throw new Error("it is not of a kind that is replicated any more");
      const object = JSON.stringify(replicatedForm(copy.object, kind));
      await this.writer.apply({ sequence: 0, key, object, changedAt: 0 });
    });
  }
}

/** Does something for each key; what throws has failed. */
async function each(keys: readonly Key[], act: (key: Key) => Promise<void>): Promise<Repaired> {
  const result: Repaired = { done: [], failed: [] };
  for (const key of keys) {
    try {
      await act(key);
      result.done.push(key);
    } catch (error) {
      result.failed.push({ key, reason: reasonOf(error) });
    }
  }
  return result;
}

function rankOfKey(key: Key): number {
  return rankOf(parseKey(key) ?? { kind: "" });
}

function summary(done: readonly Key[], of: number, agent: string): string {
  const named = done.slice(0, NAMED).join(", ");
  const more = done.length > NAMED ? ` and ${done.length - NAMED} more` : "";
  return `${done.length} of ${of}${agent === "" ? "" : ` at ${agent.slice(0, MAX_KEY)}`}: ${named}${more}`;
}
