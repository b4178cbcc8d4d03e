import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { StoreError } from "../ports/store.ts";
import type { StoreLock, Tenure } from "../ports/store_lock.ts";
import { StoreMonitor } from "./store_monitor.ts";
import { runTenures } from "./tenures.ts";

/** A lock that is always free; each tenure is ended by its controller. */
class Lock implements StoreLock {
  readonly tenures: AbortController[] = [];
  released = 0;

  acquire(_: unknown, signal: AbortSignal): Promise<Tenure> {
    signal.throwIfAborted();
    const ending = new AbortController();
    this.tenures.push(ending);
    const release = () => Promise.resolve(void this.released++);
    return Promise.resolve({ holds: () => !ending.signal.aborted, ended: ending.signal, release });
  }

  close(): void {}
}

const LOG = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {}, trace: () => {} };

Deno.test("runTenures(): a tenure that ends while the store is being opened gives way to the next", async () => {
  const lock = new Lock();
  const stopping = new AbortController();
  const acted: number[] = [];
  const act = async (tenure: Tenure, ended: AbortSignal) => {
    const monitor = new StoreMonitor(
      { status: () => ({ problem: "", writes: 0, lists: 0 }) },
      LOG,
      () => {},
      ended,
    );
    if (lock.tenures.length === 1) setTimeout(() => lock.tenures[0]?.abort(new Error("lost")), 0);
    await monitor.patiently(() => {
      const stands = lock.tenures.length > 1 && tenure.holds();
      return stands ? Promise.resolve() : Promise.reject(new StoreError("unavailable", "the lock is lost"));
    });
    acted.push(lock.tenures.length);
    stopping.abort(new Error("over"));
    return () => Promise.resolve();
  };
  await runTenures(lock, { wait: () => {}, act }, stopping.signal);
  assertEquals([acted, lock.released], [[2], 2]);
});

Deno.test("runTenures() rejects with what opening fails with while the lock is held", async () => {
  const lock = new Lock();
  const act = () => Promise.reject(new Error("the store is broken"));
  const error = await assertRejects(() =>
    runTenures(lock, { wait: () => {}, act }, new AbortController().signal)
  );
  assertMatch(String(error), /the store is broken/);
  assertEquals(lock.released, 1);
});
