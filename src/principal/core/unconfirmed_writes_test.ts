import { assertEquals } from "@std/assert";
import { ChangeIndex } from "../../domain/changes/index.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import { StoreError } from "../ports/store.ts";
import { mayBeDone, UnconfirmedWrites } from "./unconfirmed_writes.ts";

const KEY = "Application/edge-1/app";
const never = new AbortController().signal;

function shown(index: ChangeIndex, version: string): void {
  index.put(KEY, { payload: "{}", digest: "0".repeat(32), version, now: 0 });
}

/** An index, writes to confirm by it, and whether the wait is over. */
function waiting(stored: () => Promise<StoredObject | undefined>) {
  const index = new ChangeIndex("session");
  const unconfirmed = new UnconfirmedWrites({ get: stored }, index);
  const state = { over: false };
  const wait = (signal = never) => unconfirmed.confirmed(signal).then(() => state.over = true);
  return { index, unconfirmed, state, wait };
}

const nothing = () => Promise.resolve(undefined);
const turns = async () => {
  for (let n = 0; n < 5; n++) await new Promise((resolve) => setTimeout(resolve));
};

Deno.test("UnconfirmedWrites waits for what was written, and for nothing that the index shows", async () => {
  const { index, unconfirmed, state, wait } = waiting(nothing);
  await wait();
  state.over = false;
  unconfirmed.wrote(KEY, "7");
  const waited = wait();
  await turns();
  shown(index, "6");
  await turns();
  assertEquals(state.over, false);
  shown(index, "7");
  await waited;
  unconfirmed.wrote(KEY, "");
  const deleted = wait();
  index.remove(KEY, "8", 0);
  await deleted;
});

Deno.test("UnconfirmedWrites asks the store what became of a write whose answer was lost, and waits for that", async () => {
  const stored = { apiVersion: "v1", kind: "Application", metadata: { name: "app", resourceVersion: "9" } };
  const { index, unconfirmed, state, wait } = waiting(() =>
    Promise.resolve(stored as unknown as StoredObject)
  );
  unconfirmed.uncertain(KEY);
  const waited = wait();
  await turns();
  assertEquals(state.over, false);
  shown(index, "9");
  await waited;
});

Deno.test("UnconfirmedWrites goes on without an answer of the store, and ends with what it waits for", async () => {
  const { unconfirmed, state, wait } = waiting(() => Promise.reject(new StoreError("unavailable", "down")));
  unconfirmed.uncertain(KEY);
  await wait();
  assertEquals(state.over, true);
  state.over = false;
  const controller = new AbortController();
  unconfirmed.wrote(KEY, "9");
  const waited = wait(controller.signal);
  await turns();
  assertEquals(state.over, false);
  controller.abort();
  await waited;
  assertEquals(state.over, true);
});

Deno.test("mayBeDone(): an answer that never came, and no refusal", () => {
  assertEquals([new StoreError("unavailable", ""), new TypeError("reset")].map(mayBeDone), [true, true]);
  assertEquals([new StoreError("conflict", ""), new StoreError("full", "")].map(mayBeDone), [false, false]);
});
