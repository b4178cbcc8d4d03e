import { assert, assertEquals } from "@std/assert";
import type { AgentEvent } from "../events/cloudevent.ts";
import type { Entry } from "../changes/index.ts";
import type { ApiObject } from "../resources/object.ts";
import { keyOfObject } from "../resources/keys.ts";
import { wholeScope } from "../resources/scope.ts";
import { goJson, listChecksum, specChecksum } from "./checksum.ts";
import { interpret } from "./inbound.ts";
import { ownsProject } from "./ownership.ts";
import {
  adoptProject,
  prefixed,
  projectFor,
  projectMatches,
  projectRule,
  refusedPolicies,
} from "./projects.ts";
import { Router } from "./router.ts";
import { type AgentId, viewOf, type World } from "./view.ts";
import { DELETION_REQUESTED } from "../resources/transform.ts";
import { adopted, withFailure, withStatus } from "./writes.ts";

const MANAGED: AgentId = { name: "edge-1", mode: "managed" };
const AUTONOMOUS: AgentId = { name: "auto-1", mode: "autonomous" };
const NAMESPACES = wholeScope("argocd");
const DESTINATIONS = { ...NAMESPACES, destinationMapping: true };
const encoder = new TextEncoder();

function project(destinations: unknown[], sourceNamespaces?: string[], name = "p"): ApiObject {
  return {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "AppProject",
    metadata: { name, namespace: "argocd", uid: "u" },
    spec: { destinations, ...(sourceNamespaces ? { sourceNamespaces } : {}), roles: [{ name: "r" }] },
  };
}

function application(namespace: string, name: string, rest: Record<string, unknown> = {}): ApiObject {
  return {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "Application",
    metadata: { name, namespace, annotations: { "argocd.argoproj.io/source-uid": "source" } },
    spec: { project: "p", destination: { name: "edge-1" } },
    ...rest,
  };
}

function entry(object: ApiObject, revision = 1, local = ""): Entry {
  const payload = JSON.stringify(object);
  return {
    key: keyOfObject(object),
    revision,
    payload,
    size: payload.length,
    digest: "d",
    local,
    deleted: false,
    deletionRequested: "",
    terminating: false,
    version: "1",
    changedAt: 0,
    contentAt: 0,
  };
}

Deno.test("projectMatches() follows the peer's rules", () => {
  const cases: [unknown[], string[] | undefined, boolean, boolean][] = [
    [[{ name: "edge-1" }], ["edge-1"], true, true],
    [[{ name: "edge-*" }], ["*"], true, true],
    [[{ name: "edge-*" }], undefined, false, true],
    [[{ name: "edge-*" }], ["/^edge-\\d$/"], true, true],
    [[{ name: "edge-*" }], ["/(/"], false, true],
    [[{ name: "*" }, { name: "!edge-1" }], ["*"], false, false],
    [[{ name: "*" }, { name: "!other" }], ["*"], true, true],
    [[{ name: "*" }, { name: "!/(/" }], ["*"], false, false],
    [[{ name: "!other" }], ["*"], false, false],
    [[{ server: "*" }], ["*"], true, true],
    [[{ name: "other", server: "*" }], ["*"], false, false],
    [[{ server: "https://proxy:9090?agentName=edge-*" }], ["*"], true, true],
    [[{ server: "https://proxy:9090" }], ["*"], false, false],
    [[{ server: "not a url" }], ["*"], false, false],
    [[], ["*"], false, false],
  ];
  for (const [destinations, sources, namespaces, byDestination] of cases) {
    const rule = projectRule(project(destinations, sources));
    const got = [projectMatches(rule, "edge-1", false), projectMatches(rule, "edge-1", true)];
    assertEquals(got, [namespaces, byDestination], JSON.stringify([destinations, sources]));
  }
  assertEquals(projectRule({ ...project([]), spec: "nonsense" }), { destinations: [], sourceNamespaces: [] });
  const many = (count: number) => Array.from({ length: count }, (_, n) => ({ name: `edge-*${n}` }));
  const kept = (count: number) => projectRule(project(many(count), ["*"])).destinations.length;
  assertEquals([kept(199), kept(200)], [199, 0]);
});

Deno.test("projectFor() keeps an agent's destinations, in its cluster, and no roles", () => {
  const full = project([{ name: "edge-1", namespace: "a" }, { name: "edge-2", namespace: "b" }], ["edge-*"]);
  const destinations = [{ name: "in-cluster", server: "https://kubernetes.default.svc", namespace: "a" }];
  assertEquals(projectFor(full, "edge-1", false)["spec"], { destinations });
  assertEquals(projectFor(full, "edge-1", true)["spec"], { destinations, sourceNamespaces: ["edge-*"] });
});

Deno.test("adoptProject() makes an autonomous agent's project its own, and its policies say the new name", () => {
  const theirs = {
    ...project([{ name: "x", server: "y", namespace: "n" }], ["z"], "default"),
    spec: {
      destinations: [{ name: "x", server: "y", namespace: "n" }],
      roles: [{
        name: "r",
        policies: [
          "p, proj:default:r, applications, get, default/*, allow",
          "p, someone, extensions, invoke, httpbin, allow",
          "g, someone, r",
        ],
      }],
    },
  };
  assertEquals(adoptProject(theirs, "auto-1"), {
    destinations: [{ name: "auto-1", server: "*", namespace: "n" }],
    sourceNamespaces: ["auto-1"],
    roles: [{
      name: "r",
      policies: [
        "p, proj:auto-1-default:r, applications, get, auto-1-default/auto-1/*, allow",
        "p, someone, extensions, invoke, httpbin, allow",
      ],
    }],
  });
  const line = (text: string) => {
    const roles = [{ name: "r", policies: [text] }];
    const own = { ...theirs, spec: { roles } };
    return (adoptProject(own, "auto-1") as { roles: typeof roles }).roles[0]?.policies[0];
  };
  const translated: [string, string][] = [
    [
      "p, proj:default:r, logs, get, default/a, allow",
      "p, proj:auto-1-default:r, logs, get, auto-1-default/auto-1/a, allow",
    ],
    [
      "p,proj:default:r,exec,create,default/*,deny",
      "p,proj:auto-1-default:r,exec,create, auto-1-default/auto-1/*,deny",
    ],
    [
      "p, proj:default:r, applicationsets, get, *, allow",
      "p, proj:auto-1-default:r, applicationsets, get, *, allow",
    ],
    [
      "p, proj:default:r, applications, get, default/ns/a, allow",
      "p, proj:auto-1-default:r, applications, get, default/ns/a, allow",
    ],
  ];
  for (const [before, after] of translated) assertEquals(line(before), after);
  const untouched = [
    "p, proj:default:another, applications, get, default/*, allow",
    "p, proj:default:r:x, applications, get, default/*, allow",
    "p, proj:other:r, applications, get, default/*, allow",
    "p, proj:default:r, repositories, get, default/*, allow",
    "p, someone, extensions, invoke, httpbin, allow",
    "# a note",
  ];
  for (const text of untouched) assertEquals(line(text), text);
  const refused = [
    "p, proj:default:r, applications, get, other/*, allow",
    "p, someone, applications, get, *, allow",
    "p, someone, applications, get, */*, allow",
    "p, proj:default:r, *, *, *, allow",
    "p, proj:default:r, clusters, get, *, allow",
    "p, role:readonly, applications, *, default/*, allow",
    "p, *, applications, *, default/*, allow",
    "p, proj:default:r, applications, get, default/*",
    "g, someone, role:admin",
    "g, proj:default:r, applications, get, default/*, allow",
    "p, proj:default:r, applications, get, default/*, allow\ng, someone, role:admin",
    'p, proj:default:r, applications, get, "default/*, x", allow',
    "# a note\ng, someone, role:admin",
  ];
  for (const text of refused) {
    assertEquals(line(text), undefined, text);
    const roles = [{ name: "r", policies: [text] }];
    assertEquals(refusedPolicies({ ...theirs, spec: { roles } } as ApiObject), [text]);
  }
  const kept = { ...theirs, metadata: { name: "a-b-c" }, spec: { sourceNamespaces: ["a-b"] } };
  assertEquals([ownsProject("a-b", kept), ownsProject("a", kept)], [true, false]);
  let message = "";
  try {
    prefixed("a", "x".repeat(252));
  } catch (error) {
    message = (error as Error).message;
  }
  assert(message.includes("longer than 253"));
});

Deno.test("checksums are the peer's: sorted keys, Go's escapes, no destination; lists sorted by bytes", () => {
  assertEquals(goJson({ b: "<&>\u2028", a: [1, null] }), '{"a":[1,null],"b":"\\u003c\\u0026\\u003e\\u2028"}');
  const same = (text: string) => text;
  assertEquals(specChecksum(application("n", "a"), same), '{"project":"p"}');
  assertEquals(
    specChecksum({ ...application("n", "a"), spec: undefined, data: { k: "v" } }, same),
    '{"k":"v"}',
  );
  const list = [{ kind: "B", name: "n", uid: "2" }, { kind: "A", name: "n", uid: "1" }];
  assertEquals([listChecksum(list, same), listChecksum([], same)], ["A/n/1B/n/2", ""]);
});

Deno.test("viewOf(): routing by mapping, stable UIDs, operation apart, refresh and deletion from here alone", () => {
  const world = (scope = NAMESPACES): World => ({
    scope,
    sha256: (text) => text,
    project: () => projectRule(project([{ name: "edge-*" }], ["edge-*"])),
  });
  const mine = entry(application("edge-1", "a", { operation: { sync: {} }, status: { x: 1 } }));
  const view = viewOf(mine, MANAGED, world());
  assertEquals(view?.uid, "source");
  assertEquals([view?.body["operation"], view?.withOperation["operation"]], [undefined, { sync: {} }]);
  assertEquals(view?.body.metadata.resourceVersion, undefined, "no version of this cluster's (13)");
  const other = entry(application("edge-1", "a", { operation: { sync: {} }, status: { x: 2 } }));
  assertEquals(viewOf(other, MANAGED, world())?.state, view?.state, "its own status is no change");
  const local = JSON.stringify({ refresh: "hard", deletionTimestamp: "2026-01-01T00:00:00Z" });
  const leaving = viewOf(entry(application("edge-1", "a"), 1, local), MANAGED, world());
  assertEquals(leaving?.body.metadata.deletionTimestamp, "2026-01-01T00:00:00Z");
  assertEquals(leaving?.deletion, "carried out");
  const asked = application("edge-1", "a");
  asked.metadata.annotations = {
    ...asked.metadata.annotations,
    [DELETION_REQUESTED]: "2026-01-01T00:00:00Z",
  };
  const inherited = viewOf(entry(asked), MANAGED, world());
  assertEquals(inherited?.deletion, "requested");
  assertEquals(inherited?.body.metadata.annotations, application("edge-1", "a").metadata.annotations);
  assert(leaving?.state !== view?.state);
  assertEquals(viewOf(entry(application("edge-2", "a")), MANAGED, world()), undefined);
  assertEquals(viewOf(entry(application("team", "a")), MANAGED, world(DESTINATIONS))?.namespace, "team");
  assertEquals(viewOf(entry(application("auto-1", "a")), AUTONOMOUS, world())?.state, "");
  const own = entry({
    ...project([{ name: "auto-1" }], ["auto-1"], "auto-1-p"),
    metadata: { name: "auto-1-p", namespace: "argocd" },
  });
  assertEquals(viewOf(own, AUTONOMOUS, world())?.target, "appproject");
  assertEquals(viewOf(entry(project([{ name: "x" }])), AUTONOMOUS, world()), undefined);
});

Deno.test("Router: a change concerns those who have it and those who get it, once", () => {
  const router = new Router(DESTINATIONS);
  const at = (agent: string) => application("team", "a", { spec: { destination: { name: agent } } });
  const touched = (object: ApiObject) => {
    const [first] = router.take(entry(object));
    return first && first.agents !== "all" ? [...first.agents].sort() : first?.agents;
  };
  assertEquals(touched(at("edge-1")), ["edge-1", "team"]);
  assertEquals(touched(at("edge-2")), ["edge-1", "edge-2", "team"]);
  assertEquals([router.managedKeys("edge-1"), router.managedKeys("edge-2")], [[], ["Application/team/a"]]);
  const secret = (name: string, ofProject: string): ApiObject => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "argocd", labels: { "argocd.argoproj.io/secret-type": "repository" } },
    data: { project: btoa(ofProject) },
  });
  router.take(entry(secret("r", "p")));
  assertEquals(router.managedKeys("edge-2"), ["Application/team/a"], "its project is not here yet");
  const touchedByProject = router.take(entry(project([{ name: "edge-2" }]))).map(({ key }) => key);
  assertEquals(touchedByProject, ["AppProject/argocd/p", "Secret/argocd/r"]);
  assertEquals(router.managedKeys("edge-2"), [
    "AppProject/argocd/p",
    "Secret/argocd/r",
    "Application/team/a",
  ]);
  router.take(entry(secret("r", "q")));
  router.take({ ...entry(at("edge-2")), deleted: true, payload: "" });
  assertEquals(router.managedKeys("edge-2"), ["AppProject/argocd/p"]);
});

Deno.test("interpret(): keys are of the agent's proved name; what is not allowed comes to nothing", () => {
  const event = (target: string, type: string, payload: unknown): AgentEvent => ({
    type,
    target,
    extensions: {},
    payload: encoder.encode(JSON.stringify(payload)),
  });
  const named = { metadata: { name: "a", namespace: "argocd", uid: "u" } };
  const world = { scope: NAMESPACES, agentNamespace: "argocd" };
  const keyOf = (target: string, type: string, payload: unknown, agent: AgentId, scope = NAMESPACES) => {
    const intent = interpret(event(target, type, payload), agent, { ...world, scope });
    return `${intent.do} ${"key" in intent ? intent.key : "resource" in intent ? intent.resource.key : ""}`;
  };
  const remapped = { "argocd.argoproj.io/namespace-remapped": "true" };
  const moved = { metadata: { ...named.metadata, annotations: remapped } };
  const cases: [string, string][] = [
    [keyOf("application", "status-update", named, MANAGED), "status Application/edge-1/a"],
    [keyOf("application", "delete", named, MANAGED), "deleted Application/edge-1/a"],
    [keyOf("application", "create", named, MANAGED), "nothing "],
    [keyOf("application", "spec-update", named, MANAGED), "nothing "],
    [keyOf("application", "status-update", moved, MANAGED, DESTINATIONS), "status Application/argocd/a"],
    [
      keyOf("application", "error", { resourceName: "a", message: "m" }, MANAGED),
      "failed Application/edge-1/a",
    ],
    [keyOf("application", "create", named, AUTONOMOUS), "adopt Application/auto-1/a"],
    [keyOf("application", "spec-update", named, AUTONOMOUS), "adopt Application/auto-1/a"],
    [keyOf("application", "status-update", named, AUTONOMOUS), "nothing "],
    [keyOf("appproject", "create", named, AUTONOMOUS), "adopt AppProject/argocd/auto-1-a"],
    [keyOf("appproject", "create", named, MANAGED), "nothing "],
    [keyOf("repository", "create", named, AUTONOMOUS), "nothing "],
    [keyOf("heartbeat", "ping", {}, MANAGED), "nothing "],
    [keyOf("application", "delete", { metadata: { name: "a/b" } }, AUTONOMOUS), "nothing "],
    [keyOf("application", "delete", null, AUTONOMOUS), "nothing "],
    [
      keyOf("resourceResync", "request-update", { kind: "Repository", name: "r" }, MANAGED),
      "compare Secret/argocd/r",
    ],
    [keyOf("resourceResync", "request-update", { kind: "Pod", name: "r" }, MANAGED), "nothing "],
    [keyOf("resourceResync", "request-update", { kind: "Application", name: "r" }, AUTONOMOUS), "nothing "],
    [
      keyOf("resourceResync", "response-synced-resource", { kind: "AppProject", name: "p" }, AUTONOMOUS),
      "ask AppProject/argocd/auto-1-p",
    ],
    [keyOf("resourceResync", "request-resource-resync", {}, AUTONOMOUS), "askAll "],
    [keyOf("resourceResync", "request-synced-resource-list", { checksum: null }, MANAGED), "list "],
    [keyOf("clusterCacheInfoUpdate", "cluster-cache-info-update", { apisCount: 3 }, MANAGED), "cacheInfo "],
    [keyOf("constructor", "create", {}, MANAGED), "nothing "],
    [keyOf("application", "status-update", { ...named, status: [1] }, MANAGED), "nothing "],
    [keyOf("application", "create", { ...named, spec: "x" }, AUTONOMOUS), "nothing "],
    [keyOf("application", "create", { ...named, x: "x".repeat(4 << 20) }, AUTONOMOUS), "nothing "],
  ];
  for (const [got, wanted] of cases) assertEquals(got, wanted);
});

Deno.test("writes: status, operation and refresh end by the agent's word only when it had them (30)", () => {
  const refresh = { "argocd.argoproj.io/refresh": "normal" };
  const here = application("edge-1", "a", { operation: { sync: {} }, status: { old: true } });
  here.metadata.annotations = { ...here.metadata.annotations, ...refresh };
  const report = application("edge-1", "a", { status: { now: true }, spec: { project: "forged" } });
  const early = withStatus(here, report, { operation: false, refresh: false });
  assertEquals([early["operation"], early["status"], early["spec"]], [
    { sync: {} },
    { now: true },
    here["spec"],
  ]);
  assertEquals(early.metadata.annotations?.["argocd.argoproj.io/refresh"], "normal");
  const late = withStatus(here, report, { operation: true, refresh: true });
  assertEquals([late["operation"], late.metadata.annotations?.["argocd.argoproj.io/refresh"]], [
    undefined,
    undefined,
  ]);
  const failed = withFailure(withFailure(here, "edge-1", "first", "t1"), "edge-1", "second", "t2");
  assertEquals(failed["status"], {
    old: true,
    health: { status: "Degraded" },
    conditions: [{
      type: "AgentError",
      message: "Error occurred on cluster managed by agent edge-1: second",
      lastTransitionTime: "t2",
    }],
  });
});

Deno.test("adopted() keeps an autonomous agent's Application in its namespace, project and cluster", () => {
  const placement = { agent: "auto-1", cluster: "site", principalNamespace: "argocd", now: "t" };
  const theirs = application("argocd", "a", {
    spec: { project: "p", destination: { server: "s", namespace: "n" } },
    status: {
      resources: [{ kind: "Application", group: "argoproj.io", namespace: "argocd" }, { kind: "Pod" }],
    },
    operation: { sync: {} },
  });
  theirs.metadata = {
    name: "a",
    namespace: "argocd",
    uid: "theirs",
    resourceVersion: "9",
    ownerReferences: [],
  };
  const made = adopted(theirs, undefined, placement, { operation: false, refresh: false });
  assertEquals(made, {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "Application",
    metadata: {
      name: "a",
      namespace: "auto-1",
      annotations: {
        "argocd.argoproj.io/source-uid": "theirs",
        "argocd-agent.argoproj-labs.io/ha-owner": "auto-1",
        "argocd-agent.argoproj-labs.io/last-updated": "t",
      },
    },
    spec: { project: "auto-1-p", destination: { namespace: "n", name: "site" } },
    status: {
      resources: [{ kind: "Application", group: "argoproj.io", namespace: "auto-1" }, { kind: "Pod" }],
    },
  });
  const asked = { ...made, operation: { sync: { revision: "here" } } };
  const kept = adopted({ ...theirs, operation: undefined }, asked, placement, {
    operation: false,
    refresh: false,
  });
  assertEquals(
    kept["operation"],
    { sync: { revision: "here" } },
    "what was asked for here and is not there yet",
  );
});
