import { assertEquals } from "@std/assert";
import { fieldDifferences, shownForm } from "./fields.ts";
import type { ApiObject } from "./object.ts";
import { LAST_APPLIED } from "./transform.ts";

const object = (rest: Record<string, unknown>, labels = {}): ApiObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "a", namespace: "argocd", labels },
  ...rest,
});

Deno.test("fieldDifferences() names paths as kubectl does, and both values", () => {
  const here = object({ spec: { sources: [{ path: "a" }], gone: 1, same: [1, 2] } }, { "a.b/c": "1" });
  const peer = object({ spec: { sources: [{ path: "b" }], same: [1, 2], "new": { x: null } } }, {
    "a.b/c": "2",
  });
  assertEquals(fieldDifferences(here, peer).sort((a, b) => a.path < b.path ? -1 : 1), [
    { path: 'metadata.labels["a.b/c"]', here: '"1"', peer: '"2"' },
    { path: "spec.gone", here: "1", peer: "" },
    { path: "spec.new", here: "", peer: '{"x":null}' },
    { path: "spec.sources[0].path", here: '"a"', peer: '"b"' },
  ]);
  assertEquals(fieldDifferences(here, here), []);
});

Deno.test("fieldDifferences() is bounded in number and length", () => {
  const many = (value: string) =>
    object({ data: Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`k${n}`, value])) });
  const found = fieldDifferences(many("a".repeat(1_000)), many("b"));
  assertEquals(found.length, 100);
  assertEquals(found.every(({ here }) => here.length <= 201), true);
});

Deno.test("shownForm() shows no value of a Secret, and changes nothing else", () => {
  const secret: ApiObject = { ...object({ data: { a: "eA==" }, stringData: { b: "y" } }), kind: "Secret" };
  const shown = shownForm(secret, (value) => `<${value.length}>`);
  assertEquals(shown["data"], { a: "<6>" });
  assertEquals(shown["stringData"], { b: "<3>" });
  assertEquals(secret["data"], { a: "eA==" });
  const annotations = { [LAST_APPLIED]: '{"data":{"a":"eA=="}}', other: "shown" };
  const applied = shownForm({ ...secret, metadata: { ...secret.metadata, annotations } }, () => "x");
  assertEquals(applied.metadata.annotations, { [LAST_APPLIED]: "x", other: "shown" });
  assertEquals(shownForm(object({ data: { a: "x" } }), () => ""), object({ data: { a: "x" } }));
});
