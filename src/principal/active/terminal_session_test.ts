import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  TERMINAL_BUFFER_BYTES,
  type TerminalEnd,
  type TerminalInput,
  type TerminalOutput,
  terminalQueue,
} from "../../domain/proxy/terminal.ts";
import type { TerminalCall, TerminalReader } from "../ports/terminals.ts";
import { TerminalSession, type TerminalTiming } from "./terminal_session.ts";

const FAR_MS = 60_000;
const PATIENT = { callMs: FAR_MS, afterAckMs: FAR_MS, brokenMs: 10, idleMs: FAR_MS, totalMs: FAR_MS };
const NOTHING = new Uint8Array();
const encoded = (text: string) => new TextEncoder().encode(text);

class Call implements TerminalCall {
  paused = 0;
  resumed = 0;
  sent: TerminalInput[] = [];
  ends: string[] = [];
  /** False: what is sent has to wait. */
  roomy = true;

  pause(): void {
    this.paused++;
  }

  resume(): void {
    this.resumed++;
  }

  send(input: TerminalInput): boolean {
    this.sent.push(input);
    return this.roomy;
  }

  end(why: string): void {
    this.ends.push(why);
  }

  get typed(): number {
    return this.sent.reduce((sum, one) => sum + (one.do === "type" ? one.data.length : 0), 0);
  }
}

function begun(timing: Partial<TerminalTiming> = {}, stdin = true) {
  const seen = { in: 0, out: 0, ends: [] as string[] };
  let controller!: ReadableStreamDefaultController<TerminalInput>;
  const input = new ReadableStream<TerminalInput>(
    { start: (one) => void (controller = one) },
    terminalQueue(),
  );
  const session = new TerminalSession({
    agent: "edge-1",
    request: {
      ...{ namespace: "shop", podName: "web", containerName: "", command: ["sh"], tty: true, stdin },
    },
    input,
    timing: { ...PATIENT, ...timing },
    passed: (way, n) => way === "to agent" ? seen.in += n : seen.out += n,
    over: (ending) => seen.ends.push(ending),
  });
  const called = (): { call: Call; reader: TerminalReader } => {
    const call = new Call();
    return { call, reader: session.attach(call) as TerminalReader };
  };
  return { session, seen, called, controller: () => controller };
}

const turns = () => new Promise((resolve) => setTimeout(resolve, 0));
const say = (reader: TerminalReader, data: Uint8Array) => reader.frame({ data, eof: false, error: "" });

/** All that a terminal shows, and its end. */
async function whole({ output }: TerminalSession): Promise<{ text: string; end: TerminalEnd | undefined }> {
  let text = "";
  let end: TerminalEnd | undefined;
  for await (const part of output as ReadableStream<TerminalOutput>) {
    if ("show" in part) text += new TextDecoder().decode(part.show);
    else end = part.end;
  }
  return { text, end };
}

Deno.test("TerminalSession passes on what its user types in portions that an agent takes whole, and sizes", async () => {
  const { called, controller, seen, session } = begun();
  controller().enqueue({ do: "type", data: new Uint8Array(10_000) });
  controller().enqueue({ do: "resize", cols: 80, rows: 24 });
  controller().enqueue({ do: "close" });
  controller().enqueue({ do: "type", data: encoded("late") });
  controller().enqueue({ do: "resize", cols: 90, rows: 30 });
  const { call } = called();
  await turns();
  const sizes = call.sent.map((one) => one.do === "type" ? one.data.length : one.do);
  assertEquals(sizes, [4096, 4096, 1808, "resize", "close", "resize"]);
  assertEquals(seen.in, 10_000);
  session.abandon("over");
  const silent = begun({}, false);
  const other = silent.called();
  silent.controller().enqueue({ do: "type", data: encoded("x") });
  await turns();
  assertEquals(other.call.sent, [{ do: "close" }]);
  silent.session.abandon("over");
});

Deno.test("TerminalSession holds no more than its buffer of either way", async () => {
  const { called, controller, session, seen } = begun();
  const { call, reader } = called();
  call.roomy = false;
  for (let n = 0; n < 100; n++) controller().enqueue({ do: "type", data: new Uint8Array(4096) });
  await turns();
  assertEquals(call.typed, 4096, "nothing more is sent until there is room");
  call.roomy = true;
  reader.drained();
  await turns();
  assertEquals(call.typed, 100 * 4096);

  while (call.paused === 0) say(reader, new Uint8Array(10_000));
  assert(
    seen.out >= TERMINAL_BUFFER_BYTES - 10_000 && seen.out <= TERMINAL_BUFFER_BYTES + 10_000,
    String(seen.out),
  );
  const taking = session.output.getReader();
  const before = call.resumed;
  while (call.resumed === before) await taking.read();
  await taking.cancel();
  assertEquals([call.ends, seen.ends], [["its user is gone"], ["user_gone"]]);
  say(reader, new Uint8Array(10));
  reader.broke();
  assertEquals(seen.ends.length, 1);
});

Deno.test("TerminalSession ends as its program does, and takes one call", async () => {
  const done = begun();
  const { call, reader } = done.called();
  assertEquals(done.session.attach(new Call()), undefined);
  say(reader, encoded("bye"));
  reader.frame({ data: NOTHING, eof: true, error: "" });
  reader.frame({ data: encoded("late"), eof: false, error: "" });
  assertEquals(await whole(done.session), { text: "bye", end: { how: "done", message: "" } });
  assertEquals([call.ends, done.seen.ends], [[""], ["done"]]);

  const failed = begun();
  failed.called().reader.frame({ data: NOTHING, eof: false, error: "no such container" });
  const { end } = await whole(failed.session);
  assertEquals(end?.how, "failed");
  assertStringIncludes(end?.message ?? "", "no such container");
  assertEquals(failed.session.attach(new Call()), undefined);
});

Deno.test("TerminalSession says in the terminal why it ends, and ends the agent's program", async () => {
  const lost = begun();
  const first = lost.called();
  first.reader.broke();
  lost.session.agentLeft();
  assertEquals(await whole(lost.session), {
    text: '\r\nconnection to agent "edge-1" lost\r\n',
    end: { how: "lost", message: 'connection to agent "edge-1" lost' },
  });
  const stepped = begun();
  const second = stepped.called();
  stepped.session.lost("not_active", "stepped down");
  assertEquals((await whole(stepped.session)).end?.how, "lost");
  assertEquals([second.call.ends, stepped.seen.ends], [["stepped down"], ["not_active"]]);

  for (const [timing, ending] of [[{ idleMs: 20 }, "idle"], [{ totalMs: 20 }, "limit"]] as const) {
    const { session, called, seen } = begun(timing);
    const { call } = called();
    const { text, end } = await whole(session);
    assertMatch(text, /^\r\nthe terminal ends here: (nothing passed for|it was open for) 0.02 s\r\n$/);
    assertEquals(end?.how, "done", "Argo CD would open the next shell after a failure");
    assertEquals([seen.ends, call.ends.length], [[ending], 1]);
  }
});

Deno.test("TerminalSession takes a call that its agent cancels for the end of the program, whose last message may be lost", async () => {
  const ended = begun();
  const { reader } = ended.called();
  say(reader, encoded("bye"));
  reader.broke();
  assertEquals(await whole(ended.session), { text: "bye", end: { how: "done", message: "" } });
  const silent = begun();
  silent.called().reader.broke();
  const { end } = await whole(silent.session);
  assertEquals([end?.how, silent.seen.ends], ["failed", ["failed"]]);
  assertStringIncludes(end?.message ?? "", "did not say why");
});

Deno.test("TerminalSession does not wait for ever for the agent's call", async () => {
  const late = begun({ callMs: 10 });
  assertStringIncludes((await whole(late.session)).end?.message ?? "", "did not open the terminal in time");
  const acknowledged = begun({ afterAckMs: 10 });
  acknowledged.session.acknowledged();
  const { end } = await whole(acknowledged.session);
  assertEquals([end?.how, acknowledged.seen.ends], ["failed", ["not_opened"]]);
  const unreached = begun();
  unreached.session.unreached("it is busy");
  assertEquals((await whole(unreached.session)).end, { how: "failed", message: "it is busy" });
});
