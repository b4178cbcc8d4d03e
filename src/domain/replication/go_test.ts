/** The peer's contract in both roles, ours against ours, without a network. */
import { assert, assertEquals } from "@std/assert";
import { ChangeIndex } from "../changes/index.ts";
import type { IncomingChange } from "./applier.ts";
import { GoFollowerProtocol } from "./go_follower.ts";
import { confirm, GoLeaderProtocol, MAX_SNAPSHOT_BYTES, snapshotOf } from "./go_leader.ts";
import { encodeEvent } from "../events/cloudevent.ts";
import { wholeScope } from "../resources/scope.ts";

const SCOPE = wholeScope("argocd");

const object = (kind: string, namespace: string, name: string, more: Record<string, unknown> = {}) => ({
  apiVersion: "argoproj.io/v1alpha1",
  kind,
  metadata: { name, namespace, annotations: { "argocd.argoproj.io/source-uid": `uid-${name}` } },
  ...more,
});

function put(
  index: ChangeIndex,
  kind: string,
  namespace: string,
  name: string,
  more: Record<string, unknown> = {},
): void {
  const payload = JSON.stringify(object(kind, namespace, name, more));
  const digest = payload.length.toString(16).padStart(16, "0") + index.head.toString(16).padStart(16, "0");
  index.put(`${kind}/${namespace}/${name}`, { payload, digest, version: "1", now: 0 });
}

const encoded = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

function drain(follower: GoFollowerProtocol): IncomingChange[] {
  const taken = follower.applier.take(100_000, 0);
  for (const change of taken) follower.applier.succeeded(change);
  return taken;
}

Deno.test("a replica of the peer gets a snapshot, then, after its first acknowledgement, contiguous numbers", () => {
  const index = new ChangeIndex("a");
  put(index, "Application", "edge-1", "one");
  put(index, "ApplicationSet", "argocd", "set");
  const stream = new GoLeaderProtocol(index, SCOPE);
  const snapshot = stream.snapshot();
  assertEquals(snapshot.agents?.map(({ name, resources }) => [name, resources?.[0]?.uid]), [[
    "edge-1",
    "uid-one",
  ]]);
  assertEquals(snapshot.principal_resources?.map((resource) => resource.kind), ["ApplicationSet"]);
  assertEquals(snapshot.last_sequence_num, 0);
  put(index, "Application", "edge-1", "two");
  put(index, "ConfigMap", "argocd", "argocd-gpg-keys-cm");
  index.remove("Application/edge-1/one", "", 0);
  assertEquals(stream.next(0), undefined, "nothing before the first acknowledgement");
  stream.ack(0);
  const events = [stream.next(0), stream.next(0), stream.next(0)];
  assertEquals(events.map((event) => event?.sequence_num), [1, 2, undefined]);
  assertEquals(events.map((event) => event?.event?.type?.split(".").at(-1)), [
    "spec-update",
    "delete",
    undefined,
  ]);
  assertEquals(stream.sent, 2);
  assert(stream.appliedRevision < index.head);
  stream.ack(2);
  assertEquals(stream.appliedRevision, index.head);
});

Deno.test("a snapshot stays under the peer's 4 MiB; what does not fit follows as events", () => {
  const index = new ChangeIndex("a");
  const filler = "x".repeat(8_000);
  for (let n = 0; n < 600; n++) put(index, "Application", "edge-1", `app-${n}`, { spec: { filler } });
  const stream = new GoLeaderProtocol(index, SCOPE);
  const snapshot = stream.snapshot();
  const bytes = JSON.stringify(snapshot.agents?.flatMap((a) => a.resources?.map((r) => r.data?.length ?? 0)));
  const total = (JSON.parse(bytes) as number[]).reduce((sum, n) => sum + n, 0);
  assert(total < MAX_SNAPSHOT_BYTES);
  assertEquals(
    snapshot.agents?.[0]?.resources?.length,
    600,
    "every resource is named, so none counts as missing",
  );
  stream.ack(0);
  const withData = snapshot.agents?.[0]?.resources?.filter((resource) => resource.data?.length).length ?? 0;
  let events = 0;
  while (stream.next(0)) stream.ack(++events);
  assertEquals(withData + events, 600);
});

Deno.test("confirm() says deleted only of what neither index nor store has, and unknown of what it does not know", async () => {
  const index = new ChangeIndex("a");
  put(index, "Application", "edge-1", "here");
  put(index, "Application", "edge-1", "deleted");
  index.remove("Application/edge-1/deleted", "", 0);
  const lookUp = (key: string) => {
    if (key.endsWith("/broken")) return Promise.reject(new Error("down"));
    if (key.endsWith("/late")) put(index, "Application", "edge-1", "late");
    return Promise.resolve();
  };
  const cases = [
    ["Application", "edge-1", "here", "exists"],
    ["Application", "edge-1", "late", "exists"],
    ["Application", "edge-1", "deleted", "deleted"],
    ["Application", "edge-1", "gone", "deleted"],
    ["Application", "edge-1", "broken", "unknown"],
    ["Pod", "edge-1", "x", "unknown"],
    ["Application", "../x", "gone", "unknown"],
  ] as const;
  for (const [kind, namespace, name, expected] of cases) {
    const { status } = await confirm(index, SCOPE, { kind, namespace, name }, lookUp);
    assertEquals(status, expected, `${kind} ${namespace}/${name}`);
  }
});

Deno.test("following the peer: snapshot, events, replays and gaps", () => {
  const leader = new ChangeIndex("a");
  put(leader, "Application", "edge-1", "one");
  const follower = new GoFollowerProtocol(new ChangeIndex("b"), SCOPE);
  follower.snapshot({ ...snapshotOf(leader, SCOPE).snapshot, last_sequence_num: 10 }, 0);
  assert(!follower.settle());
  assertEquals(drain(follower).map((change) => change.key), ["Application/edge-1/one"]);
  assert(follower.settle());
  assertEquals(follower.acknowledge, 10);
  const stream = new GoLeaderProtocol(leader, SCOPE);
  stream.snapshot();
  stream.ack(0);
  put(leader, "Application", "edge-1", "two");
  const event = stream.next(0) ?? {};
  follower.event({ ...event, sequence_num: 9 }, 0);
  assert(!follower.behind(9), "a replay is no gap");
  follower.event({ ...event, sequence_num: 12 }, 0);
  assert(follower.behind(12), "a gap asks for a snapshot");
  drain(follower);
  assertEquals(follower.acknowledge, 12);
});

Deno.test("a primary that has not proved to be active deletes nothing by confirmation", () => {
  const local = new ChangeIndex("b");
  put(local, "Application", "edge-1", "mine");
  const follower = new GoFollowerProtocol(local, SCOPE);
  const { candidates } = follower.snapshot({ agents: [{ name: "edge-1", resources: [] }] }, 0);
  const resources = candidates[0]?.resources ?? [];
  assertEquals(resources.map((resource) => resource.name), ["mine"]);
  const results = resources.map((resource) => ({ resource, status: "deleted" }));
  assertEquals(follower.confirmed(results, 0), 0);
  assertEquals(drain(follower), []);
  const leader = new ChangeIndex("a");
  const stream = new GoLeaderProtocol(leader, SCOPE);
  stream.ack(0);
  put(leader, "Application", "edge-1", "new");
  follower.event(stream.next(0) ?? {}, 0);
  assertEquals(follower.confirmed(results, 0), 1);
  assertEquals(drain(follower).map((change) => [change.key, change.object !== undefined]), [
    ["Application/edge-1/new", true],
    ["Application/edge-1/mine", false],
  ]);
});

Deno.test("a Go primary's pseudo-agents, data-less and malformed resources are tolerated", () => {
  const follower = new GoFollowerProtocol(new ChangeIndex("b"), SCOPE);
  const data = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  follower.snapshot({
    agents: [
      {
        name: "argocd",
        mode: "autonomous",
        resources: [{
          kind: "AppProject",
          name: "p",
          namespace: "x",
          uid: "u",
          data: data({ metadata: { name: "p" } }),
        }],
      },
      {
        name: "edge",
        mode: "unknown",
        resources: [{ kind: "GPGKey", name: "argocd-gpg-keys-cm" }, { kind: "Pod", name: "x" }, {
          kind: "Application",
          name: "..",
          namespace: "edge",
        }],
      },
    ],
  }, 0);
  assertEquals(drain(follower).map((change) => JSON.parse(change.object ?? "")), [
    {
      apiVersion: "argoproj.io/v1alpha1",
      kind: "AppProject",
      metadata: { name: "p", namespace: "argocd", uid: "u" },
    },
  ]);
});

Deno.test("what agents of a Go primary send raw becomes what it made of the primary's resources, and deletes nothing (23, 37)", () => {
  const local = new ChangeIndex("b");
  put(local, "Application", "edge-1", "a");
  put(local, "AppProject", "argocd", "default");
  const follower = new GoFollowerProtocol(local, SCOPE);
  follower.snapshot({}, 0);
  let sequence = 0;
  const inbound = (agent: string, type: string, target: string, payload: Record<string, unknown>) =>
    follower.event({
      agent_name: agent,
      direction: "inbound",
      sequence_num: ++sequence,
      event: encodeEvent({ type, target, extensions: {}, payload: encoded(payload) }),
    }, 0);
  const metadata = { name: "a", namespace: "argocd", uid: "agent's own" };
  const status = { health: { status: "Healthy" } };
  inbound("edge-1", "status-update", "application", { metadata, status, spec: { project: "forged" } });
  inbound("edge-1", "delete", "application", { metadata });
  inbound("edge-2", "status-update", "application", { metadata, status });
  inbound("auto-1", "create", "application", {
    metadata,
    spec: { project: "p", destination: { server: "s" } },
  });
  inbound("auto-1", "spec-update", "appproject", { metadata: { name: "default" }, spec: {} });
  inbound("auto-1", "delete", "appproject", { metadata: { name: "default" } });
  inbound("auto-1", "ping", "heartbeat", {});
  const changes = new Map(drain(follower).map(({ key, object }) => [key, object && JSON.parse(object)]));
  assertEquals([...changes.keys()].sort(), [
    "AppProject/argocd/auto-1-default",
    "Application/auto-1/a",
    "Application/edge-1/a",
  ]);
  const reported = changes.get("Application/edge-1/a");
  assertEquals([reported.status, reported.spec?.project], [status, undefined]);
  assertEquals(changes.get("Application/auto-1/a").spec, {
    project: "auto-1-p",
    destination: { name: "auto-1" },
  });
  assert(!follower.behind(sequence), "every number counts");
});
