import { assertEquals } from "@std/assert";
import { isNewer } from "./resource_version.ts";
import { seeded } from "../../../tests/support/random.ts";

Deno.test("isNewer() orders resource versions of any length as the numbers that they are", () => {
  const random = seeded(7);
  const number = () => BigInt(Math.floor(random.next() * 2 ** (1 + random.int(52))));
  for (let n = 0; n < 2_000; n++) {
    const [a, b] = [number() * (n % 2 ? 1n : 1_000_003n), number()];
    assertEquals(isNewer(String(a), String(b)), a > b, `${a} and ${b}`);
  }
  assertEquals(isNewer("1", ""), true);
});
