import { assertEquals } from "@std/assert";
import { lastManager } from "./field_manager.ts";

const object = (...managedFields: unknown[]) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "x", managedFields },
});

Deno.test("lastManager() names the latest writer, unless it is this principal or nothing is known", () => {
  const kubectl = { manager: "kubectl-edit", time: "2026-01-01T00:00:02Z" };
  const ours = { manager: "argocd-agent-ha", time: "2026-01-01T00:00:01Z" };
  assertEquals(lastManager(object(kubectl, ours)), "kubectl-edit");
  assertEquals(lastManager(object(ours, { ...kubectl, time: "2026-01-01T00:00:00Z" })), "");
  assertEquals(lastManager(object()), "");
  assertEquals(lastManager(object("x", { manager: 1, time: "2026" })), "");
});
