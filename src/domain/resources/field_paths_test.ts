import { assertEquals } from "@std/assert";
import { fieldsOf, type Schema, unknownPart } from "./field_paths.ts";

Deno.test("fieldsOf() names the innermost fields, of lists and maps alike, and nothing beneath free-form ones", () => {
  const object = {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "Application",
    metadata: { name: "a" },
    spec: {
      project: "p",
      sources: [{ path: "a" }, {
        path: "b",
        helm: { valuesObject: { any: { thing: 1 } }, parameters: [{ name: "x" }] },
      }],
      syncPolicy: { automated: {}, managedNamespaceMetadata: { labels: { "a.b/c": "d", plain: "e" } } },
      info: [],
    },
  };
  assertEquals([...new Set(fieldsOf(object))], [
    "Application spec.project",
    "Application spec.sources[].path",
    "Application spec.sources[].helm.valuesObject",
    "Application spec.sources[].helm.parameters[].name",
    "Application spec.syncPolicy.automated",
    "Application spec.syncPolicy.managedNamespaceMetadata.labels.*",
    "Application spec.syncPolicy.managedNamespaceMetadata.labels.plain",
    "Application spec.info",
  ]);
  assertEquals(fieldsOf({ ...object, apiVersion: "v1" }), []);
});

Deno.test("unknownPart() names the outermost part that an API server would drop", () => {
  const text: Schema = { type: "string" };
  const schema: Schema = {
    type: "object",
    properties: {
      spec: {
        type: "object",
        properties: {
          project: text,
          list: { type: "array", items: { type: "object", properties: { name: text } } },
          labels: { type: "object", additionalProperties: text },
          maps: { type: "object", additionalProperties: { type: "object", properties: { a: text } } },
          anything: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
          either: {},
          closed: { type: "object" },
        },
      },
    },
  };
  const cases: [string, string][] = [
    ["spec.project", ""],
    ["spec.info[].name", "spec.info"],
    ["spec.list[].name", ""],
    ["spec.list[].value.x", "spec.list[].value"],
    ["spec.labels.*", ""],
    ["spec.maps.x.b", "spec.maps.x.b"],
    ["spec.anything.goes[].here", ""],
    ["spec.either.x", ""],
    ["spec.closed.x", "spec.closed.x"],
    ["spec.project.x", ""],
    ["status", "status"],
  ];
  for (const [path, unknown] of cases) assertEquals(unknownPart(schema, path), unknown, path);
  assertEquals(unknownPart({}, "spec.x"), "");
});
