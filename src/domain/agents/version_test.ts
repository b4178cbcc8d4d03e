import { assertEquals } from "@std/assert";
import { versionAccepted, type VersionPolicy } from "./version.ts";

Deno.test("versionAccepted() by policy", () => {
  const cases: [string, string, VersionPolicy, boolean][] = [
    ["0.8.1", "0.8.1", "exact", true],
    ["0.8.2", "0.8.1", "exact", false],
    ["0.8.2", "0.8.1", "minor", true],
    ["v0.8.2", "0.8.1", "minor", true],
    ["0.9.0", "0.8.1", "minor", false],
    ["99.9.9-unreleased", "0.8.1", "any", true],
    ["unreleased", "0.8.1", "minor", false],
  ];
  for (const [agent, ours, policy, accepted] of cases) {
    assertEquals(versionAccepted(agent, ours, policy), accepted);
  }
});
