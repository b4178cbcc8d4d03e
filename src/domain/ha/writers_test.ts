import { assertEquals } from "@std/assert";
import { commandAgainst, OtherWriters, writerLine } from "./writers.ts";

const KEY = "Application/edge-1/app";

Deno.test("a writer counts when it has changed one copy twice, and is forgotten after ten minutes", () => {
  const writers = new OtherWriters();
  assertEquals([writers.saw("kubectl", KEY, 0), writers.saw("kubectl", "Application/edge-1/other", 1)], [
    false,
    false,
  ]);
  assertEquals(writers.list(1), [], "once each is an edit");
  assertEquals(writers.saw("kubectl", KEY, 2), true);
  assertEquals(writers.saw("kubectl", KEY, 3), false, "known already");
  assertEquals(writers.list(3), [{ manager: "kubectl", changes: 4, copies: 2, key: KEY }]);
  writers.saw("", KEY, 4);
  assertEquals(writers.list(600_003).map(({ manager }) => manager), ["kubectl"]);
  assertEquals(writers.list(600_004), []);
});

Deno.test("memory of writers is bounded", () => {
  const writers = new OtherWriters();
  for (let n = 0; n < 10_000; n++) writers.saw(`w${n % 200}`, `Application/a/x${n}`, 0);
  for (let n = 0; n < 10_000; n++) writers.saw("w1", `Application/a/y${n}`, 0);
  for (const again of [1, 2]) writers.saw("w1", "Application/a/x1", again);
  assertEquals(writers.list(2).map(({ copies }) => copies), [1_000]);
});

Deno.test("each of Argo CD's controllers is stopped by its own command; of another writer its fields are shown", () => {
  const scaled = (what: string) => `kubectl -n argocd scale ${what} --replicas=0`;
  const cases: [manager: string, command: string][] = [
    ["argocd-applicationset-controller", scaled("deployment argocd-applicationset-controller")],
    ["argocd-application-controller", scaled("statefulset argocd-application-controller")],
    ["argocd-notifications-controller", scaled("deployment argocd-notifications-controller")],
    ["kubectl-edit", "kubectl -n edge-1 get application app -o yaml --show-managed-fields"],
    ["constructor", "kubectl -n edge-1 get application app -o yaml --show-managed-fields"],
    ["", "kubectl -n edge-1 get application app -o yaml --show-managed-fields"],
  ];
  for (const [manager, command] of cases) {
    assertEquals(commandAgainst({ manager, changes: 1, copies: 1, key: KEY }, "argocd"), command);
  }
  assertEquals(
    writerLine({ manager: "kubectl-edit", changes: 1_200, copies: 1, key: KEY }, "argocd"),
    '"kubectl-edit" changed 1 copy 1,200 times, Application/edge-1/app last: ' +
      "kubectl -n edge-1 get application app -o yaml --show-managed-fields",
  );
});
