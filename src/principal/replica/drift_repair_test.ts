import { assertEquals, assertMatch } from "@std/assert";
import { ChangeIndex } from "../../domain/changes/index.ts";
import { Drift } from "../../domain/replication/drift.ts";
import { DriftRepair } from "./drift_repair.ts";

const KEYS = ["Application/edge-1/a", "Application/edge-1/b"] as const;

/** Copies of a leader's Applications, and another writer that changes some of them; `onRestore` is called during each write. */
class Copies {
  readonly index = new ChangeIndex("here");
  readonly drift = new Drift(this.index);
  readonly repair: DriftRepair;
  readonly warned: string[] = [];
  onRestore: (key: string) => void = () => {};
  #version = 0;

  constructor() {
    const { index, drift } = this;
    this.repair = new DriftRepair({
      index,
      drift,
      log: { ...SILENT, warn: (message) => this.warned.push(message) },
      namespace: "argocd",
      following: { resend: undefined },
      feed: { refresh: () => Promise.resolve(), catchUp: () => Promise.resolve() },
      writer: {
        apply: ({ key, object = "" }) => {
          drift.writing(key);
          this.onRestore(key);
          this.#put(key, object);
          drift.wrote(key, { version: String(this.#version), payload: object }, 0);
          return Promise.resolve();
        },
      },
      model: () => ({ memory: { complete: true, formerActive: false } as never }),
    });
    for (const key of KEYS) this.#put(key, "the leader's");
    index.standby = true;
  }

  edit(key: string): void {
    const before = this.index.get(key);
    this.#put(key, `edited ${this.#version}`);
    this.repair.changed(key, before, "kubectl");
  }

  contents(): (string | undefined)[] {
    return KEYS.map((key) => this.index.get(key)?.payload);
  }

  #put(key: string, payload: string): void {
    const version = String(++this.#version);
    this.index.put(key, {
      payload,
      digest: payload.padEnd(32, "0"),
      version,
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
