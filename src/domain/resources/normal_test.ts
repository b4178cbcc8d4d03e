import { assertEquals, assertThrows } from "@std/assert";
import { parseJson } from "../../base/json.ts";
import { normalForm } from "./normal.ts";
import type { ApiObject } from "./object.ts";

const application = (fields: string): ApiObject =>
  parseJson(
    `{"apiVersion":"argoproj.io/v1alpha1","kind":"Application","metadata":{"name":"a","namespace":"n"}${fields}}`,
  ) as ApiObject;
const core = (kind: string, fields: Record<string, unknown>): ApiObject => ({
  apiVersion: "v1",
  kind,
  metadata: { name: "a", namespace: "n" },
  ...fields,
});

Deno.test("normalForm() makes equal what an API server keeps alike, and nothing else", () => {
  const equal: [ApiObject, ApiObject][] = [
    [application(`,"status":{}`), application("")],
    [application(`,"status":null,"operation":null`), application("")],
    [
      application(`,"spec":{"info":null,"sources":[{"path":null,"ref":"a"}]}`),
      application(`,"spec":{"sources":[{"ref":"a"}]}`),
    ],
    [core("Secret", { data: {} }), core("Secret", { type: "Opaque" })],
    [
      core("Secret", { stringData: { a: "ü" }, data: { a: "eA==", b: "eQ==" } }),
      core("Secret", { data: { a: "w7w=", b: "eQ==" } }),
    ],
    [
      core("Secret", { data: { a: "eHh4\neHh4\n", b: null } }),
      core("Secret", { data: { a: "eHh4eHh4", b: "" } }),
    ],
    [core("ConfigMap", { data: null, binaryData: {}, immutable: null }), core("ConfigMap", {})],
  ];
  for (const [a, b] of equal) assertEquals(normalForm(a), normalForm(b), JSON.stringify(a));
  const different: [ApiObject, ApiObject][] = [
    [application(`,"operation":{}`), application("")],
    [application(`,"spec":{}`), application("")],
    [application(`,"spec":{"syncPolicy":{}}`), application(`,"spec":{}`)],
    [
      application(`,"spec":{"helm":{"valuesObject":{"a":null}}}`),
      application(`,"spec":{"helm":{"valuesObject":{}}}`),
    ],
    [application(`,"spec":{"elements":[{"a":null}]}`), application(`,"spec":{"elements":[{}]}`)],
    [core("ConfigMap", { immutable: false }), core("ConfigMap", {})],
    [core("Secret", { type: "x" }), core("Secret", {})],
  ];
  for (const [a, b] of different) {
    assertEquals(JSON.stringify(normalForm(a)) === JSON.stringify(normalForm(b)), false, JSON.stringify(a));
  }
});

Deno.test("normalForm() has the metadata that a client may set, where there is any", () => {
  const object = application("");
  object.metadata = {
    ...object.metadata,
    uid: "u",
    resourceVersion: "1",
    creationTimestamp: "2026-01-01T00:00:00Z",
    managedFields: [{}],
    generateName: "a-",
    unknown: 1,
    labels: {},
    annotations: { a: "b" },
    finalizers: [],
    ownerReferences: [
      { apiVersion: "v1", kind: "K", name: "o", uid: "u", controller: true, unknown: 1 } as never,
    ],
  };
  assertEquals(normalForm(object).metadata, {
    name: "a",
    namespace: "n",
    annotations: { a: "b" },
    ownerReferences: [{ apiVersion: "v1", kind: "K", name: "o", uid: "u", controller: true }],
  });
});

Deno.test("normalForm() copies only what changes, and is its own normal form", () => {
  const object = application(`,"spec":{"a":[{"b":null}],"same":{"id":1098765432109876543}}`);
  const normal = normalForm(object);
  const same = ({ spec }: ApiObject) => (spec as Record<string, unknown>)["same"];
  assertEquals(same(normal) === same(object), true);
  assertEquals(normalForm(normal), normal);
  assertEquals(JSON.stringify(object["spec"]), '{"a":[{"b":null}],"same":{"id":1098765432109876543}}');
  let deep: unknown = null;
  for (let level = 0; level < 2_000; level++) deep = { deep };
  assertThrows(() => normalForm({ ...object, spec: deep }), "nested deeper");
});
