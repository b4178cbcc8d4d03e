import { assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { ChangeIndex } from "../../domain/changes/index.ts";
import { Drift } from "../../domain/replication/drift.ts";
import { DriftRepair } from "./drift_repair.ts";
import { until } from "../../../tests/support/until.ts";

const KEYS = ["Application/edge-1/a", "Application/edge-1/b"] as const;

/** Copies of a leader's Applications, and another writer that changes some of them; `onRestore` is called during each write. */
class Copies {
  readonly index = new ChangeIndex("here");
  readonly drift = new Drift(this.index);
  readonly repair: DriftRepair;
  readonly warned: string[] = [];
  /** Keys that the leader was asked for. */
  readonly asked: string[] = [];
  onRestore: (key: string) => void = () => {};
  /** The keys that the store has. */
  stored: ReadonlySet<string> = new Set(KEYS);
  #version = 0;
  #nowMs = 0;

  /** @param mark what leaving a mark returns; `formerActive`: this side was the leader */
  constructor(formerActive = false, private readonly mark?: () => Promise<number | undefined>) {
    const { index, drift } = this;
    this.repair = new DriftRepair({
      index,
      drift,
      log: { ...SILENT, warn: (message) => this.warned.push(message) },
      namespace: "argocd",
      following: { resend: (keys) => this.asked.push(...keys) },
      feed: { refresh: () => Promise.resolve(), catchUp: () => Promise.resolve(this.stored) },
      writer: {
        apply: ({ key, object = "" }) => {
          drift.writing(key);
          this.onRestore(key);
          this.#put(key, object);
          drift.wrote(key, { version: String(this.#version), payload: object }, 0);
          return Promise.resolve();
        },
      },
      model: () => ({ memory: { complete: true, formerActive } as never }),
      marks: { tryToLeave: () => this.mark?.() ?? Promise.resolve(undefined) },
    }, () => this.#nowMs);
    for (const key of KEYS) this.#put(key, "the leader's");
    index.standby = true;
  }

  edit(key: string): void {
    this.write();
    this.tell(key, this.#version);
  }

  /** Somebody writes; the watch has not told it yet. Returns the version. */
  write(): number {
    return ++this.#version;
  }

  /** The watch tells a write. */
  tell(key: string, version: number): void {
    const before = this.index.get(key);
    this.#show(key, `edited ${version}`, version);
    this.repair.changed(key, before, "kubectl");
  }

  /** The watch tells a deletion; without a version a listing lacks the key. */
  tellGone(key: string, version?: number): void {
    const before = this.index.get(key);
    this.index.remove(key, version === undefined ? "" : String(version), 0);
    this.repair.changed(key, before, "kubectl");
  }

  /** Time passes. */
  async later(ms: number): Promise<void> {
    this.#nowMs += ms;
    await delay(0);
  }

  contents(): (string | undefined)[] {
    return KEYS.map((key) => this.index.get(key)?.payload);
  }

  #put(key: string, payload: string): void {
    this.#show(key, payload, this.write());
  }

  #show(key: string, payload: string, version: number): void {
    this.index.put(key, {
      payload,
      digest: payload.padEnd(32, "0"),
      version: String(version),
      now: 0,
      terminating: false,
      local: "",
    });
  }
}

const SILENT = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {}, trace: () => {} };
const [A, B] = KEYS;

Deno.test("DriftRepair.restore() restores also what another writer changes while it writes", async () => {
  const copies = new Copies();
  copies.edit(A);
  copies.onRestore = (key) => {
    if (key === A) copies.edit(B);
  };
  assertEquals(await copies.repair.restore(true), "");
  assertEquals(copies.contents(), ["the leader's", "the leader's"]);
  assertEquals(copies.warned.length, 2);
  copies.repair.serving();
});

Deno.test("DriftRepair.restore() restores what another writer deleted before the watch told that it was written", async () => {
  const untold = "Application/edge-1/untold";
  for (const compare of [true, false]) {
    const copies = new Copies();
    copies.drift.writing(untold);
    copies.drift.wrote(untold, { version: "7", payload: "the leader's" }, 0);
    assertEquals(await copies.repair.restore(compare), "");
    assertEquals(copies.index.get(untold)?.payload, compare ? "the leader's" : undefined);
    copies.repair.serving();
  }
});

Deno.test("DriftRepair.restore() ends, and says so, when another writer never does", async () => {
  const copies = new Copies();
  copies.edit(A);
  copies.onRestore = (key) => copies.edit(key === A ? B : A);
  assertMatch(
    await copies.repair.restore(true),
    /another writer keeps changing copies here: Application\/edge-1\/[ab]$/,
  );
  copies.repair.serving();
});

Deno.test("DriftRepair asks the leader also for what comes to light with the answer to a write", async () => {
  const copies = new Copies();
  copies.drift.writing(A);
  const version = copies.write();
  copies.edit(A);
  await copies.later(1_000);
  assertEquals(copies.asked, [], "its own write may be what the watch told");
  copies.drift.wrote(A, { version: String(version), payload: "the leader's" }, 1_000);
  await until(() => copies.asked.length > 0, 20_000, () => "the leader is not asked");
  assertEquals(copies.asked, [A]);
  copies.repair.serving();
});

/** A side that was ACTIVE and steps down; the mark that it leaves then is answered with what `mark` returns. */
function steppedDown(mark: (copies: Copies) => Promise<number | undefined>): Copies {
  const copies: Copies = new Copies(true, () => mark(copies));
  copies.repair.serving();
  return copies;
}

Deno.test("DriftRepair: what was written before the mark of a step-down is this side's own, however late it is told", async () => {
  const copies = steppedDown((copies) => Promise.resolve(copies.write()));
  const byPeople = copies.write();
  copies.repair.standby();
  await copies.later(60_000);
  copies.tell(A, byPeople);
  copies.edit(B);
  assertEquals(await copies.repair.restore(true), "");
  assertEquals(copies.contents(), [`edited ${byPeople}`, "the leader's"]);
  copies.repair.serving();
});

Deno.test("DriftRepair: without a mark of the step-down, what is told early is this side's own", async () => {
  const copies = steppedDown(() => Promise.resolve(undefined));
  copies.repair.standby();
  await copies.later(1_000);
  copies.edit(A);
  await copies.later(60_000);
  copies.edit(B);
  assertEquals(copies.repair.copies.map(({ key }) => key), [B]);
  copies.repair.serving();
});

Deno.test("DriftRepair: a deletion is this side's own only where a mark of the step-down proves it", async () => {
  const marked = steppedDown((copies) => Promise.resolve(copies.write()));
  const byPeople = marked.write();
  marked.repair.standby();
  await marked.later(1_000);
  marked.tellGone(A, byPeople);
  marked.tellGone(B);
  assertEquals(marked.repair.copies.map(({ key, change }) => [key, change]), [[B, "deleted"]]);
  marked.repair.serving();

  const unmarked = steppedDown(() => Promise.resolve(undefined));
  unmarked.repair.standby();
  await unmarked.later(1_000);
  unmarked.tellGone(A, unmarked.write());
  assertEquals(unmarked.repair.copies.map(({ key }) => key), [A]);
  assertEquals(await unmarked.repair.restore(true), "");
  assertEquals(unmarked.contents(), ["the leader's", "the leader's"]);
  unmarked.repair.serving();
});

Deno.test("DriftRepair: an earlier step-down's mark says nothing of the next one", async () => {
  const first = Promise.withResolvers<number>();
  const marks = [first.promise, new Promise<undefined>(() => {})];
  const copies = steppedDown(() => marks.shift() as Promise<number | undefined>);
  copies.repair.standby();
  await copies.later(1_000);
  copies.repair.serving();
  const byPeople = copies.write();
  copies.repair.standby();
  first.resolve(byPeople - 1);
  await copies.later(1_000);
  copies.tell(A, byPeople);
  assertEquals(copies.repair.copies, []);
  copies.repair.serving();
});
