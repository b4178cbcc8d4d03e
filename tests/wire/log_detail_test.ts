/** Levels by component and full detail: in the lines themselves, and in those of a principal with an agent. */
import { assert, assertEquals } from "@std/assert";
import { createLog, type LogSettings, ofComponent, teller } from "../../src/base/log.ts";
import { application, serving, startAgent, untilHolds } from "../support/agents.ts";
import { inWorkshop, LOOSE, until } from "../support/principals.ts";

const BOUND_MS = 60_000;
const SETTINGS: LogSettings = { level: "warn", components: {}, format: "json", details: [] };

/** The messages that are written, by a log with these settings. */
function written(settings: Partial<LogSettings>, act: (settings: LogSettings) => void): string[] {
  const texts: string[] = [];
  const streams = [Deno.stdout, Deno.stderr];
  const value = (bytes: Uint8Array) => {
    texts.push(new TextDecoder().decode(bytes));
    return bytes.length;
  };
  for (const stream of streams) Object.defineProperty(stream, "writeSync", { value, configurable: true });
  try {
    act({ ...SETTINGS, ...settings });
  } finally {
    for (const stream of streams) delete (stream as { writeSync?: unknown }).writeSync;
  }
  return texts.map((text) => JSON.parse(text)).map(({ msg, component = "-", detail = "-" }) =>
    [msg, component, detail].join(" ")
  );
}

Deno.test("a component's lines have its level, all others the default", () => {
  const lines = written({ components: { "redis-proxy": "debug", "grpc-event": "error" } }, (settings) => {
    const log = createLog(settings);
    for (const level of ["debug", "warn", "error"] as const) {
      log[level](level);
      for (const name of ["redis-proxy", "grpc-event"] as const) ofComponent(log, name)[level](level);
    }
  });
  assertEquals(lines, [
    "debug redis-proxy -",
    "warn - -",
    "warn redis-proxy -",
    "error - -",
    "error redis-proxy -",
    "error grpc-event -",
  ]);
});

Deno.test("teller() tells in full at info, briefly at debug, and not at all otherwise", () => {
  const told = (settings: Partial<LogSettings>) =>
    written(settings, (all) => teller(createLog(all), "events", all)?.("event", {}, () => "{}"));
  assertEquals(told({ level: "info", details: ["events"] }), ["event grpc-event {}"]);
  assertEquals(told({ details: ["events"] }), [], "full detail is at info");
  assertEquals(told({ level: "debug", details: ["actions"] }), ["event grpc-event -"]);
  assertEquals(told({ components: { "grpc-event": "debug" } }), ["event grpc-event -"]);
  assertEquals(teller(createLog(SETTINGS), "events", { ...SETTINGS, level: "info" }), undefined);
});

Deno.test(
  "full detail shows writes, changes and events with their objects, and nothing of a Secret",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ["--full-detail=all"]);
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      const { store } = running.core;
      const labels = { "argocd.argoproj.io/secret-type": "repository" };
      const metadata = { name: "repo", namespace: "argocd", labels };
      const data = { password: btoa("hunter2"), project: btoa("default") };
      await store.write({ op: "put", object: { apiVersion: "v1", kind: "Secret", metadata, data } });
      await store.write({ op: "put", object: application("edge-1", "a") });
      await untilHolds(agent, "Application", ["a"]);
      const lines = (start: string) =>
        workshop.logs.filter((line) => line.startsWith(`info ${start} `)).map((line) =>
          JSON.parse(line.slice(line.indexOf("{"))) as Record<string, string>
        );
      const ofA = (start: string) =>
        lines(start).filter((line) => `${line["key"]} ${line["subject"]}`.includes("edge-1/a"));
      for (const start of ["object written", "change seen", "event sent"]) {
        await until(() => ofA(start).length > 0, BOUND_MS, () => `no line "${start}"`, 20);
        assertEquals(JSON.parse(ofA(start)[0]?.["detail"] ?? "").metadata.name, "a", start);
      }
      await until(
        () => lines("event received").some(({ type, agent }) => type === "processed" && agent === "edge-1"),
        BOUND_MS,
        () => "the acknowledgement is not told",
        20,
      );
      const secret = lines("object written").find(({ key }) => key === "Secret/argocd/repo");
      assertEquals([secret?.["action"], secret?.["detail"]], ["put", undefined]);
      const leaked = workshop.logs.filter((line) =>
        line.includes(btoa("hunter2")) || line.includes("hunter2")
      );
      assert(leaked.length === 0, leaked.join("\n"));
    }),
);
