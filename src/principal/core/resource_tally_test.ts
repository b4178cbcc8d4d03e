import { assertEquals } from "@std/assert";
import { ResourceTally, type Tallied, TALLIES } from "./resource_tally.ts";

const object = (data?: Record<string, string>) => ({
  apiVersion: "v1",
  kind: "Any",
  metadata: { name: "one" },
  ...(data ? { data } : {}),
});

const counts = (tally: ResourceTally, kind: Tallied) => TALLIES.map((one) => tally.of(kind, one));

Deno.test("ResourceTally counts what came, changed and went; created less deleted is what is there", () => {
  const tally = new ResourceTally();
  tally.put("Application/a/1", "Application", object(), true);
  tally.put("Application/a/2", "Application", object(), true);
  tally.put("Application/a/2", "Application", object(), false);
  tally.put("Application/a/2", "Application", object(), true);
  tally.removed("Application/a/1");
  tally.removed("Application/a/1");
  tally.removed("Application/a/none");
  assertEquals(counts(tally, "Application"), [2, 1, 1]);
  tally.put("Application/a/1", "Application", object(), true);
  assertEquals(counts(tally, "Application"), [3, 1, 1]);
  assertEquals(counts(tally, "AppProject"), [0, 0, 0]);
});

Deno.test("ResourceTally counts a Secret that changes its type as gone from one kind and come to the other", () => {
  const tally = new ResourceTally();
  tally.put("Secret/argocd/one", "Repository", object(), true);
  tally.put("Secret/argocd/one", "ClusterSecret", object(), true);
  assertEquals(counts(tally, "Repository"), [1, 0, 1]);
  tally.put("Secret/argocd/one", "Repository", object(), true);
  assertEquals(counts(tally, "Repository"), [2, 0, 1]);
});

Deno.test("ResourceTally has the number of GPG keys that are there", () => {
  const tally = new ResourceTally();
  assertEquals(tally.gpgKeys, 0);
  tally.put("ConfigMap/argocd/argocd-gpg-keys-cm", "GPGKey", object({ a: "1", b: "2" }), true);
  assertEquals(tally.gpgKeys, 2);
  tally.removed("ConfigMap/argocd/argocd-agent-tls-blocklist");
  assertEquals(tally.gpgKeys, 2);
  tally.removed("ConfigMap/argocd/argocd-gpg-keys-cm");
  assertEquals(tally.gpgKeys, 0);
});
