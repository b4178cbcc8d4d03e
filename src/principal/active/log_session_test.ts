import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { HttpAnswer } from "../../domain/proxy/status.ts";
import type { LogCall, LogReader } from "../ports/logs.ts";
import { LOG_BUFFER } from "../../domain/proxy/log_buffer.ts";
import { LogSession, type LogTiming } from "./log_session.ts";

const FAR_MS = 60_000;
const PATIENT: LogTiming = { callMs: FAR_MS, afterAckMs: FAR_MS, quietMs: FAR_MS, returnMs: FAR_MS };
const AT = "2026-01-01T00:00:01Z";
const bytes = (text: string) => new TextEncoder().encode(text);
const NOTHING = new Uint8Array();

class Call implements LogCall {
  paused = 0;
  resumed = 0;
  ends: string[] = [];

  pause(): void {
    this.paused++;
  }

  resume(): void {
    this.resumed++;
  }

  end(how: string): void {
    this.ends.push(how);
  }
}

function begun(
  request: { follow?: true; timestamps?: true } = {},
  timing: Partial<LogTiming> = {},
  waitMs = 0,
) {
  const seen = { passed: 0, over: 0 };
  const session = new LogSession({
    agent: "edge-1",
    request: { namespace: "shop", podName: "web", ...request },
    timing: { ...PATIENT, ...timing },
    passed: (n) => seen.passed += n,
    spend: () => waitMs,
    over: () => seen.over++,
  });
  const called = (): { call: Call; reader: LogReader } => {
    const call = new Call();
    return { call, reader: session.attach(call) as LogReader };
  };
  return { session, seen, called };
}

const say = (reader: LogReader, text: string) => reader.frame({ data: bytes(text), eof: false, error: "" });
const messageOf = (answer: HttpAnswer | undefined) => JSON.parse(answer?.body ?? "{}").message;

Deno.test("LogSession answers nothing before the first bytes, the end or a refusal", async () => {
  const probe = begun();
  let answered = false;
  void probe.session.begun.then(() => answered = true);
  const { call, reader } = probe.called();
  reader.frame({ data: NOTHING, eof: false, error: "" });
  await Promise.resolve();
  assertEquals(answered, false);
  reader.frame({ data: NOTHING, eof: true, error: "" });
  assertEquals(await probe.session.begun, undefined);
  assertEquals([await new Response(probe.session.stream).text(), call.ends, probe.seen.over], [
    "",
    ["done"],
    1,
  ]);

  const cases: [text: string, status: number][] = [
    ['pods "web" not found', 404],
    ['container "a" in pod "web" is waiting to start: ContainerCreating', 400],
    ['previous terminated container "a" in pod "web" not found', 400],
    ["a container name must be specified for pod web", 400],
    ["the kubelet is on fire", 500],
  ];
  for (const [text, status] of cases) {
    const { session, called } = begun({ follow: true });
    called().reader.frame({ data: NOTHING, eof: true, error: text });
    const answer = await session.begun;
    assertEquals(answer?.status, status, text);
    assertStringIncludes(messageOf(answer), text);
    assertEquals(session.attach(new Call()), undefined, "the agent shall not come again");
  }
});

Deno.test("LogSession holds no more than its buffer: the call is not read until the reader has taken some", async () => {
  const { session, seen, called } = begun();
  const { call, reader } = called();
  const line = `${AT} ${"x".repeat(1_000)}\n`;
  while (call.paused === 0) say(reader, line);
  const most = LOG_BUFFER.highWaterMark;
  assert(seen.passed > most / 2 && seen.passed < most + 2_000, String(seen.passed));
  const taking = session.stream.getReader();
  const before = call.resumed;
  while (call.resumed === before) await taking.read();
  await taking.cancel();
  assertEquals([call.ends, seen.over], [["unwanted"], 1]);
});

Deno.test("LogSession counts what a piece costs: of a log in single bytes few are held", () => {
  const { seen, called } = begun();
  const { call, reader } = called();
  let pieces = 0;
  for (; call.paused === 0; pieces++) say(reader, "x");
  assert(pieces < 1_000 && seen.passed <= pieces, `${pieces} pieces`);
});

Deno.test("LogSession reads no further while its agent has to wait, whatever its reader takes", async () => {
  const { session, called } = begun({}, {}, 20);
  const { call, reader } = called();
  say(reader, `${AT} line\n`);
  assertEquals([call.paused, call.resumed], [1, 0]);
  const taking = session.stream.getReader();
  await taking.read();
  assertEquals(call.resumed, 0);
  const resumed = Promise.withResolvers<void>();
  call.resume = () => resumed.resolve();
  await resumed.promise;
  await taking.cancel();
});

Deno.test("LogSession waits for a followed log's next call, says in the end that none came, and in a log that is not followed at once", async () => {
  const follow = begun({ follow: true, timestamps: true }, { returnMs: 20 });
  const first = follow.called();
  say(first.reader, `${AT} one\n`);
  first.reader.broke();
  const second = follow.called();
  say(second.reader, `${AT} one\n${AT} two\n`);
  say(first.reader, "late\n");
  second.reader.frame({ data: NOTHING, eof: false, error: "log stream read failed" });
  assertEquals(second.call.ends, ["broken"]);
  assertMatch(
    await new Response(follow.session.stream).text(),
    /^2026\S+ one\n2026\S+ two\n20\S+Z the log of agent "edge-1" broke off: log stream read failed\n$/,
  );
  const still = begun();
  const { reader } = still.called();
  say(reader, `${AT} one\n${AT} tw`);
  reader.broke();
  assertMatch(
    await new Response(still.session.stream).text(),
    /^one\ntw\nthe log of agent "edge-1" broke off: /,
  );
  const nothing = begun();
  nothing.called().reader.broke();
  assertEquals((await nothing.session.begun)?.status, 502);
});

Deno.test("LogSession gives up an agent that opens no call, and answers for a pod that says nothing", async () => {
  const late = begun({}, { callMs: 10 });
  assertEquals((await late.session.begun)?.status, 504);
  const acknowledged = begun({ follow: true }, { afterAckMs: 10 });
  acknowledged.session.acknowledged();
  assertEquals((await acknowledged.session.begun)?.status, 504);
  const quiet = begun({ follow: true }, { quietMs: 10 });
  quiet.called();
  assertEquals(await quiet.session.begun, undefined);
  quiet.session.finish("this principal stepped down");
  assertEquals(await new Response(quiet.session.stream).text(), "this principal stepped down\n");
});
