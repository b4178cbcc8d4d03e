/**
 * A site's disk and API server: the embedded store's own code on a database that outlives the processes, behind answers that come
 * late, fail, or get lost although the write was carried out. Every durable state of a resource is noted in order: what the checkers
 * compare with.
 */
import type { DatabaseSync } from "node:sqlite";
import type { Key } from "../../src/domain/resources/keys.ts";
import { keyOfObject } from "../../src/domain/resources/keys.ts";
import { kindOf, losable } from "../../src/domain/resources/kinds.ts";
import { replicatedForm } from "../../src/domain/resources/transform.ts";
import { canonicalJson } from "../../src/base/json.ts";
import { type ApiObject, isRecord, type StoredObject } from "../../src/domain/resources/object.ts";
import type { Scope } from "../../src/domain/resources/scope.ts";
import { sourceUid } from "../../src/domain/events/replicated.ts";
import type { Memory } from "../../src/domain/ha/state.ts";
import { memoryOf, STATE_NAME } from "../../src/principal/core/memory.ts";
import { digestOf, payloadOf } from "../../src/domain/changes/content.ts";
import {
  type Store,
  StoreError,
  type StoreEvent,
  type StoreStatus,
  type Write,
  type Written,
} from "../../src/principal/ports/store.ts";
import { LeaseConflict, type Leases, type SeenLease } from "../../src/adapters/store/lease.ts";
import type { Tenure } from "../../src/principal/ports/store_lock.ts";
import { SqliteStore } from "../../src/adapters/store/sqlite.ts";
import { openFile } from "../../src/adapters/store/sqlite_file.ts";
import { entriesOf } from "../../src/principal/core/kept_pages.ts";
import { HAND } from "./hand.ts";
import { SOUND_DISK } from "./sound.ts";
import { type Clock, type Process, process } from "./clock.ts";

/** A watch that was lost is opened again within this time. */
const WATCH_AGAIN_MS = 2_000;

/** A key that was let in is asked for again, and its answer written, within this time. */
const LET_IN_MS = 1_000;
/** The writer of a state that a lost or restored store is in. */
const LOSS = "a loss";

/** A field of an Application's spec. */
export const NEWER_FIELD = "info";

/** How a disk behaves now. */
export interface DiskFaults {
  minMs: number;
  maxMs: number;
  /** The share of writes that fail. */
  failing: number;
  /** The share of writes that are carried out and whose answer is lost. */
  lostAnswers: number;
  /** How late a watch tells, at most, in ms. */
  watchMs: number;
  /** The share of a watch's messages with which it is lost. */
  watchLost: number;
  /** Whether its CustomResourceDefinitions are of an older release, which does not know `NEWER_FIELD`. */
  older: boolean;
}

/** A durable state of a replicated resource: its digest, empty where it is deleted. */
export interface State {
  digest: string;
  atMs: number;
  /** The writer: the principal's process, or a user of the cluster. */
  by: string;
  /** The digest of what was sent, where the API server keeps something else. */
  sent?: string;
  /** The digest of what would be a loss if it were overwritten. */
  content?: string;
}

type Column = string | number;

/** A copy of a store, and what is known about it. */
export interface Backup {
  objects: Record<string, unknown>[];
  counters: Record<string, unknown>[];
  states: Map<Key, string>;
  saved: Set<string>;
  identities: Map<Key, string>;
  remembered: Memory | undefined;
}

export class Disk {
  readonly faults: DiskFaults = { ...SOUND_DISK };
  /** Every durable state of every replicated key, oldest first. */
  readonly states = new Map<Key, State[]>();
  #foreign: ReadonlySet<Key> = new Set();
  readonly #letInMs = new Map<Key, number>();
  /** Called after each durable change of a replicated key. */
  onChange: ((key: Key, state: State, write: Write) => void) | undefined;
  /** `KEY DIGEST` of everything that was ever in the loss manifest. */
  readonly saved = new Set<string>();
  /** The UID that a resource had where it comes from, as it was written last. */
  readonly identities = new Map<Key, string>();
  /** Whether the principal here is ACTIVE. */
  serves = () => false;
  /** The lock on this disk; undefined: no process has asked for it. */
  lease: SeenLease | undefined;
  #leaseWrites = 0;
  /** Called when a process writes without holding the lock. */
  onIntrusion: ((identity: string) => void) | undefined;
  /** Called when the principal here begins to record its role. */
  onRecording: () => void = () => {};
  /** When the store was lost last. */
  lostAtMs = -Infinity;
  /** The role that the principal here would remember if it started now. */
  remembered: Memory | undefined;
  #store: SqliteStore;
  #database: DatabaseSync;

  constructor(readonly name: string, readonly clock: Clock, readonly scope: Scope) {
    this.#database = openFile(":memory:", { create: true, verify: false });
    this.#store = this.#open();
  }

  /** Its polls for what other operating system processes write are nobody's, and never come. */
  #open(): SqliteStore {
    const nobody = { ...process("disk"), alive: false };
    return this.clock.as(nobody, () => new SqliteStore(this.#database, this.name, false));
  }

  /** The keys that are kept as foreign, as far as that is durable. */
  foreign(): Set<Key> {
    const pages = this.#database.prepare(
      "SELECT body FROM objects WHERE kind = 'ConfigMap' AND name LIKE 'argocd-agent-ha-foreign-%' AND deleted = 0",
    ).all() as { body: string }[];
    return new Set(pages.flatMap(({ body }) => String(JSON.parse(body).data["keys.txt"]).split("\n")));
  }

  /** Whether a key is kept as foreign, or was a moment ago: a key that was let in is asked for again, and soon the leader's. */
  isForeign(key: Key): boolean {
    return this.#foreign.has(key) || this.clock.nowMs - (this.#letInMs.get(key) ?? -Infinity) < LET_IN_MS;
  }

  /** Notes which keys have left the list of foreign ones. */
  #followForeign(): void {
    const foreign = this.foreign();
    for (const key of this.#foreign.difference(foreign)) this.#letInMs.set(key, this.clock.nowMs);
    this.#foreign = foreign;
  }

  /** A copy of everything, as it is now. */
  backup(): Backup {
    return {
      objects: this.#database.prepare("SELECT * FROM objects").all(),
      counters: this.#database.prepare("SELECT * FROM counters").all(),
      states: new Map([...this.states].map(([key, states]) => [key, states.at(-1)?.digest ?? ""])),
      saved: new Set(this.saved),
      identities: new Map(this.identities),
      remembered: this.remembered,
    };
  }

  /** The store is lost, and where there is a backup it takes its place. No process may run on it. */
  replace(backup: Backup | undefined): void {
    this.#database = openFile(":memory:", { create: true, verify: false });
    for (const { kind, namespace, name, revision, deleted, body, sum } of backup?.objects ?? []) {
      const put = this.#database.prepare("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)");
      put.run(
        kind as Column,
        namespace as Column,
        name as Column,
        revision as Column,
        deleted as Column,
        body as Column,
        sum as Column,
      );
    }
    for (const { name, value } of backup?.counters ?? []) {
      this.#database.prepare("UPDATE counters SET value = ? WHERE name = ?").run(
        value as Column,
        name as Column,
      );
    }
    this.#store = this.#open();
    for (const [key, states] of this.states) {
      const digest = backup?.states.get(key) ?? "";
      if (this.now(key) === digest) continue;
      const earlier = states.findLast((state) => state.digest === digest);
      // What another writer had made is nobody's own in the copy either.
      const by = digest !== "" && earlier?.by === HAND ? HAND : LOSS;
      states.push({ ...earlier, digest, atMs: this.clock.nowMs, by });
    }
    this.saved.clear();
    for (const saved of backup?.saved ?? []) this.saved.add(saved);
    this.identities.clear();
    for (const [key, uid] of backup?.identities ?? []) this.identities.set(key, uid);
    this.remembered = backup?.remembered;
    this.lease = undefined;
    this.lostAtMs = this.clock.nowMs;
  }

  /** A principal's handle, for as long as it holds the lock; `identity` is the lock's name for its process. */
  mount(process: Process, identity: string, tenure: Pick<Tenure, "holds">): Store {
    return new FaultyStore(this, this.#store, { process, identity, tenure });
  }

  /** The lock on this disk, as a process reaches it. */
  leases(process: Process): Leases {
    const failing = () => {
      if (this.clock.random.chance(this.faults.failing)) {
        throw new StoreError("unavailable", "503 (simulated)");
      }
    };
    return {
      read: async () => {
        await this.wait(process, "lease read");
        failing();
        return this.lease;
      },
      write: async (record, over) => {
        await this.wait(process, "lease write");
        failing();
        if (over?.version !== this.lease?.version) throw new LeaseConflict();
        const written = { ...record, version: String(++this.#leaseWrites) };
        this.lease = written;
        await this.wait(process, "lease written");
        if (this.clock.random.chance(this.faults.lostAnswers)) {
          throw new StoreError("unavailable", "the answer was lost (simulated)");
        }
        return written;
      },
      close: () => {},
    };
  }

  /** The time that the API server takes. */
  wait(process: Process, label: string): Promise<void> {
    const { minMs, maxMs } = this.faults;
    const ms = minMs + this.clock.random.next() * (maxMs - minMs);
    return new Promise((resolve) => this.clock.schedule(process, ms, resolve, `disk ${label}`));
  }

  /** Somebody writes with kubectl. */
  async write(by: string, write: Write): Promise<Written> {
    const kept = this.kept(write);
    const written = await this.#store.write(kept);
    this.note(by, kept, written);
    return written;
  }

  /**
   * A write as the API server takes it: what its definitions do not know is dropped. An ACTIVE's API server has shown it everything in
   * the form that it keeps, so that no write of its changes more than was meant.
   */
  kept(write: Write): Write {
    if (!this.faults.older || this.serves() || write.op === "delete" || write.object.kind !== "Application") {
      return write;
    }
    const { [NEWER_FIELD]: dropped, ...spec } = write.object["spec"] as Record<string, unknown>;
    return dropped === undefined ? write : { ...write, object: { ...write.object, spec } };
  }

  get(key: Key): Promise<StoredObject | undefined> {
    return this.#store.get(key);
  }

  list(): Promise<StoredObject[]> {
    return this.#store.list();
  }

  /** The present state of a key; empty: it does not exist. */
  now(key: Key): string {
    return this.states.get(key)?.at(-1)?.digest ?? "";
  }

  note(by: string, write: Write, { object, changed }: Written): void {
    if (!changed) return;
    if (object?.metadata.name === STATE_NAME && isRecord(object["data"])) {
      this.remembered = memoryOf(object["data"], "argocd");
    }
    if (object && object.metadata.name.startsWith("argocd-agent-ha-loss-")) {
      for (const { key, digest } of entriesOf([object])) this.saved.add(`${key} ${digest}`);
    }
    const key = write.op === "put" ? keyOfObject(write.object) : write.key;
    if (key.includes("/argocd-agent-ha-foreign-")) this.#followForeign();
    const digest = object ? stateOf(object, this.scope) : "";
    if (object) this.identities.set(key, sourceUid(object));
    const states = this.states.get(key) ?? [];
    if (digest === undefined || (digest === "" && states.length === 0)) return;
    const state: State = { digest, atMs: this.clock.nowMs, by };
    const sent = write.op === "put" && this.kept(write) !== write && stateOf(write.object, this.scope);
    if (sent) state.sent = sent;
    if (object) state.content = contentOf(object, this.scope);
    states.push(state);
    this.states.set(key, states);
    this.onChange?.(key, state, write);
  }
}

/** Whether one state in place of the other is no loss: only what a controller observed differs. */
export function sameContent(a: State, b: State): boolean {
  return a.content !== undefined && a.content === b.content;
}

function contentOf(object: ApiObject, scope: Scope): string {
  const kind = kindOf(object, scope);
  return kind
    ? digestOf(keyOfObject(object), canonicalJson(losable(replicatedForm(object, kind), kind)))
    : "";
}

function stateOf(object: ApiObject, scope: Scope): string | undefined {
  const kind = kindOf(object, scope);
  return kind && digestOf(keyOfObject(object), payloadOf(object, kind));
}

class FaultyStore implements Store {
  constructor(
    private readonly disk: Disk,
    private readonly inner: SqliteStore,
    private readonly holder: { process: Process; identity: string; tenure: Pick<Tenure, "holds"> },
  ) {}

  async get(key: Key): Promise<StoredObject | undefined> {
    await this.#wait("read");
    return await this.inner.get(key);
  }

  async list(kind?: string): Promise<StoredObject[]> {
    await this.#wait("list");
    return await this.inner.list(kind);
  }

  async each(visit: (object: StoredObject) => void): Promise<void> {
    await this.#wait("list");
    await this.inner.each(visit);
  }

  async write(write: Write): Promise<Written> {
    const { clock, faults } = this.disk;
    if (write.op === "put" && write.object.metadata.name === STATE_NAME) this.disk.onRecording();
    await this.#wait("write");
    if (clock.random.chance(faults.failing)) {
      throw new StoreError("unavailable", "the API server answered 503 (simulated)");
    }
    const { process, identity, tenure } = this.holder;
    if (!tenure.holds()) throw new StoreError("unavailable", "this process does not hold the lock");
    const { lease } = this.disk;
    if (lease && lease.identity !== identity) this.disk.onIntrusion?.(identity);
    const written = await this.inner.write(this.disk.kept(write));
    this.disk.note(process.name, write, written);
    await this.#wait("written");
    if (clock.random.chance(faults.lostAnswers)) {
      throw new StoreError("unavailable", "the API server's answer was lost (simulated)");
    }
    return written;
  }

  /** Events may be late; now and then the watch is lost and restarts with a full listing. */
  async *watch(signal: AbortSignal): AsyncGenerator<StoreEvent[]> {
    const { clock, faults } = this.disk;
    while (!signal.aborted) {
      for await (const events of this.inner.watch(signal)) {
        await this.#sleep(clock.random.next() * faults.watchMs, "watch");
        if (clock.random.chance(faults.watchLost)) break;
        yield events;
      }
      if (!signal.aborted) await this.#sleep(clock.random.next() * WATCH_AGAIN_MS, "watch again");
    }
  }

  async examine(): Promise<undefined> {
    await this.#wait("examine");
    return await this.inner.examine();
  }

  status(): StoreStatus {
    return this.inner.status();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #wait(label: string): Promise<void> {
    return this.disk.wait(this.holder.process, label);
  }

  #sleep(ms: number, label: string): Promise<void> {
    return new Promise((resolve) => this.disk.clock.schedule(this.holder.process, ms, resolve, label));
  }
}
