import { assertEquals } from "@std/assert";
import { answerOf, coreVersions, namedGroups } from "./answer.ts";
import { parseTarget, type ResourcePath } from "./path.ts";
import { isMethod, type Method, payloadOf, refusal } from "./request.ts";
import { failure } from "./status.ts";
import { versionAnswer } from "./version.ts";

const encoder = new TextEncoder();
const parts = (some: Partial<ResourcePath> = {}): ResourcePath => ({
  group: "",
  version: "",
  namespace: "",
  resource: "",
  name: "",
  subresource: "",
  ...some,
});

/** A request that is known to have a path. */
function request(method: Method, url: string, contentType = "") {
  const target = parseTarget(url);
  if (!target) throw new Error(`${url} has no path`);
  return { method, target, contentType };
}

const message = (body: string) => (JSON.parse(body) as { message: string }).message;

Deno.test("parseTarget() takes apart the paths of the Kubernetes API", () => {
  const v1 = { version: "v1" };
  const apps = { group: "apps", version: "v1" };
  const cases: [url: string, some: Partial<ResourcePath>][] = [
    ["/api", {}],
    ["/apis", {}],
    ["/apis/", {}],
    ["/api/v1", v1],
    ["/apis/apps/v1", apps],
    ["/apis/apps/v1/", apps],
    ["/api/v1/namespaces", { ...v1, resource: "namespaces" }],
    ["/api/v1/namespaces/foo", { ...v1, resource: "namespaces", name: "foo" }],
    ["/api/v1/namespaces/foo/pods", { ...v1, namespace: "foo", resource: "pods" }],
    ["/api/v1/namespaces/foo/pods/p", { ...v1, namespace: "foo", resource: "pods", name: "p" }],
    ["/api/v1/namespaces/foo/pods/p/log", {
      ...v1,
      namespace: "foo",
      resource: "pods",
      name: "p",
      subresource: "log",
    }],
    ["/apis/apps/v1/deployments", { ...apps, resource: "deployments" }],
    ["/apis/x.io/v1alpha1/clusterthings/a/status", {
      group: "x.io",
      version: "v1alpha1",
      resource: "clusterthings",
      name: "a",
      subresource: "status",
    }],
    ["/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode", {
      group: "rbac.authorization.k8s.io",
      version: "v1",
      resource: "clusterroles",
      name: "system:node",
    }],
  ];
  for (const [url, some] of cases) assertEquals(parseTarget(url)?.parts, parts(some), url);
});

Deno.test("parseTarget() refuses every other path, and segments that could mean another place", () => {
  for (
    const url of [
      "",
      "/",
      "/apis/apps",
      "/openapi/v2",
      "/healthz",
      "/version",
      "/apis/apps/v1/namespaces/a/pods/p/log/more",
      "/api//v1",
      "/api/v1//pods",
      "/api/v1/namespaces/../pods/p",
      "/api/v1/namespaces/%2e%2e/pods/p",
      "/api/v1/namespaces/a%2Fsecrets/pods/p",
      "/api/v1/namespaces/a%5cb/pods/p",
      "/api/v1/namespaces/a%00/pods/p",
      "/api/v1/namespaces/%zz/pods/p",
      "/api/1",
      "http://elsewhere/api",
      `/api/v1/pods/${"x".repeat(20_000)}`,
    ]
  ) assertEquals(parseTarget(url), undefined, url);
});

Deno.test("parseTarget() keeps the first value of each parameter, whatever it is called", () => {
  const target = parseTarget("/api/v1/events?limit=5&limit=6&fieldSelector=a%3Db&constructor=c&empty");
  assertEquals(Object.entries(target?.params ?? {}), [
    ["limit", "5"],
    ["fieldSelector", "a=b"],
    ["constructor", "c"],
    ["empty", ""],
  ]);
  const many = Array.from({ length: 100 }, (_, n) => `p${n}=`).join("&");
  assertEquals(parseTarget(`/api?${many}`), undefined);
});

Deno.test("refusal() refuses what agents would carry out as something else", () => {
  const deployment = "/apis/apps/v1/namespaces/shop/deployments/web";
  const cases: [Method, string, string, number | undefined][] = [
    ["GET", deployment, "", undefined],
    ["GET", `${deployment}?watch=false`, "", undefined],
    ["GET", `${deployment}?watch=true`, "", 405],
    ["GET", "/api/v1/namespaces/shop/events?watch", "", 405],
    ["PATCH", deployment, "application/merge-patch+json", undefined],
    ["PATCH", deployment, "application/json-patch+json", 415],
    ["PATCH", deployment, "application/strategic-merge-patch+json", 415],
    ["PATCH", deployment, "application/apply-patch+yaml", 415],
    ["PATCH", deployment, "", 415],
    ["PATCH", `${deployment}/status`, "application/json-patch+json", undefined],
    ["PATCH", `${deployment}/status`, "application/strategic-merge-patch+json", undefined],
    ["PATCH", `${deployment}/status`, "application/apply-patch+yaml", 415],
    ["POST", "/apis/apps/v1/namespaces/shop/deployments", "application/json", undefined],
    ["POST", "/api/v1/namespaces/shop/configmaps", "application/vnd.kubernetes.protobuf", 415],
    ["DELETE", deployment, "application/vnd.kubernetes.protobuf", 415],
    ["DELETE", deployment, "application/json", undefined],
    ["POST", "/apis/apps/v1", "application/json", 405],
    ["DELETE", deployment, "", undefined],
    ["DELETE", "/apis/apps/v1/namespaces/shop/deployments", "", 405],
  ];
  for (const [method, url, contentType, code] of cases) {
    const refused = refusal("edge-1", request(method, url, contentType));
    assertEquals(refused?.status, code, `${method} ${url} ${contentType}`);
    if (refused) {
      const path = url.replace(/\?.*/, "");
      assertEquals(message(refused.body).startsWith(`cannot ${method} ${path} at agent "edge-1": `), true);
    }
  }
  assertEquals(["GET", "PUT", "HEAD", "OPTIONS", "CONNECT", "get"].filter(isMethod), ["GET"]);
});

Deno.test("payloadOf() has the fields that an agent decides by, and those that are not empty", () => {
  const read = request("GET", "/api/v1/namespaces/shop/events?fieldSelector=a%3Db");
  assertEquals(JSON.parse(payloadOf("u", read, new Uint8Array())), {
    uuid: "u",
    namespace: "shop",
    name: "",
    method: "GET",
    params: { fieldSelector: "a=b" },
    group: "",
    version: "v1",
    resource: "events",
  });
  const patch = request(
    "PATCH",
    "/apis/apps/v1/namespaces/s/deployments/w/scale",
    "application/json-patch+json",
  );
  assertEquals(JSON.parse(payloadOf("u", patch, encoder.encode("[]"))), {
    uuid: "u",
    namespace: "s",
    name: "w",
    subresource: "scale",
    method: "PATCH",
    body: btoa("[]"),
    params: { "content-type": "application/json-patch+json" },
    group: "apps",
    version: "v1",
    resource: "deployments",
  });
  const removal = request("DELETE", "/api/v1/namespaces/s/pods/p");
  const { body } = JSON.parse(payloadOf("u", removal, new Uint8Array())) as { body: string };
  assertEquals(atob(body), "{}", "an agent takes no deletion without options");
});

Deno.test("answerOf() passes on what an agent answers, and refuses what is no answer", () => {
  const get = request("GET", "/apis/apps/v1/namespaces/shop/deployments/web");
  const list = request("GET", "/api/v1/namespaces/shop/pods");
  const answer = (value: unknown, of = get) =>
    answerOf("edge-1", of, "u", {
      payload: encoder.encode(typeof value === "string" ? value : JSON.stringify(value)),
    });
  assertEquals(answer({ uuid: "u", status: 200, resource: '{"n":1.10}' }), {
    status: 200,
    body: '{"n":1.10}',
  });
  assertEquals(answer({ uuid: "u", status: 200 }), { status: 200, body: "" });
  const removed = answer({ uuid: "u", status: 200 }, request("DELETE", "/api/v1/namespaces/shop/pods/p"));
  assertEquals(JSON.parse(removed.body).status, "Success");
  const missing = answer({ uuid: "u", status: 404 });
  assertEquals([missing.status, JSON.parse(missing.body)], [404, {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message:
      'GET /apis/apps/v1/namespaces/shop/deployments/web at agent "edge-1" failed: its cluster has no such resource',
    reason: "NotFound",
    details: { name: "web", group: "apps", kind: "deployments" },
    code: 404,
  }]);
  assertEquals(
    message(answer({ uuid: "u", status: 500 }, list).body),
    'GET /api/v1/namespaces/shop/pods at agent "edge-1" failed: agents list nothing but events',
  );
  for (
    const nonsense of [
      "",
      "[]",
      "{",
      { uuid: "another", status: 200 },
      { uuid: "u" },
      { uuid: "u", status: 0 },
      { uuid: "u", status: 100 },
      { uuid: "u", status: 204 },
      { uuid: "u", status: 600 },
      { uuid: "u", status: 200.5 },
      { uuid: "u", status: "200" },
    ]
  ) assertEquals(answer(nonsense).status, 502, JSON.stringify(nonsense));
  assertEquals(answerOf("edge-1", get, "u", {}).status, 502);
  assertEquals(answerOf("edge-1", get, "u", { payload: new Uint8Array([0xff]) }).status, 502);
  const cut = answerOf("edge-1", get, "u", { cutBytes: 70_000_000 });
  assertEquals([cut.status, message(cut.body).includes("70000000 bytes")], [502, true]);
});

Deno.test("coreVersions() and namedGroups() divide an agent's one list as an API server does", () => {
  const versions = [{ groupVersion: "v1", version: "v1" }];
  const apps = { name: "apps", versions: [{ groupVersion: "apps/v1", version: "v1" }] };
  const body = JSON.stringify({
    kind: "APIGroupList",
    apiVersion: "v1",
    groups: [{ name: "", versions }, apps],
  });
  const list = { status: 200, body };
  assertEquals(JSON.parse(coreVersions(list).body), {
    kind: "APIVersions",
    versions: ["v1"],
    serverAddressByClientCIDRs: [],
  });
  assertEquals(JSON.parse(namedGroups(list).body), {
    kind: "APIGroupList",
    apiVersion: "v1",
    groups: [apps],
  });
  const failed = failure(500, "no");
  assertEquals([coreVersions(failed), namedGroups(failed)], [failed, failed]);
  const strange = { status: 200, body: "[]" };
  assertEquals([coreVersions(strange), namedGroups(strange)], [strange, strange]);
});

Deno.test("versionAnswer() tells what is said of the cluster, and of others what the Go principal says", () => {
  const cases: [given: string | undefined, gitVersion: string, minor: string][] = [
    [undefined, "v1.28.5+argocd-agent", "28"],
    ["1.33.2", "v1.33.2", "33"],
    ["v1.31.0-eks-a1b2", "v1.31.0-eks-a1b2", "31"],
    ["latest", "v1.28.5+argocd-agent", "28"],
    ['1.33.2"}', "v1.28.5+argocd-agent", "28"],
  ];
  for (const [given, gitVersion, minor] of cases) {
    const version = JSON.parse(versionAnswer(given)) as Record<string, string>;
    assertEquals([version["gitVersion"], version["minor"]], [gitVersion, minor], given);
  }
});
