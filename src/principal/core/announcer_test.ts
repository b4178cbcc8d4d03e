import { assertEquals, assertMatch } from "@std/assert";
import { noted } from "../../domain/ha/concerns.ts";
import { initialModel, type Model } from "../../domain/ha/state.ts";
import type { Notice, ShownCondition } from "../ports/noticeboard.ts";
import { type AnnouncedParts, Announcer } from "./announcer.ts";

/** A principal to announce, and what its board has heard. */
function announced() {
  const own = { preferredRole: "primary" as const, peerAddress: "", uid: "u", coverage: undefined };
  let model = initialModel(own as unknown as Parameters<typeof initialModel>[0], 0);
  const listeners = new Set<() => void>();
  const told: Notice[] = [];
  const shown: (readonly ShownCondition[])[] = [];
  const parts = {
    model: () => model,
    onModel: (notify: () => void) => {
      listeners.add(notify);
      return () => listeners.delete(notify);
    },
    concerns: () => ({}),
    readiness: { last: undefined },
  } as { -readonly [Key in keyof AnnouncedParts]: AnnouncedParts[Key] };
  const board = {
    tell: (notice: Notice) => void told.push(notice),
    show: (conditions: readonly ShownCondition[]) => void shown.push(conditions),
  };
  const step = (state: Model["state"], explanation: string) => {
    model = { ...model, state, explanation };
    for (const listener of listeners) listener();
  };
  return { announcer: new Announcer(parts, board), parts, told, shown, step };
}

Deno.test("Announcer tells of each transition once, and shows the present state", () => {
  const { announcer, told, shown, step } = announced();
  const stop = announcer.watch();
  step("active", "serving agents");
  step("active", "serving more agents");
  step("syncing", "demoted");
  step("disconnected", "the stream is lost");
  stop();
  step("active", "not heard any more");
  assertEquals(told.map(({ reason, warning }) => [reason, warning]), [
    ["Recovering", false],
    ["Active", false],
    ["Syncing", false],
    ["Disconnected", true],
  ]);
  assertEquals(told[2]?.message, "ACTIVE -> SYNCING: demoted");
  const active = shown.map((conditions) => conditions.find(({ type }) => type === "HAActive")?.status);
  assertEquals(active, ["False", "True", "False", "False"]);
});

Deno.test("Announcer tells when a concern comes, and not again within five minutes; then how it is now", () => {
  const { announcer, parts, told } = announced();
  announcer.look(0);
  assertEquals(told, []);
  parts.concerns = () => ({ held: noted(["Application/a/b: no namespace"]) });
  announcer.look(10_000);
  assertEquals(told.map(({ reason, warning }) => [reason, warning]), [["Held", true]]);
  assertMatch(
    told[0]?.message ?? "",
    /^1 change cannot be written \(Application\/a\/b: no namespace\); ha status/,
  );
  parts.concerns = () => ({});
  announcer.look(20_000);
  parts.concerns = () => ({ held: noted(["x", "y"]) });
  announcer.look(309_999);
  assertEquals(told.length, 1, "a flapping concern makes no flood");
  parts.concerns = () => ({});
  announcer.look(310_000);
  assertEquals(told.slice(1), [{ warning: false, reason: "Held", message: "held: none any more" }]);
});

Deno.test("Announcer tells facts that need nothing without a warning", () => {
  const { announcer, parts, told } = announced();
  parts.concerns = () => ({ inCluster: noted(["Application/argocd/a"]) });
  announcer.look(0);
  assertEquals(told.map(({ reason, warning }) => [reason, warning]), [["InCluster", false]]);
});

Deno.test("Announcer shows whether the last preflight passed", () => {
  const { announcer, parts, shown } = announced();
  const ready = () => {
    announcer.look(0);
    const condition = shown.at(-1)?.find(({ type }) => type === "HAReady");
    return [condition?.status, condition?.reason, condition?.message];
  };
  assertEquals(ready(), ["Unknown", "NotLooked", "no preflight has run yet"]);
  const check = (name: string, ok: boolean) => ({ name, ok, found: "", fix: "" });
  parts.readiness = { last: { checks: [check("digests", true)] } };
  assertEquals(ready(), ["True", "PreflightPassed", "every check of ha preflight passes"]);
  parts.readiness = {
    last: { checks: [check("digests", false), check("peer", true), check("clock", false)] },
  };
  assertEquals(ready(), ["False", "PreflightFailed", "ha preflight: digests, clock"]);
});
