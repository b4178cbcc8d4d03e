import { assertEquals } from "@std/assert";
import { sha256 } from "../../base/sha256.ts";
import { append, type ChainedEntry, firstBroken } from "./history.ts";

const entry = (n: number) => ({ atMs: n, epoch: 1, state: "active", what: "x", who: "", text: `entry ${n}` });

Deno.test("a history is a chain: what is changed, taken out or moved shows; the oldest entries may go", () => {
  let chain: ChainedEntry[] = [];
  for (let n = 0; n < 10; n++) chain = append(chain, entry(n), 7, sha256);
  assertEquals([chain.length, chain[0]?.text, firstBroken(chain, sha256)], [7, "entry 3", -1]);
  const changed = chain.map((link, i) => i === 2 ? { ...link, who: "somebody else" } : link);
  assertEquals(firstBroken(changed, sha256), 2);
  assertEquals(firstBroken(chain.filter((_, i) => i !== 4), sha256), 4);
  assertEquals(firstBroken([chain[1], chain[0], ...chain.slice(2)] as ChainedEntry[], sha256), 1);
  assertEquals(firstBroken([], sha256), -1);
});
