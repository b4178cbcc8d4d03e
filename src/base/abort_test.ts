import { assertEquals } from "@std/assert";
import { onAbort } from "./abort.ts";

Deno.test("whoever listens for an abort hears of it once: of a later one, and of one that came before", () => {
  const heard: string[] = [];
  const ending = new AbortController();
  onAbort(ending.signal, (reason) => heard.push(`later: ${reason}`));
  const stop = onAbort(ending.signal, (reason) => heard.push(`stopped: ${reason}`));
  stop();
  assertEquals(heard, []);
  ending.abort("over");
  onAbort(ending.signal, (reason) => heard.push(`before: ${reason}`));
  assertEquals(heard, ["later: over", "before: over"]);
});
