import { assertEquals } from "@std/assert";
import { sha256 } from "../../base/sha256.ts";
import { ChangeIndex } from "./index.ts";
import { differingGroups, entriesOf, inventory } from "./inventory.ts";

const put = (index: ChangeIndex, key: string, payload: string) =>
  index.put(key, {
    payload,
    digest: sha256(key + payload).slice(0, 32),
    version: "1",
    now: 0,
  });

Deno.test("inventory() groups by kind and agent; two sides differ in just the groups that differ", () => {
  const [a, b] = [new ChangeIndex("a"), new ChangeIndex("b")];
  for (const index of [a, b]) {
    for (let n = 0; n < 6; n++) put(index, `Application/edge-${n % 2}/app-${n}`, "same");
    put(index, "AppProject/argocd/p", "same");
    put(index, "Secret/argocd/s", "same");
  }
  assertEquals(differingGroups(inventory(a), inventory(b)), []);
  assertEquals(
    [...inventory(a).values()].map(({ kind, agent, count }) => `${kind} ${agent} ${count}`).sort(),
    [
      "AppProject  1",
      "Application edge-0 3",
      "Application edge-1 3",
      "Secret  1",
    ],
  );
  put(b, "Application/edge-1/app-1", "other");
  b.remove("Secret/argocd/s", "", 0);
  put(a, "Application/edge-2/new", "x");
  assertEquals(differingGroups(inventory(a), inventory(b)), [
    "Application/edge-1",
    "Application/edge-2",
    "Secret/",
  ]);
  assertEquals([...entriesOf(a, new Set(["Application/edge-2"]), 10).keys()], ["Application/edge-2/new"]);
  assertEquals(entriesOf(a, new Set(["Application/edge-1"]), 2).size, 2);
});
