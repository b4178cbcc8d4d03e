import { assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { Outlet } from "./outlet.ts";

/** An outlet from a list of numbers into a sink that says that it is full after every `room` of them. */
function outlet(waiting: number[], { room = Infinity, batch = Infinity, gatherMs = 0 } = {}) {
  const sent: number[] = [];
  let idle = 0;
  const sending = new Outlet<number>({
    sink: {
      send: (message) => {
        sent.push(message);
        return sent.length % room !== 0;
      },
    },
    next: () => waiting.shift(),
    idle: () => idle++,
    batch,
    gatherMs,
  });
  return { sending, sent, idle: () => idle };
}

/** Some turns of the event loop: everything that is due has run. */
async function settled(): Promise<void> {
  for (let n = 0; n < 10; n++) await delay(0);
}

Deno.test("Outlet sends what the source has, once however often it is kicked, and says when it is idle", async () => {
  const { sending, sent, idle } = outlet([1, 2, 3]);
  for (let n = 0; n < 3; n++) sending.kick();
  assertEquals(sent, []);
  await settled();
  assertEquals([sent, idle()], [[1, 2, 3], 1]);
});

Deno.test("Outlet takes nothing from the source that the sink would not take, until it is drained", async () => {
  const waiting = [1, 2, 3, 4];
  const { sending, sent, idle } = outlet(waiting, { room: 2 });
  sending.kick();
  await settled();
  sending.kick();
  await settled();
  assertEquals([sent, waiting, sending.writable, idle()], [[1, 2], [3, 4], false, 0]);
  sending.drained();
  await settled();
  assertEquals(sent, [1, 2, 3, 4]);
});

Deno.test("Outlet gives way to other work after a batch, and goes on by itself", async () => {
  const { sending, sent } = outlet([1, 2, 3, 4, 5], { batch: 2 });
  const seen: number[] = [];
  sending.kick();
  await delay(0);
  seen.push(sent.length);
  await settled();
  assertEquals([seen, sent], [[2], [1, 2, 3, 4, 5]]);
});

Deno.test("Outlet sends a single message at once, and gathers those that follow closely", async () => {
  const waiting = [1];
  const { sending, sent } = outlet(waiting, { gatherMs: 60_000 });
  sending.kick();
  await settled();
  assertEquals(sent, [1]);
  waiting.push(2);
  sending.kick();
  await settled();
  assertEquals(sent, [1]);
  sending.close();
});

Deno.test("Outlet sends nothing after close()", async () => {
  const { sending, sent } = outlet([1]);
  sending.kick();
  sending.close();
  await settled();
  assertEquals(sent, []);
});
