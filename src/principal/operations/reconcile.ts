/**
 * `ha reconcile`: an operator lists what is kept, has the ACTIVE adopt a state or discards it. Adoption is an act at the ACTIVE: it fetches
 * what its peer keeps and writes it over its own; no call of a peer writes there. Nothing is adopted or discarded automatically.
 */
import { reasonOf } from "../../base/reason.ts";
import { parseStored } from "../../base/bounds.ts";
import { canonicalJson } from "../../base/json.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Model, Standing } from "../../domain/ha/state.ts";
import type { Key } from "../../domain/resources/keys.ts";
import { kindOf } from "../../domain/resources/kinds.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import { adoptedState } from "../../domain/resources/adoption.ts";
import { replicatedForm } from "../../domain/resources/transform.ts";
import type { Store } from "../ports/store.ts";
import type { ForeignObjects } from "../core/foreign_objects.ts";
import type { ListedLoss, ReconcileOptions } from "../ports/operations.ts";
import { type KeptState, type Peer, PeerError, type Repaired } from "../ports/peer.ts";
import type { ChangeWriter } from "../replica/change_writer.ts";
import type { KeptObjects } from "../core/kept_objects.ts";
import type { KeptObject } from "../core/kept_pages.ts";
import { adoptHere, type AdoptingParts, type Adoption } from "./adopting.ts";
import type { KeptHere } from "./kept_here.ts";
import type { Machine } from "./machine.ts";

const PEER_TIMEOUT_MS = 10_000;
const MAX_KEY = 300;

/** The parts that reconciling needs. */
export interface ReconcileParts extends Machine, AdoptingParts {
  readonly settings: { readonly peerAddress: string; readonly plainContract: boolean; readonly scope: Scope };
  readonly index: ChangeIndex;
  readonly kept: Pick<KeptObjects, "forget">;
  readonly keptHere: Pick<KeptHere, "list">;
  readonly store: Pick<Store, "write">;
  readonly foreign: Pick<ForeignObjects, "has" | "delete">;
  model(): Model;
  readonly peer: Pick<Peer, "connect">;
  activeScope(): AbortSignal | undefined;
  standing(): Standing;
}

/** A kept state, and the side that keeps it. */
type Candidate = { at: "here"; state: KeptObject } | { at: "peer"; state: KeptState };

export class Reconciler {
  /** @param writer writes only while this principal is ACTIVE */
  constructor(private readonly ctx: ReconcileParts, private readonly writer: Pick<ChangeWriter, "apply">) {}

  /** Everything that is kept here, oldest first, and on an ACTIVE what its peer keeps. @throws StoreError */
  async list(): Promise<{ losses: ListedLoss[]; peerError: string }> {
    const own = await this.ctx.keptHere.list();
    const { states, problem } = await this.#atPeer();
    const losses = [
      ...own.map((state): ListedLoss => ({ ...state, keptAt: "", now: this.#now(state) })),
      ...states.map(({ object, writtenAtMs: _, ...state }): ListedLoss => ({
        ...state,
        keptAt: this.ctx.settings.peerAddress,
        now: this.#now({ ...state, reason: "overwritten" }),
        object: object === "" ? NOT_SENT : parseStored(object) as ApiObject,
      })),
    ];
    return { losses, peerError: problem };
  }

  #now({ key, reason, digest }: Pick<KeptObject, "key" | "reason" | "digest">): ListedLoss["now"] {
    if (reason === "foreign") return "not replicated";
    const entry = this.ctx.index.present(key);
    return !entry ? "nothing" : entry.digest === digest ? "the same" : "another state";
  }

  /** Objects that the peer of an ACTIVE keeps; a Go principal keeps none. */
  async #atPeer(keys: readonly Key[] = []): Promise<{ states: KeptState[]; problem: string }> {
    const { settings: { peerAddress, plainContract }, peer, activeScope } = this.ctx;
    if (!activeScope() || peerAddress === "" || plainContract) return { states: [], problem: "" };
    const connection = peer.connect();
    try {
      return { states: await connection.kept(keys, PEER_TIMEOUT_MS), problem: "" };
    } catch (error) {
      const unknown = error instanceof PeerError && error.kind === "unimplemented";
      const why = unknown ? "its release does not tell; update it" : reasonOf(error);
      return { states: [], problem: `what the peer "${peerAddress}" keeps is not known: ${why}` };
    } finally {
      connection.close();
    }
  }

  /**
   * Adopts or discards; what fails stays. Without keys, of all that waits for a decision: deleted objects, and those whose deletion waits, are
   * named one by one. @throws Refusal when nothing can be done
   */
  async reconcile(options: ReconcileOptions): Promise<Repaired> {
    const { action, keys } = options;
    const adopting = action === "adopt";
    const { states, problem: unheard } = adopting ? await this.#atPeer(keys) : { states: [], problem: "" };
    const candidates: Candidate[] = [
      ...(await this.ctx.keptHere.list()).map((state): Candidate => ({ at: "here", state })),
      ...states.map((state): Candidate => ({ at: "peer", state })),
    ];
    const newest = new Map<Key, Candidate>();
    for (const candidate of candidates.sort((a, b) => a.state.atMs - b.state.atMs)) {
      const { key, reason } = candidate.state;
      if (keys || (reason !== "deleted" && reason !== "held")) newest.set(key, candidate);
    }
    const end = await this.ctx.begin("reconcile", this.#problem(options, newest, unheard));
    try {
      return await this.#reconcile(options, newest);
    } finally {
      end();
    }
  }

  #problem({ action, keys }: ReconcileOptions, known: ReadonlyMap<Key, Candidate>, unheard: string): string {
    const { settings: { peerAddress }, model, activeScope } = this.ctx;
    if (action === "adopt" && !activeScope()) {
      const where = peerAddress === "" ? "the ACTIVE principal" : `the peer "${peerAddress}"`;
      return `not ACTIVE (state ${model().state}): the ACTIVE adopts what this side keeps; at ${where}, once it is ACTIVE, ` +
        "run: ha reconcile --adopt KEY";
    }
    const unknown = keys?.find((key) => !known.has(key));
    if (unknown === undefined) return "";
    return `the loss manifest has no ${unknown.slice(0, MAX_KEY)}${
      unheard && `; ${unheard}`
    }; see: ha reconcile`;
  }

  async #reconcile(
    { action, keys, who }: ReconcileOptions,
    newest: ReadonlyMap<Key, Candidate>,
  ): Promise<Repaired> {
    const notes: { key: Key; reason: string }[] = [];
    const result: Repaired = { done: [], failed: [], notes };
    for (const key of keys ?? newest.keys()) {
      const candidate = newest.get(key) as Candidate;
      try {
        if (action === "adopt") {
          const reason = await this.#adopt(candidate, who, keys !== undefined);
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
    const adopted = result.done.map((key) => newest.get(key)).filter((one) => one?.at === "peer");
    if (adopted.length > 0) await this.#settle(adopted.map((one) => (one as Candidate).state), who, notes);
    this.ctx.note(`reconcile --${action} (${result.done.length} of ${newest.size} keys)`, who);
    return result;
  }

  /** Takes a state over this side's own; a remark on it, empty: none. @throws Refusal where this principal is not ACTIVE; Error where the state is refused */
  async take(adoption: Adoption, who: string): Promise<string> {
    const end = await this.ctx.begin("adopt");
    try {
      const remark = await adoptHere(this.ctx, this.writer, adoption);
      this.ctx.note(`reconcile --adopt ${adoption.key}${remark && `: ${remark}`}`, who);
      return remark;
    } finally {
      end();
    }
  }

  async #adopt({ at, state }: Candidate, who: string, named: boolean): Promise<string> {
    const { key, writtenAtMs = 0 } = state;
    const object = at === "here" ? this.#formOf(state) : await this.#sent(state);
    return await this.take({ key, object, writtenAtMs, named }, who);
  }

  #formOf({ object }: KeptObject): string {
    const kind = kindOf(object, this.ctx.settings.scope);
    if (!kind) throw new Error("it is not of a kind that is replicated any more");
    return canonicalJson(adoptedState(replicatedForm(object, kind), undefined));
  }

  async #sent({ key, digest, object }: KeptState): Promise<string> {
    if (object !== "") return object;
    const { states, problem } = await this.#atPeer([key]);
    const found = states.find((state) => state.key === key && state.digest === digest)?.object;
    if (!found) throw new Error(problem || "the peer does not keep it any more");
    return found;
  }

  /** The peer keeps what is adopted no more. */
  async #settle(
    states: readonly { key: Key; digest: string }[],
    who: string,
    notes: { key: Key; reason: string }[],
  ): Promise<void> {
    const connection = this.ctx.peer.connect();
    try {
      await connection.settled(states.map(({ key, digest }) => ({ key, digest })), who, PEER_TIMEOUT_MS);
    } catch (error) {
      const reason = `adopted, and the peer still keeps it: ${reasonOf(error)}`;
      for (const { key } of states) notes.push({ key, reason });
    } finally {
      connection.close();
    }
  }
}

/** Stands for an object that was too much for one answer. */
const NOT_SENT: ApiObject = { apiVersion: "", kind: "not sent: too many at once", metadata: { name: "" } };
