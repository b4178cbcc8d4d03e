import { assertEquals } from "@std/assert";
import type { Fields, Log } from "../../base/log.ts";
import { Applier } from "../../domain/replication/applier.ts";
import { StoreError } from "../ports/store.ts";
import { SaidOnce } from "../core/said_once.ts";
import { ApplyPump } from "./apply_pump.ts";

Deno.test("ApplyPump tells each reason for which changes are held once, however many they are", async () => {
  const lines: Fields[] = [];
  const nothing = () => {};
  const warn = (_: string, fields: Fields = {}) => void lines.push(fields);
  const log: Log = { trace: nothing, debug: nothing, info: nothing, warn, error: nothing };
  const applier = new Applier();
  let failed = 0;
  const pump = new ApplyPump(applier, {
    apply: ({ key }) => {
      failed++;
      const reason = key.startsWith("Application/gone/") ? 'namespace "gone" does not exist' : "forbidden";
      return Promise.reject(new StoreError("notFound", reason));
    },
    decide: nothing,
    settled: nothing,
    live: () => true,
  }, { counters: { increment: nothing, add: nothing }, log, heldLines: new SaidOnce() });
  const change = (sequence: number, key: string) => ({ sequence, key, object: "{}", changedAt: 0 });
  const keys = Array.from({ length: 100 }, (_, n) => `Application/${n % 2 ? "gone" : "other"}/${n}`);
  applier.offer(keys.map((key, n) => change(n + 1, key)));
  pump.kick();
  assertEquals(failed, 100);
  await pump.stop();
  assertEquals(lines.map(({ event, reason }) => [event, reason]), [
    ["change_held", "forbidden"],
    ["change_held", 'namespace "gone" does not exist'],
  ]);
});
