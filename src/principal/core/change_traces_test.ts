import { assertEquals } from "@std/assert";
import { ChangeIndex } from "../../domain/changes/index.ts";
import type { TraceContext } from "../../domain/events/trace.ts";
import { NO_TRACING, type Tracing } from "../ports/tracing.ts";
import { ChangeTraces } from "./change_traces.ts";

const KEY = "Application/edge-1/web";

/** A tracer whose spans are numbered, and remembered with their parents. */
function numbered() {
  const begun: string[] = [];
  const tracing: Tracing = {
    ...NO_TRACING,
    on: true,
    begin: (name, parent) => {
      begun.push(`${name} < ${parent?.traceparent ?? "-"}`);
      return { trace: { traceparent: String(begun.length) }, set: () => {}, note: () => {}, end: () => {} };
    },
  };
  return { tracing, begun };
}

function world(tracing: Tracing, active = true) {
  const index = new ChangeIndex("session");
  const scope = new AbortController().signal;
  const traces = new ChangeTraces({ tracing, index, activeScope: () => active ? scope : undefined });
  let n = 0;
  const put = () => {
    const before = index.get(KEY);
    index.put(KEY, { payload: `{"n":${++n}}`, digest: `${n}`, version: `${n}`, now: n });
    traces.changed(KEY, before, "");
  };
  const remove = () => {
    const before = index.get(KEY);
    index.remove(KEY, "9", 9);
    traces.changed(KEY, before, "");
  };
  return { index, traces, put, remove };
}

const names = (list: readonly TraceContext[]) => list.map(({ traceparent }) => traceparent);

Deno.test("ChangeTraces: a consumer gets the latest change, and those that it was not sent", () => {
  const { tracing, begun } = numbered();
  const { index, traces, put, remove } = world(tracing);
  assertEquals(traces.of(KEY), undefined);
  put();
  const sent = traces.of(KEY);
  assertEquals([sent?.trace.traceparent, sent?.earlier], ["1", []]);
  put();
  remove();
  const next = traces.of(KEY, sent?.revision);
  assertEquals([next?.trace.traceparent, names(next?.earlier ?? [])], ["3", ["2"]]);
  assertEquals(names(traces.of(KEY)?.earlier ?? []), ["1", "2"]);
  assertEquals(begun, ["Application.create < -", "Application.update < -", "Application.delete < -"]);
  const message = {
    firstSequence: 1,
    revision: 3,
    snapshot: false,
    snapshotEnd: false,
    snapshotRemaining: 0,
  };
  const [change, other] = traces.carried({
    ...message,
    changes: [{ key: KEY }, { key: "Application/a/b" }],
  }).changes;
  assertEquals([change?.trace?.traceparent, other?.trace], ["3", undefined]);
  assertEquals(index.size, 0);
});

Deno.test("ChangeTraces: an agent's event is the cause of what the store tells while it is carried out", () => {
  const { tracing, begun } = numbered();
  const { traces, put } = world(tracing);
  const over = traces.causing(KEY, { traceparent: "agent" });
  put();
  over();
  put();
  traces.causing(KEY, undefined)();
  assertEquals(begun, ["Application.create < agent", "Application.update < -"]);
});

Deno.test("ChangeTraces: nothing is traced by a replica, nor where tracing is off", () => {
  const { tracing, begun } = numbered();
  world(tracing, false).put();
  const off = world(NO_TRACING);
  off.put();
  assertEquals([begun, off.traces.of(KEY)], [[], undefined]);
});

Deno.test("ChangeTraces: of a key that changes all the time the last changes are known", () => {
  const { tracing } = numbered();
  const { traces, put } = world(tracing);
  for (let i = 0; i < 100; i++) put();
  const { trace, earlier } = traces.of(KEY) ?? { trace: undefined, earlier: [] };
  assertEquals([trace?.traceparent, earlier.length], ["100", 31]);
});
