import { assertEquals } from "@std/assert";
import type { ApiObject } from "../resources/object.ts";
import { wholeScope } from "../resources/scope.ts";
import { Usage } from "./usage.ts";

const KEY = "Application/edge/a";
const AGENT = { name: "edge", mode: "managed" } as const;
const object: ApiObject = {
  apiVersion: "argoproj.io/v1alpha1",
  kind: "Application",
  metadata: { name: "a", namespace: "edge" },
};
const entry = (version: string, bytes: number) => ({ key: KEY, version, payload: "x".repeat(bytes) });

/** The bytes of the agent after these steps. */
function after(...steps: ((usage: Usage) => void)[]): number {
  const usage = new Usage(wholeScope("argocd"));
  for (const step of steps) step(usage);
  return usage.agents.find(({ name }) => name === "edge")?.bytes ?? 0;
}

const take = (version: string, bytes: number) => (usage: Usage) => usage.take(entry(version, bytes), object);
const gone = (version: string) => (usage: Usage) => usage.take(entry(version, 0), undefined);
const announce = (bytes: number) => (usage: Usage) => usage.announce(KEY, AGENT, bytes);
const written = (version: string) => (usage: Usage) => usage.written(KEY, version);
const withdraw = (usage: Usage) => usage.withdraw(KEY);

Deno.test("Usage: an announced write counts until the index has it, whatever the index tells of before", () => {
  assertEquals(after(announce(30)), 30);
  assertEquals(after(announce(30), take("5", 20)), 30, "a state of before");
  assertEquals(after(announce(30), written("9"), take("5", 20)), 30);
  assertEquals(after(announce(30), written("10"), take("9", 20)), 30, "versions are numbers");
  assertEquals(after(announce(30), written("9"), take("9", 31)), 31);
  assertEquals(after(announce(30), written("9"), take("12", 7)), 7, "a later writer");
  assertEquals(after(announce(30), take("9", 31), written("9")), 31, "the index is faster than the answer");
  assertEquals(after(take("5", 40), announce(30)), 40, "the write may fail");
  assertEquals(after(take("5", 40), announce(30), withdraw), 40);
  assertEquals(after(announce(30), written("9"), gone("10")), 0);
  assertEquals(after(take("5", 40), gone("6"), announce(30), withdraw), 0);
});
