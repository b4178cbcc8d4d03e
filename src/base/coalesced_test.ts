import { assertEquals } from "@std/assert";
import { Coalesced } from "./coalesced.ts";

Deno.test("Coalesced makes one further run of all requests that come during one", async () => {
  const gate = Promise.withResolvers<void>();
  const waiting: number[] = [];
  const runs: number[][] = [];
  const coalesced = new Coalesced(async () => {
    runs.push(waiting.splice(0));
    await gate.promise;
  });
  const ask = (n: number) => {
    waiting.push(n);
    return coalesced.request();
  };
  const first = [ask(1), ask(2)];
  await Promise.resolve();
  const second = [ask(3), ask(4), ask(5)];
  assertEquals(runs, [[1, 2]]);
  gate.resolve();
  await Promise.all([...first, ...second]);
  assertEquals(runs, [[1, 2], [3, 4, 5]]);
});

Deno.test("Coalesced: a run that fails fails its own requests, and the next run begins all the same", async () => {
  let runs = 0;
  const coalesced = new Coalesced(() => ++runs === 1 ? Promise.reject(new Error("full")) : Promise.resolve());
  assertEquals(await coalesced.request().catch(String), "Error: full");
  await coalesced.request();
  assertEquals(runs, 2);
});
