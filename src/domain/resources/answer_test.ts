import { assertEquals, assertStringIncludes } from "@std/assert";
import { alteration } from "./answer.ts";
import { mustReplace } from "./immutable.ts";
import { KINDS } from "./kinds.ts";
import type { ApiObject } from "./object.ts";
import { replicatedForm } from "./transform.ts";

const kindNamed = (name: string) => KINDS.find((kind) => kind.name === name)!;
const APPLICATION = kindNamed("Application");
const REPOSITORY = kindNamed("Repository");

const application = (spec: Record<string, unknown>, metadata = {}): ApiObject => ({
  apiVersion: "argoproj.io/v1alpha1",
  kind: "Application",
  metadata: { name: "a", namespace: "edge-1", ...metadata },
  spec,
});
const secret = (fields: Record<string, unknown>): ApiObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "s", namespace: "argocd" },
  ...fields,
});

Deno.test("alteration() names what came out otherwise, and the likely cause", () => {
  const wanted = application({ project: "p", info: [{ name: "a", value: "b" }] });
  const said = (answer: ApiObject) => alteration(replicatedForm(wanted, APPLICATION), answer, APPLICATION);
  assertEquals(
    said({ ...wanted, metadata: { ...wanted.metadata, uid: "copy", resourceVersion: "7" }, status: {} }),
    "",
  );
  assertStringIncludes(
    said(application({ project: "p" })),
    "it drops spec.info (its CustomResourceDefinition does not know",
  );
  assertStringIncludes(
    said({ ...wanted, spec: { ...wanted["spec"] as object, x: 1 } }),
    "it adds spec.x (a default of its CustomResourceDefinition",
  );
  assertStringIncludes(
    said({ ...wanted, metadata: { ...wanted.metadata, labels: { "a/b": "c" } } }),
    "it adds metadata.labels",
  );
  assertStringIncludes(
    said(application({ project: "q", info: [{ name: "a" }] })),
    "it drops spec.info[0].value (its CustomResourceDefinition does not know the field, or an admission webhook removes it); " +
      "it changes spec.project (an admission webhook)",
  );
});

Deno.test("alteration() names no value, and not every path", () => {
  const data = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`k${n}`, btoa(`hidden ${n}`)]));
  const said = alteration(
    replicatedForm(secret({ data }), REPOSITORY),
    secret({ data: { k0: btoa("other") } }),
    REPOSITORY,
  );
  assertStringIncludes(
    said,
    "it drops data.k1, data.k2, data.k3 and 5 more (an admission webhook removes it)",
  );
  assertStringIncludes(said, "it changes data.k0 (an admission webhook)");
  for (const value of Object.values(data)) assertEquals(said.includes(value), false);
});

Deno.test("mustReplace() tells what an API server would refuse to change in place", () => {
  const map = (fields: Record<string, unknown>): ApiObject => ({ ...secret(fields), kind: "ConfigMap" });
  const cases: [ApiObject, ApiObject, boolean][] = [
    [secret({ type: "a" }), secret({ type: "b" }), true],
    [secret({}), secret({ type: "Opaque" }), false],
    [secret({ data: { a: "eA==" } }), secret({ data: { a: "eQ==" } }), false],
    [
      secret({ data: { a: "eA==" }, immutable: true }),
      secret({ data: { a: "eQ==" }, immutable: true }),
      true,
    ],
    [
      secret({ data: { a: "eA==" }, immutable: true }),
      secret({ stringData: { a: "x" }, immutable: true }),
      false,
    ],
    [secret({ immutable: true }), secret({}), true],
    [secret({ immutable: false }), secret({ immutable: true }), false],
    [map({ immutable: true, binaryData: { a: "eA==" } }), map({ immutable: true }), true],
    [application({ immutable: true }), application({}), false],
  ];
  for (const [from, to, replaced] of cases) {
    assertEquals(mustReplace(from, to), replaced, JSON.stringify([from, to]));
  }
});
