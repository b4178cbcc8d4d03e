import { assertEquals } from "@std/assert";
import { commonCoverage, coverageOf, Uncovered } from "./coverage.ts";
import { SECRET_TYPE, SELF_REGISTERED } from "./kinds.ts";
import type { ApiObject } from "./object.ts";
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
