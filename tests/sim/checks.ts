/** The invariants I1 to I15 and I18 of docs/invariants.md, checked after every event and after every durable write. */
import { digestOf } from "../../src/domain/changes/content.ts";
import type { Entry } from "../../src/domain/changes/index.ts";
import type { Situation } from "../../src/domain/ha/situation.ts";
import { type Key, parseKey } from "../../src/domain/resources/keys.ts";
import { ROSTER_NAME } from "../../src/domain/resources/roster.ts";
import type { Core } from "../../src/principal/principal.ts";
import type { Write } from "../../src/principal/ports/store.ts";
import type { Clock } from "./clock.ts";
import { sameContent, type State } from "./disk.ts";
import { indexBounded } from "./bounds.ts";
import { Emptiness } from "./emptiness.ts";
import { Erasures } from "./erasures.ts";
import { OneProcess } from "./one_process.ts";
import type { Site } from "./site.ts";
import { HAND } from "./hand.ts";
import { Requests } from "./requests.ts";
import { Violation } from "./violation.ts";
import { exposureBounded, lossBounded, sentOf } from "./exposed.ts";
import { fresh, watch, type Watched } from "./watched.ts";

/** How long what was true a moment ago may still be acted upon: the longest way of a message, and the writes after it. */
const IN_FLIGHT_MS = 30_000;
/** A replica says REPLICATING of a stream that is broken at most this long: 8 s of silence, and what a slow host adds. */
const STALE_MS = 15_000;
const BOUNDS_EVERY = 50;
const EXPOSED_EVERY = 10;
/** Longer than the question of the peer takes. */
const SOUND_MS = 5_000;
/** Longer than a message is on its way: where nothing is wrong, and over the slowest path. */
const [PROMPT_MS, LATE_MS] = [250, 3_500];
/** The longest pause, and a switchover. */
const MOVE_MS = 160_000;

export class Checks {
  readonly #watched: Record<"a" | "b", Watched>;
  /** Keys that somebody wrote in the replica's cluster: nobody keeps those. */
  readonly strays = new Set<Key>();
  /** Deletions by autonomous agents, as `KEY UID`. */
  readonly removedByAgents = new Set<string>();
  readonly autonomous = new Set<string>();
  readonly requests: Requests;
  /** Kept objects that an operator discarded. */
  readonly discarded = new Set<Key>();
  violation: Violation | undefined;
  /** Deletions that must wait for an operator. */
  readonly erasures: Erasures;
  private readonly oneProcess: OneProcess;
  /** States that a side did not get by replication. */
  readonly #own = new WeakSet<State>();
  readonly #emptiness: Emptiness;
  #moveUntilMs = 0;
  #steps = 0;
  /** How often each was looked at with something to look at. */
  readonly looked: Record<string, number> = {};

  /** @param linked whether messages pass between the two sides in good time now */
  constructor(
    private readonly clock: Clock,
    sites: { a: Site; b: Site },
    private readonly linked: () => boolean,
  ) {
    this.#watched = { a: watch(sites.a), b: watch(sites.b) };
    this.oneProcess = new OneProcess(sites, this);
    this.#emptiness = new Emptiness(clock);
    this.erasures = new Erasures(clock, this.#watched, () => this.note("I14"));
    this.requests = new Requests((invariant) => this.note(invariant));
    for (const one of [this.#watched.a, this.#watched.b]) {
      one.site.disk.onChange = (key, state, write) => {
        try {
          this.#written(one, key, state, write);
        } catch (error) {
          this.found(error);
        }
      };
    }
  }

  get #all(): Watched[] {
    return [this.#watched.a, this.#watched.b];
  }

  /** Keeps the first that is found where nobody would hear of it. */
  found(error: unknown): void {
    this.violation ??= error instanceof Violation
      ? error
      : new Violation("crash", error instanceof Error ? error.stack ?? error.message : String(error));
  }

  #other({ site }: Watched): Watched {
    return this.#watched[site.other];
  }

  note(invariant: string): void {
    this.looked[invariant] = (this.looked[invariant] ?? 0) + 1;
  }

  /** A principal has read its store. */
  opened(site: Site, core: Core): void {
    this.requests.opened(site);
    const one = this.#watched[site.name];
    Object.assign(one, fresh(), {
      uid: core.uid,
      openedMs: this.clock.nowMs,
      emptyAtStart: site.disk.remembered === undefined,
    });
    const take = () => {
      if (site.core !== core) return;
      const { entries, position } = core.index.since(one.seen, Infinity);
      one.seen = position;
      for (const entry of entries) this.#take(one, entry);
    };
    take();
    core.index.onChange(take);
  }

  #take({ taken }: Watched, { key, revision, deleted, payload }: Entry): void {
    const list = taken.get(key) ?? [];
    // A standby's entry of what is being deleted has another digest, until that side serves.
    const digest = deleted ? "" : digestOf(key, payload);
    list.push({ revision, digest, atMs: this.clock.nowMs });
    taken.set(key, list);
  }

  /** A side's store is lost, or an older one is in its place. */
  storeLost(site: Site): void {
    const { stands, erased } = this.#watched[site.name];
    stands.clear();
    erased.clear();
  }

  /** An operator has asked this side's principal for a promotion. */
  promotionAsked(site: Site): void {
    this.#watched[site.name].promotionAsked = true;
  }

  /**
   * An operator has asked for a switchover: either side may become ACTIVE by it, also one that has started again, and long after: it is
   * the principal that carries it out, which may have been paused.
   */
  moveAsked(): void {
    this.#moveUntilMs = this.clock.nowMs + MOVE_MS;
  }

  /** After every event. @throws Violation */
  after(): void {
    if (this.violation) throw this.violation;
    for (const one of this.#all) {
      const { process: { alive, paused }, core } = one.site;
      if (alive) one.aliveMs = this.clock.nowMs;
      if (!alive || paused || !core || !this.linked()) one.deafAtMs = this.clock.nowMs;
    }
    this.#steps++;
    for (const one of this.#all) {
      if (!one.site.process.alive || !one.site.core) continue;
      this.#role(one);
      this.#acknowledgements(one);
      this.#welcomed(one);
      this.#honest(one);
      if (this.#steps % EXPOSED_EVERY === 0) {
        if (exposureBounded(one, this.#other(one), this.#own)) this.note("exposure");
      }
      if (this.#steps % BOUNDS_EVERY > 0) continue;
      this.note("I10");
      indexBounded(one);
      this.#emptiness.check(one, this.#other(one));
    }
    this.#oneActive();
    this.oneProcess.after();
  }

  /** One active per epoch (I1). */
  #oneActive(): void {
    const { a, b } = this.#watched;
    if (!a.site.serving || !b.site.serving) return;
    this.note("I1");
    const [one, two] = [a, b].map(({ site }) => site.core?.model().memory.epoch);
    if (one === two) throw new Violation("I1", `both sides serve agents in epoch ${one}`);
  }

  /** One side serves no superseded epoch (I1), and became ACTIVE only by an operator (I13). */
  #role(one: Watched): void {
    const { site } = one;
    const model = site.core?.model();
    if (!model) return;
    const heard = model.peer?.epoch ?? 0;
    if (site.serving && !model.operation && heard > model.memory.epoch) {
      throw new Violation(
        "I1",
        `${site.name} serves in epoch ${model.memory.epoch} and has heard of ${heard}`,
      );
    }
    if (site.serving) one.lastServedMs = this.clock.nowMs;
    else one.notServingMs = this.clock.nowMs;
    const active = model.state === "active";
    this.#durable(one);
    if (active && !one.wasActive) {
      this.note("I13");
      one.activations++;
      this.#emptiness.active(one, this.#other(one));
      if (one.leftStart && !one.promotionAsked && this.clock.nowMs > this.#moveUntilMs) {
        throw new Violation("I13", `${site.name} became ACTIVE and nobody asked for it`);
      }
      const { epoch } = model.memory;
      const theirs = this.#other(one).site.core?.model().memory.epoch ?? 0;
      if (one.promised === epoch && this.#other(one).site.serving && theirs < epoch) {
        throw new Violation("I1", `${site.name} took over while the other side serves in ${theirs}`);
      }
      if (
        this.#other(one).site.serving && theirs > epoch &&
        this.clock.nowMs - Math.max(this.#other(one).deafAtMs, this.#other(one).notServingMs) > SOUND_MS
      ) {
        const text =
          `${site.name} became ACTIVE in epoch ${epoch} while the other side serves in ${theirs} and can be asked`;
        throw new Violation("I1", text);
      }
      one.promotionAsked = false;
    }
    if (model.state !== "recovering") one.leftStart = true;
    one.wasActive = active;
    one.promised = model.memory.promised;
  }

  /** An epoch is durable before a side is ACTIVE in it, and the role before an agent connects (I1). */
  #durable({ site }: Watched): void {
    const { model, fleet } = site.core ?? {};
    if (!model || model().state !== "active" || model().operation) return;
    const { epoch } = model().memory;
    const { remembered } = site.disk;
    // A demotion that was written and not answered is taken back, in the same epoch.
    if (remembered?.epoch === epoch) return;
    this.note("promise");
    if (remembered?.promised !== epoch) {
      throw new Violation("I1", `${site.name} is ACTIVE in epoch ${epoch}, which is not durable`);
    }
    if (fleet && fleet.connected > 0) {
      throw new Violation("I1", `${site.name} has let an agent in although its role is not durable`);
    }
  }

  /** A change that a leader counts as applied is durable at its replica (I3). */
  #acknowledgements(one: Watched): void {
    const { core } = one.site;
    const other = this.#other(one);
    if (!core || this.clock.nowMs - other.site.disk.lostAtMs < IN_FLIGHT_MS) return;
    for (const replica of core.replicas) {
      const upTo = replica.appliedRevision;
      if (upTo <= one.acknowledged) continue;
      if ((other.site.core?.model().memory.epoch ?? 0) > core.model().memory.epoch) continue;
      if (other.site.serving) continue;
      this.note("I3");
      for (const [key, records] of one.taken) {
        const at = records.findLastIndex(({ revision }) => revision <= upTo);
        const record = records[at];
        if (!record || record.revision <= one.acknowledged) continue;
        const now = other.site.disk.now(key);
        const later = records.slice(at);
        if (later.some(({ digest }) => digest === now)) continue;
        // An object that is kept is not in the copy (I14): that is how its deletion is carried out, or why it was none.
        const kept = other.site.disk.isForeign(key);
        if (kept && later.some(({ digest }) => digest === "")) continue;
        // State that only this side held and a late watch reported is drift, which it finds later (I6).
        const last = other.site.disk.states.get(key)?.at(-1);
        if (last && this.#own.has(last)) continue;
        // What an API server altered of a later state stands in its place, and that one is not acknowledged.
        if (records.slice(at + 1).some(({ digest }) => digest === last?.sent)) continue;
        throw new Violation(
          last?.sent ? "I15" : "I3",
          `${other.site.name} acknowledged revision ${upTo} of ${one.site.name} and does not hold ${key} of revision ${record.revision}`,
        );
      }
      one.acknowledged = upTo;
    }
  }

  /** A replica follows only a side that serves, because that side may delete (I5). */
  #welcomed(one: Watched): void {
    const live = one.site.core?.model().streamLive === true;
    const rising = live && !one.wasLive;
    one.wasLive = live;
    const other = this.#other(one);
    const promptly = this.#all.every(({ deafAtMs }) => this.clock.nowMs - deafAtMs > LATE_MS);
    if (!rising || !promptly || this.clock.nowMs - other.lastServedMs < PROMPT_MS) return;
    throw new Violation("I5", `${one.site.name} follows ${other.site.name}, which is not ACTIVE`);
  }

  /** A side that reports REPLICATING has a stream from a side that serves (I8). */
  #honest(one: Watched): void {
    const { site } = one;
    const other = this.#other(one).site;
    const says = site.core?.model().state === "replicating" && !site.process.paused;
    const true_ = !says ||
      (other.process.alive && this.clock.nowMs - this.#other(one).lastServedMs < STALE_MS &&
        [...other.core?.replicas ?? []].some(({ standing }) => standing?.uid === one.uid));
    if (true_) {
      one.brokenSinceMs = undefined;
      return;
    }
    this.note("I8");
    one.brokenSinceMs ??= this.clock.nowMs;
    if (this.clock.nowMs - one.brokenSinceMs > STALE_MS && !other.process.paused) {
      throw new Violation("I8", `${site.name} has said REPLICATING for ${STALE_MS} ms without a stream`);
    }
  }

  /** No older state over a newer one (I4), and no deletion without a word (I5), at each durable write. */
  #written(one: Watched, key: Key, state: State, write: Write): void {
    const byPeople = state.by === "user" || state.by === HAND;
    if (byPeople || !one.site.core?.following.connected) this.#own.add(state);
    if (byPeople) return;
    if (!one.site.serving && one.site.core?.following.connected) this.#saved(one, key);
    if (state.digest === "") this.#deleted(one, key, write);
    else if (!one.site.serving && one.site.core?.following.connected) this.#overwritten(one, key, state);
  }

  /** State that only this side had is in its loss manifest before being overwritten. */
  #saved(one: Watched, key: Key): void {
    const { disk } = one.site;
    const [before, after] = disk.states.get(key)?.slice(-2) ?? [];
    if (!before || !after || before.digest === "" || before.by === HAND || sameContent(before, after)) return;
    if (this.strays.has(key) || this.discarded.has(key) || key.endsWith(`/${ROSTER_NAME}`)) return;
    const known = this.#other(one).site.disk.states.get(key) ?? [];
    if (known.some(({ digest }) => digest === sentOf(before))) return;
    this.note("manifest");
    if (disk.saved.has(`${key} ${before.digest}`)) return;
    throw new Violation(
      "manifest",
      `${one.site.name} overwrote its own state of ${key} and had not saved it`,
    );
  }

  #overwritten(one: Watched, key: Key, state: State): void {
    const leader = this.#other(one);
    this.note("I4");
    if (state.sent) this.note("I15");
    const order = leader.site.disk.states.get(key) ?? [];
    const last = one.stands.get(key);
    const from = last?.activation === leader.activations ? last.at : 0;
    // One state may come again and again (who is connected): the first that is not older counts.
    const at = order.findIndex(({ digest }, i) => i >= from && digest === sentOf(state));
    if (at === -1) {
      const known = order.some(({ digest }) => digest === sentOf(state));
      const what = known ? "an older state over a newer one" : "a state that the other side never had";
      throw new Violation("I4", `${one.site.name} wrote ${what} of ${key}`);
    }
    one.stands.set(key, { activation: leader.activations, at });
  }

  #deleted(one: Watched, key: Key, write: Write): void {
    if (write.op !== "delete") return;
    if (this.discarded.has(key)) return;
    this.erasures.written(one, key);
    const { namespace = "" } = parseKey(key) ?? {};
    const removed = `${key} ${one.site.disk.identities.get(key)}`;
    if (this.autonomous.has(namespace) && this.removedByAgents.has(removed)) return;
    if (one.site.serving && this.requests.mayEnd(one.site, key)) return;
    if (one.site.disk.states.get(key)?.at(-2)?.by === HAND) return;
    this.note("I5");
    const leader = this.#other(one);
    if (one.site.serving) {
      throw new Violation("I5", `${one.site.name}, ACTIVE, deleted ${key}, which nobody asked for`);
    }
    const since = this.clock.nowMs - IN_FLIGHT_MS;
    const states = leader.site.disk.states.get(key) ?? [];
    const absent = (states.at(-1)?.digest ?? "") === "" || (states[0]?.atMs ?? 0) >= since ||
      states.some((state, i) => state.digest === "" && (states[i + 1]?.atMs ?? Infinity) >= since);
    if (!absent) {
      throw new Violation("I5", `${one.site.name} deleted ${key}, which the other side has had all the time`);
    }
    if (leader.lastServedMs < since) {
      throw new Violation("I5", `${one.site.name} deleted ${key} and nobody was ACTIVE to say so`);
    }
  }

  /** The new active holds every change that the old one had accepted at the cut (I2). */
  switchedOver(from: Site, to: Site, cut: number): void {
    this.note("I2");
    for (const [key, records] of this.#watched[from.name].taken) {
      const last = records.findLast(({ revision }) => revision <= cut);
      if (!last) continue;
      const states = to.disk.states.get(key) ?? [];
      const there = last.digest === ""
        ? (states[0]?.atMs ?? Infinity) > last.atMs || states.some(({ digest }) => digest === "")
        : states.some(({ digest }) => digest === last.digest);
      if (!there) {
        throw new Violation("I2", `${key} as of the cut at ${from.name} never came to ${to.name}`);
      }
    }
  }

  /** As `lossBounded` (I12). */
  lossBounded(site: Site, situation: Situation, at: { atMs: number; overridden: string }): void {
    const other = this.#watched[site.other];
    const when = { ...at, nowMs: this.clock.nowMs };
    if (lossBounded(this.#watched[site.name], other, situation, when)) this.note("I12");
  }
}
