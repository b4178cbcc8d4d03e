import { assertEquals } from "@std/assert";
import { ChangeIndex } from "../../domain/changes/index.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import { StoreError } from "../ports/store.ts";
import { mayBeDone, Unseen } from "./unseen.ts";

const KEY = "Application/edge-1/app";
const never = new AbortController().signal;

function shown(index: ChangeIndex, version: string): void {
  index.put(KEY, { payload: "{}", digest: "0".repeat(32), version, now: 0 });
}

/** An index, what is unseen of it, and whether the wait is over. */
function waiting(stored: () => Promise<StoredObject | undefined>) {
  const index = new ChangeIndex("session");
  const unseen = new Unseen({ get: stored }, index);
  const state = { over: false };
  const wait = (signal = never) => unseen.shown(signal).then(() => state.over = true);
  return { index, unseen, state, wait };
}

const nothing = () => Promise.resolve(undefined);
const turns = async () => {
  for (let n = 0; n < 5; n++) await new Promise((resolve) => setTimeout(resolve));
};

Deno.test("Unseen waits for what was written, and for nothing that the index shows", async () => {
  const { index, unseen, state, wait } = waiting(nothing);
  await wait();
  state.over = false;
  unseen.wrote(KEY, "7");
  const waited = wait();
  await turns();
  shown(index, "6");
  await turns();
  assertEquals(state.over, false);
  shown(index, "7");
  await waited;
  unseen.wrote(KEY, "");
  const deleted = wait();
  index.remove(KEY, "8", 0);
  await deleted;
});

Deno.test("Unseen asks the store what became of a write whose answer was lost, and waits for that", async () => {
  const stored = { apiVersion: "v1", kind: "Application", metadata: { name: "app", resourceVersion: "9" } };
  const { index, unseen, state, wait } = waiting(() => Promise.resolve(stored as unknown as StoredObject));
  unseen.doubt(KEY);
  const waited = wait();
  await turns();
  assertEquals(state.over, false);
  shown(index, "9");
  await waited;
});

Deno.test("Unseen goes on without an answer of the store, and ends with what it waits for", async () => {
  const { unseen, wait } = waiting(() => Promise.reject(new StoreError("unavailable", "down")));
  unseen.doubt(KEY);
  await wait();
  const controller = new AbortController();
  unseen.wrote(KEY, "9");
  const waited = wait(controller.signal);
  controller.abort();
  await waited;
});

Deno.test("mayBeDone(): an answer that never came, and no refusal", () => {
  assertEquals([new StoreError("unavailable", ""), new TypeError("reset")].map(mayBeDone), [true, true]);
  assertEquals([new StoreError("conflict", ""), new StoreError("full", "")].map(mayBeDone), [false, false]);
});
