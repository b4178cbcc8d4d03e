import { assertEquals, assertMatch } from "@std/assert";
import type { Log } from "../../base/log.ts";
import { configMap, dataOf } from "../../domain/resources/config_map.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import type { Store } from "../ports/store.ts";
import { History } from "./history.ts";

const nothing = () => {};
const LOG: Log = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };
const entry = (n: number) => ({ atMs: n, epoch: 1, state: "active", what: "x", who: "", text: `entry ${n}` });

/** The history as a store keeps it after some entries, and as `change` leaves it. */
async function loaded(change: (json: string) => string): Promise<History> {
  let kept: ApiObject | undefined;
  const store = {
    get: () => Promise.resolve(kept),
    write: ({ object }: { object: ApiObject }) => Promise.resolve(kept = object),
  } as unknown as Store;
  const first = new History(store, { namespace: "argocd", sideName: "west" }, LOG);
  for (const n of [1, 2, 3]) first.add(entry(n));
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  const json = change(String(dataOf(kept)["chain.json"]));
  kept = configMap("argocd", "argocd-agent-ha-history", { "chain.json": json });
  const history = new History(store, { namespace: "argocd", sideName: "west" }, LOG);
  await history.load();
  return history;
}

Deno.test("History.broken names the first entry that is not as it was written, until it has gone", async () => {
  const whole = await loaded((json) => json);
  assertEquals([whole.chain.length, whole.broken.count], [3, 0]);
  const changed = await loaded((json) => json.replace("entry 2", "entry two"));
  assertEquals(changed.broken.examples, ["entry of 1970-01-01T00:00:00.002Z: entry two"]);
  for (let n = 0; n < 500; n++) changed.add(entry(n));
  assertEquals(changed.broken.count, 0);
  const timeless = await loaded((json) => json.replace('"atMs":1,', ""));
  assertMatch(timeless.broken.examples[0] ?? "", /^entry of an unknown time: entry 1/);
});

Deno.test("History.broken says that a history could not be read, as long as the process runs", async () => {
  const history = await loaded((json) => json.slice(1));
  assertEquals([history.chain.length, history.broken.count], [0, 1]);
  history.add(entry(4));
  assertMatch(history.broken.examples[0] ?? "", /was not readable at the start/);
});
