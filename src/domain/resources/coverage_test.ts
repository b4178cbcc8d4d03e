import { assertEquals } from "@std/assert";
import { commonCoverage, coverageOf, Uncovered } from "./coverage.ts";
import { SECRET_TYPE, SELF_REGISTERED } from "./kinds.ts";
import type { ApiObject } from "./object.ts";
import { parseLabelSelector } from "./label_selector.ts";
import { patternOf } from "./patterns.ts";
import { wholeScope } from "./scope.ts";

const SCOPE = { ...wholeScope("argocd"), inClusterApplications: true };
const OLDER = "";

function secret(type: string, labels = {}): ApiObject {
  const metadata = { name: "s", namespace: "argocd", labels: { [SECRET_TYPE]: type, ...labels } };
  return { apiVersion: "v1", kind: "Secret", metadata };
}

const application = (name: string): ApiObject => ({
  apiVersion: "argoproj.io/v1alpha1",
  kind: "Application",
  metadata: { name: "a", namespace: "argocd" },
  spec: { destination: { name } },
});

Deno.test("a leader says nothing of classes that it does not cover, and an older release covers Argo CD's own Applications alone", () => {
  const byPeople = secret("cluster");
  const registered = secret("cluster", { [SELF_REGISTERED]: "true" });
  const pushing = secret("repository-write");
  const [own, edge] = [application("in-cluster"), application("edge-1")];
  const narrow = coverageOf({ ...SCOPE, clusterSecrets: "self-registered", inClusterApplications: false });
  const cases: [coverage: string, unsaid: ApiObject[]][] = [
    [coverageOf(SCOPE), []],
    [narrow, [byPeople, own]],
    [OLDER, [byPeople, pushing]],
    ["a class of a later release", [byPeople, pushing, own]],
  ];
  const all = [byPeople, registered, pushing, own, edge, secret("repository"), secret("other")];
  for (const [coverage, unsaid] of cases) {
    const uncovered = new Uncovered(SCOPE, coverage);
    assertEquals(uncovered.any, unsaid.length > 0);
    assertEquals(all.filter((object) => uncovered.has(object)), unsaid, coverage);
  }
});

Deno.test("commonCoverage() is what both cover, and nothing is not an older release's", () => {
  const narrow = coverageOf({ ...SCOPE, clusterSecrets: "self-registered", inClusterApplications: false });
  const cases: [string, string, string][] = [
    [
      coverageOf(SCOPE),
      coverageOf(SCOPE),
      "cluster-secrets-of-people,in-cluster-applications,write-repositories",
    ],
    [coverageOf(SCOPE), narrow, "write-repositories"],
    [coverageOf(SCOPE), OLDER, "in-cluster-applications"],
    [narrow, OLDER, "nothing"],
    ["nothing", coverageOf(SCOPE), "nothing"],
  ];
  for (const [a, b, common] of cases) {
    assertEquals([commonCoverage(a, b), commonCoverage(b, a)], [common, common]);
  }
});

const within = (namespaces: string[], selector = "") => ({
  ...SCOPE,
  allowedNamespaces: namespaces.map(patternOf),
  labelSelector: parseLabelSelector(selector),
});
const of = (kind: string, namespace: string, labels = {}): ApiObject => ({
  apiVersion: "argoproj.io/v1alpha1",
  kind,
  metadata: { name: "a", namespace, labels },
  spec: { destination: { name: "edge" } },
});

Deno.test("namespaces and labels beyond a side's own limits are uncovered, whoever wrote the limits and however", () => {
  const [a, b] = [{ team: "a" }, { team: "b" }];
  const objects = [
    of("Application", "edge-1", a),
    of("Application", "edge-2", a),
    of("ApplicationSet", "argocd", b),
    of("AppProject", "argocd", b),
    secret("repository", b),
  ];
  const cases: [coverage: string, unsaid: number[]][] = [
    [coverageOf(within(["*"])), []],
    [coverageOf(within([])), [0, 1]],
    [coverageOf(within(["edge-1", "{x,y}|*"])), [1]],
    [coverageOf(within(["/^edge-/"])), []],
    [coverageOf(within(["*"], "team in (a, c)")), [2, 3]],
    [commonCoverage(coverageOf(within(["edge-1"])), coverageOf(within(["edge-2"]))), [0, 1]],
    [commonCoverage(coverageOf(within(["edge-1"])), coverageOf(within(["*"], "team=b"))), [0, 1]],
    [`${coverageOf(SCOPE)},namespaces=%E0%A4%A|[|`, [0, 1]],
    [`${coverageOf(SCOPE)},labels=team%20in`, [0, 1, 2, 3]],
    [coverageOf(within(Array.from({ length: 200 }, (_, n) => `namespace-${n}`))), [0, 1]],
  ];
  for (const [coverage, unsaid] of cases) {
    const uncovered = new Uncovered(SCOPE, coverage);
    assertEquals(
      objects.flatMap((object, n) => uncovered.has(object) ? [n] : []),
      unsaid,
      coverage,
    );
  }
});

Deno.test("a limit that both sides have leaves nothing uncovered, also a long one", () => {
  const many = within(Array.from({ length: 200 }, (_, n) => `namespace-${n}`), "team=a");
  const other = within(many.allowedNamespaces.map(({ text }) => text).reverse(), "team=a");
  assertEquals(coverageOf(many).length < 300, true);
  assertEquals(new Uncovered(many, coverageOf(other)).any, false);
  assertEquals(new Uncovered(many, commonCoverage(coverageOf(many), coverageOf(other))).any, false);
});
