import { assertEquals } from "@std/assert";
// @ts-types="../../../proto/gen.d.ts"
import { io, replicationapi } from "../../../proto/gen.js";
import { kindNamed } from "../resources/kinds.ts";
import { decodeEvent, encodeEvent } from "./cloudevent.ts";
import { fromReplicatedEvent, toReplicatedEvent } from "./replicated.ts";

const CloudEvent = io.cloudevents.v1.CloudEvent;
const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

Deno.test("encodeEvent() writes what the peer's decoder needs: dataschema as URI, empty binary_data, no id", () => {
  const wire = encodeEvent({
    type: "processed",
    target: "eventProcessed",
    extensions: { resourceid: "r", eventid: "e" },
  });
  const bytes = CloudEvent.encode(wire).finish();
  const back = CloudEvent.decode(bytes);
  assertEquals(back.attributes?.["dataschema"]?.ce_uri, "eventProcessed");
  assertEquals(back.attributes?.["eventid"]?.ce_string, "e");
  assertEquals([back.id, back.source, back.spec_version], ["", "", "1.0"]);
  assertEquals(back.binary_data?.length, 0);
  assertEquals([...bytes.slice(-2)], [0x32, 0], "the data oneof is set although it is empty");
});

Deno.test("encodeEvent() leaves the method of a request bare, and prefixes everything else", () => {
  const cases: [type: string, target: string, wire: string][] = [
    ["GET", "resource", "GET"],
    ["DELETE", "resource", "DELETE"],
    ["GET", "containerlog", "GET"],
    ["response", "resource", "io.argoproj.argocd-agent.event.response"],
    ["redis-request", "redis", "io.argoproj.argocd-agent.event.redis-request"],
    ["terminal-request", "terminal", "io.argoproj.argocd-agent.event.terminal-request"],
    ["GET", "application", "io.argoproj.argocd-agent.event.GET"],
  ];
  for (const [type, target, wire] of cases) {
    const encoded = encodeEvent({ type, target, extensions: {} });
    assertEquals(encoded.type, wire, `${target} ${type}`);
    const decoded = decodeEvent(encoded);
    assertEquals("type" in decoded && decoded.type, type, `${target} ${type}, read`);
  }
});

Deno.test("decodeEvent() reads every form the peer reads, and names what it does not", () => {
  const event = encodeEvent({
    type: "create",
    target: "application",
    subject: "ns/a",
    extensions: { sentat: "now" },
    payload: new TextEncoder().encode("{}"),
  });
  assertEquals(decodeEvent(event), {
    type: "create",
    target: "application",
    subject: "ns/a",
    extensions: { sentat: "now" },
    payload: new TextEncoder().encode("{}"),
  });
  const fromText = decodeEvent({ ...event, binary_data: new Uint8Array(), text_data: "[]" });
  assertEquals("payload" in fromText && text(fromText.payload), "[]");
  assertEquals(decodeEvent(undefined), { problem: "the message carries no event" });
  assertEquals(decodeEvent({ type: "GET", attributes: { x: {} } }), {
    problem: 'attribute "x" has no value',
  });
  const asString = decodeEvent({ type: "x", attributes: { dataschema: { ce_string: "application" } } });
  assertEquals(
    "target" in asString && asString.target,
    "",
    "a string dataschema is no target, as in the peer",
  );
  const xml = decodeEvent({ type: "x", attributes: { datacontenttype: { ce_string: "text/xml" } } });
  assertEquals(xml, { problem: 'content type "text/xml" is not JSON' });
});

Deno.test("a change survives the way through the peer's event", () => {
  const kind = kindNamed("Application");
  if (!kind) throw new Error("no such kind");
  const object = {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "Application",
    metadata: { name: "a", namespace: "edge-1", annotations: { "argocd.argoproj.io/source-uid": "u" } },
    spec: { project: "p" },
  };
  const base = { kind, namespace: "edge-1", name: "a", agent: "edge-1", state: "d1" };
  const event = toReplicatedEvent({ ...base, object }, 7, 5_000);
  const wire = replicationapi.ReplicatedEvent.decode(
    replicationapi.ReplicatedEvent.encode(event ?? {}).finish(),
  );
  assertEquals([wire.direction, wire.agent_name, wire.sequence_num, wire.processed_at_unix], [
    "outbound",
    "edge-1",
    7,
    5,
  ]);
  const incoming = fromReplicatedEvent(wire, "argocd");
  assertEquals(incoming, {
    key: "Application/edge-1/a",
    object: { ...object, metadata: { ...object.metadata, uid: "u" } },
  });
  const gone = toReplicatedEvent(base, 8, 0);
  assertEquals(fromReplicatedEvent(gone ?? {}, "argocd"), { key: "Application/edge-1/a" });
  const blocklist = kindNamed("Blocklist");
  assertEquals(blocklist && toReplicatedEvent({ ...base, kind: blocklist }, 9, 0), undefined);
});

Deno.test("fromReplicatedEvent() skips raw agent events and unknown targets, and completes what Go leaves out", () => {
  const event = (target: string, type: string, payload: unknown) =>
    encodeEvent({ type, target, extensions: {}, payload: new TextEncoder().encode(JSON.stringify(payload)) });
  const project = { metadata: { name: "default", namespace: "elsewhere" } };
  const read = (direction: string, wire: ReturnType<typeof event>) =>
    fromReplicatedEvent({ direction, event: wire }, "argocd");
  assertEquals(read("inbound", event("application", "delete", project)), { skip: 'direction "inbound"' });
  assertEquals(read("outbound", event("gpgkey", "create", project)), { skip: 'target "gpgkey"' });
  assertEquals(read("outbound", event("application", "set-operation", project)), {
    skip: 'type "set-operation"',
  });
  assertEquals(read("outbound", event("appproject", "spec-update", project)), {
    key: "AppProject/argocd/default",
    object: {
      apiVersion: "argoproj.io/v1alpha1",
      kind: "AppProject",
      metadata: { name: "default", namespace: "argocd" },
    },
  });
  const bad: [unknown, string][] = [
    [[], "the payload is not a Kubernetes object"],
    [{ metadata: { name: "../x", namespace: "ns" } }, "the payload's namespace or name is malformed"],
  ];
  for (const [payload, problem] of bad) {
    assertEquals(read("outbound", event("application", "create", payload)), { problem });
  }
});
