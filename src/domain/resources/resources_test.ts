import { assertEquals } from "@std/assert";
import { canonicalJson } from "../../base/json.ts";
import { isDnsLabel, isDnsSubdomain, keyOfObject, parseKey } from "./keys.ts";
import { type Kind, kindNamed, kindOf, losable, mayReplicate, rankOf } from "./kinds.ts";
import { type ApiObject, objectProblem, SOURCE_UID } from "./object.ts";
import { patternOf } from "./patterns.ts";
import {
  annotationBytes,
  LAST_APPLIED,
  localize,
  MAX_ANNOTATION_BYTES,
  owners,
  replicatedForm,
} from "./transform.ts";
import { acceptDelete, acceptObject } from "./validate.ts";
import { readRoster, rosterKey, writeRoster } from "./roster.ts";
import { agentOf, wholeScope } from "./scope.ts";

const SCOPE = wholeScope("argocd");

const secret = (labels: Record<string, string>, namespace = "argocd"): ApiObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "s", namespace, labels },
  data: {},
});
const application = (metadata: Partial<ApiObject["metadata"]> = {}): ApiObject => ({
  apiVersion: "argoproj.io/v1alpha1",
  kind: "Application",
  metadata: { name: "a", namespace: "edge-1", ...metadata },
  spec: { project: "p" },
});
const kind = (object: ApiObject) => {
  const found = kindOf(object, SCOPE);
  if (!found) throw new Error("not replicated");
  return found;
};

Deno.test("kindOf() tells what is replicated from what is not", () => {
  const type = (value: string, more = {}) => secret({ "argocd.argoproj.io/secret-type": value, ...more });
  const self = { "argocd-agent.argoproj-labs.io/self-registered-cluster": "true" };
  const map = (name: string): ApiObject => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: "argocd" },
  });
  const cases: [ApiObject, string | undefined][] = [
    [application(), "Application"],
    [{ ...application(), apiVersion: "example.com/v1" }, undefined],
    [application({ labels: { "argocd-agent.argoproj-labs.io/ignore-sync": "true" } }), undefined],
    [type("repository"), "Repository"],
    [type("repo-creds"), "Repository"],
    [type("repository-write"), "WriteRepository"],
    [type("repo-write-creds"), "WriteRepository"],
    [type("cluster"), "ClusterSecret"],
    [type("cluster", self), "ClusterSecret"],
    [secret({}), undefined],
    [secret({ "argocd.argoproj.io/secret-type": "repository" }, "kube-system"), undefined],
    [map("argocd-gpg-keys-cm"), "GPGKey"],
    [map("argocd-agent-tls-blocklist"), "Blocklist"],
    [map("argocd-agent-ha-agents"), "Agents"],
    [map("argocd-agent-ha-state"), undefined],
    [map("argocd-agent-principal-identity"), undefined],
    [{ apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "argocd" } }, undefined],
  ];
  for (const [object, name] of cases) {
    assertEquals(kindOf(object, SCOPE)?.name, name, JSON.stringify(object));
  }
  assertEquals(rankOf({ kind: "ApplicationSet" }) < rankOf({ kind: "Application" }), true);
  assertEquals(mayReplicate({ kind: "Secret", namespace: "kube-system", name: "x" }, SCOPE), false);
});

Deno.test("replicatedForm() is the same on both sides of a replication, whatever the clusters add", () => {
  const source = application({
    uid: "source",
    resourceVersion: "5",
    generation: 2,
    creationTimestamp: "2026-01-01T00:00:00Z",
    managedFields: [{ manager: "x" }],
    annotations: {
      "kubectl.kubernetes.io/last-applied-configuration": "{}",
      "argocd.argoproj.io/refresh": "hard",
      a: "b",
    },
    labels: {},
    ownerReferences: [
      {
        apiVersion: "argoproj.io/v1alpha1",
        kind: "ApplicationSet",
        name: "set",
        uid: "there",
        controller: true,
      },
      { apiVersion: "v1", kind: "ConfigMap", name: "c", uid: "there" },
    ],
  });
  const form = replicatedForm(source, kind(source));
  const { object, missing } = localize(form, (owner) => `uid of ${owner.name} here`);
  assertEquals(missing, []);
  assertEquals(object.metadata.ownerReferences?.[0]?.uid, "uid of set here");
  const copy = {
    ...object,
    metadata: { ...object.metadata, uid: "copy", resourceVersion: "900", generation: 1 },
  };
  assertEquals(canonicalJson(replicatedForm(copy, kind(copy))), canonicalJson(form));
  assertEquals(form.metadata.annotations, { a: "b", [LAST_APPLIED]: "{}", [SOURCE_UID]: "source" });
  assertEquals(owners(form).map((owner) => [owner.name, owner.uid]), [["set", undefined]]);
  assertEquals(source.metadata.uid, "source", "the input is not changed");
});

Deno.test("replicatedForm() has no last-applied configuration where the source's UID leaves it no room, on both sides alike", () => {
  const noted = (bytes: number) =>
    application({ uid: "u".repeat(36), annotations: { [LAST_APPLIED]: "x".repeat(bytes) } });
  const ours = annotationBytes({ [SOURCE_UID]: "u".repeat(36), [LAST_APPLIED]: "" });
  const fits = noted(MAX_ANNOTATION_BYTES - ours);
  assertEquals(
    annotationBytes(replicatedForm(fits, kind(fits)).metadata.annotations ?? {}),
    MAX_ANNOTATION_BYTES,
  );
  const tooLarge = noted(MAX_ANNOTATION_BYTES - ours + 1);
  const form = replicatedForm(tooLarge, kind(tooLarge));
  assertEquals(form.metadata.annotations, { [SOURCE_UID]: "u".repeat(36) });
  assertEquals(replicatedForm(form, kind(form)), form);
});

Deno.test("localize() leaves out owners that are not here yet and names them", () => {
  const owned = application({
    ownerReferences: [{ apiVersion: "argoproj.io/v1alpha1", kind: "ApplicationSet", name: "set" }],
  });
  const { object, missing } = localize(owned, () => undefined);
  assertEquals([object.metadata.ownerReferences, missing[0]?.name], [undefined, "set"]);
});

Deno.test("parseKey() takes well-formed keys only", () => {
  assertEquals(parseKey("Application/edge-1/a.b-c"), {
    kind: "Application",
    namespace: "edge-1",
    name: "a.b-c",
  });
  const bad = [
    "",
    "a",
    "Application//x",
    "Application/ns/",
    "Application/ns/a/b",
    "Application/../etc",
    "application/ns/a",
    "Application/NS/a",
    "Application/ns/..",
    `Application/ns/${"a".repeat(254)}`,
    "Application/ns/a\n",
    "Application/ns/-a",
  ];
  for (const key of bad) assertEquals(parseKey(key), undefined, key);
  assertEquals(keyOfObject(application()), "Application/edge-1/a");
  assertEquals([isDnsLabel("a".repeat(64)), isDnsLabel("a.b"), isDnsSubdomain("a.b")], [false, false, true]);
});

Deno.test("objectProblem() names what is wrong", () => {
  const cases: [unknown, string | undefined][] = [
    [null, "not an object"],
    [{ kind: "A" }, "apiVersion is missing"],
    [{ apiVersion: "v1" }, "kind is missing"],
    [{ apiVersion: "v1", kind: "A", metadata: {} }, "metadata.name is missing"],
    [
      { apiVersion: "v1", kind: "A", metadata: { name: "x", labels: { a: 1 } } },
      "metadata.labels must map strings to strings",
    ],
    [
      { apiVersion: "v1", kind: "A", metadata: { name: "x", ownerReferences: [{}] } },
      "metadata.ownerReferences is malformed",
    ],
    [
      { apiVersion: "v1", kind: "A", metadata: { name: "x", finalizers: "f" } },
      "metadata.finalizers must be a list of strings",
    ],
    [{ apiVersion: "v1", kind: "A", metadata: { name: "x" } }, undefined],
  ];
  for (const [value, problem] of cases) assertEquals(objectProblem(value), problem, JSON.stringify(value));
});

Deno.test("a replica refuses what replication has no business writing", () => {
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "argocd" } };
  const opaque = secret({});
  const cases: [key: string, json: string, reason: string | undefined][] = [
    ["Pod/argocd/p", JSON.stringify(pod), 'Pod "p" in namespace "argocd" is not replicated'],
    [
      "Secret/kube-system/s",
      JSON.stringify(secret({}, "kube-system")),
      'Secret "s" in namespace "kube-system" is not replicated',
    ],
    ["Secret/argocd/s", JSON.stringify(opaque), "this kind of object, Secret or ConfigMap is not replicated"],
    [
      "ConfigMap/argocd/argocd-agent-ha-state",
      '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"argocd-agent-ha-state","namespace":"argocd"}}',
      'ConfigMap "argocd-agent-ha-state" in namespace "argocd" is not replicated',
    ],
    ["Application/edge-1/a", "{", "the object is not JSON"],
    ["Application/edge-1/b", JSON.stringify(application()), "the object is Application/edge-1/a"],
    ["../../etc/passwd", "{}", "malformed key"],
    ["Application/edge-1/a", JSON.stringify(application()), undefined],
  ];
  for (const [key, json, reason] of cases) {
    const verdict = acceptObject(key, json, SCOPE);
    assertEquals(verdict.ok ? undefined : verdict.reason, reason, key);
  }
  const kept = ["Secret/kube-system/s", "Secret/argocd/argocd-secret", "ConfigMap/argocd/argocd-rbac-cm"];
  for (const key of kept) assertEquals(acceptDelete(key, SCOPE).ok, false, key);
});

Deno.test("kindOf() follows the scope: allowed namespaces, all cluster secrets, destinations that are agents", () => {
  const manual = secret({ "argocd.argoproj.io/secret-type": "cluster" });
  assertEquals(kindOf(manual, { ...SCOPE, clusterSecrets: "self-registered" }), undefined);
  const edge = { ...SCOPE, allowedNamespaces: [patternOf("edge-2")] };
  assertEquals(kindOf(application(), edge), undefined);
  assertEquals(kindOf(application({ namespace: "edge-2" }), edge)?.name, "Application");
  assertEquals(kindOf(application({ namespace: "argocd" }), edge)?.name, "Application");
  assertEquals(mayReplicate({ kind: "Application", namespace: "edge-1", name: "a" }, edge), false);
  const mapped = { ...SCOPE, destinationMapping: true };
  const to = (name?: string) => ({ ...application(), spec: { destination: { name } } });
  const cases: [ApiObject, string][] = [[to("edge-7"), "edge-7"], [to("in-cluster"), ""], [to(), ""]];
  for (const [object, agent] of cases) {
    assertEquals(agentOf(object, mapped), agent);
    assertEquals(kindOf(object, mapped)?.name, agent ? "Application" : undefined);
  }
  assertEquals(agentOf(application(), SCOPE), "edge-1");
});

Deno.test("Applications that Argo CD deploys into its own cluster stay there, in both mappings, unless a flag replicates them", () => {
  const server = "https://kubernetes.default.svc";
  const to = (destination: unknown, namespace = "argocd") => ({
    ...application({ namespace }),
    spec: { destination },
  });
  const cases: [ApiObject, namespaces: boolean, destinations: boolean, flag: boolean][] = [
    [to({ server }), false, false, true],
    [to({ server: `${server}/` }), false, false, true],
    [to({ name: "in-cluster" }), false, false, true],
    [to({ name: "edge-1" }), true, true, true],
    [to({ server: "https://10.0.0.1" }), true, false, true],
    [to({ server }, "edge-1"), true, false, true],
    [to(undefined), true, false, true],
  ];
  for (const [object, namespaces, destinations, flag] of cases) {
    const replicates = (more: Partial<typeof SCOPE>) => kindOf(object, { ...SCOPE, ...more }) !== undefined;
    assertEquals(replicates({}), namespaces, JSON.stringify(object));
    assertEquals(replicates({ destinationMapping: true }), destinations, JSON.stringify(object));
    assertEquals(replicates({ inClusterApplications: true }), flag, JSON.stringify(object));
  }
});

Deno.test("readRoster() and writeRoster() keep modes, and leave out what cannot be understood", () => {
  const agents = new Map(
    [["edge-1", { mode: "managed", connected: true }], ["edge-2", {
      mode: "autonomous",
      connected: false,
    }]] as const,
  );
  const object = writeRoster("argocd", agents);
  assertEquals(keyOfObject(object), rosterKey("argocd"));
  assertEquals(readRoster(object), new Map(agents));
  assertEquals(
    readRoster({ ...object, data: { a: "{", b: "7", c: '{"mode":"root"}', d: '{"mode":"managed"}' } }).size,
    1,
  );
  assertEquals(readRoster(undefined).size, 0);
});

Deno.test("losable() leaves the status out where a controller observes it again, and of a project, which has its tokens there, it does not", () => {
  const status = { jwtTokensByRole: {} };
  for (
    const [kind, observed] of [["Application", true], ["ApplicationSet", true], [
      "AppProject",
      false,
    ]] as const
  ) {
    const object = { ...application(), kind, status };
    const { status: left, ...rest } = losable(object, kindNamed(kind) as Kind);
    assertEquals([left, "spec" in rest], [observed ? undefined : status, true], kind);
  }
});
