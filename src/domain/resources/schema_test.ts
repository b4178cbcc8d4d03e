import { assertEquals } from "@std/assert";
import type { ApiObject } from "./object.ts";
import { schemaProblem } from "./schema.ts";

const SPEC = { project: "default", destination: {} };
const SET = {
  generators: [],
  template: { metadata: { name: "a" }, spec: SPEC },
};

const object = (kind: string, rest: Record<string, unknown>): ApiObject => ({
  apiVersion: "argoproj.io/v1alpha1",
  kind,
  metadata: { name: "a", namespace: "argocd" },
  ...rest,
});

const app = (rest: Record<string, unknown>) => object("Application", { spec: SPEC, ...rest });

const CASES: [ApiObject, string | undefined][] = [
  [app({}), undefined],
  [app({ status: {} }), undefined],
  [app({ spec: { ...SPEC, source: null } }), undefined],
  [app({ spec: { ...SPEC, field: { of: "another release" } } }), undefined],
  [object("Application", {}), "spec is missing"],
  [app({ spec: { project: "default" } }), "spec.destination is missing"],
  [app({ spec: { ...SPEC, source: { path: "a" } } }), "spec.source.repoURL is missing"],
  [app({ spec: { ...SPEC, sources: [{}] } }), "spec.sources[0].repoURL is missing"],
  [app({ spec: { ...SPEC, sources: [null] } }), "spec.sources[0] must be of type object"],
  [app({ operation: { retry: { limit: 1.5 } } }), "operation.retry.limit must be of type integer"],
  [
    app({
      operation: { sync: { source: { repoURL: "a", kustomize: { replicas: [{ name: "a", count: "1" }] } } } },
    }),
    undefined,
  ],
  [
    app({
      operation: { sync: { source: { repoURL: "a", kustomize: { replicas: [{ name: "a", count: [] }] } } } },
    }),
    "operation.sync.source.kustomize.replicas[0].count must be of type int-or-string",
  ],
  [
    app({ status: { operationState: { phase: "Running" } } }),
    "status.operationState.operation is missing",
  ],
  [app({ status: { reconciledAt: "2026-01-31T12:00:00.5+01:00" } }), undefined],
  [
    app({ status: { reconciledAt: "2026-02-30T12:00:00Z" } }),
    "status.reconciledAt must be a time such as 2026-01-31T12:00:00Z",
  ],
  [object("ApplicationSet", { spec: SET }), undefined],
  [
    object("ApplicationSet", { spec: { ...SET, syncPolicy: { applicationsSync: "never" } } }),
    "spec.syncPolicy.applicationsSync must be one of create-only, create-update, create-delete, sync",
  ],
  [
    object("ApplicationSet", { spec: { ...SET, template: { spec: SPEC } } }),
    "spec.template.metadata is missing",
  ],
  [object("AppProject", { spec: { description: "😀".repeat(255) } }), undefined],
  [
    object("AppProject", { spec: { description: "x".repeat(256) } }),
    "spec.description must have at most 255 characters",
  ],
  [object("AppProject", { spec: { roles: [{ policies: [] }] } }), "spec.roles[0].name is missing"],
];

Deno.test("schemaProblem() demands types, required fields, words, lengths and times as an API server does", () => {
  for (const [value, problem] of CASES) assertEquals(schemaProblem(value), problem, JSON.stringify(value));
});

Deno.test("schemaProblem() lets a fault of the stored object pass that a change does not touch", () => {
  const before = app({
    spec: { ...SPEC, source: { path: "a" }, sources: [{ path: "a" }] },
    status: { reconciledAt: "yesterday" },
  });
  const status = (reconciledAt: string) => ({ ...before, status: { reconciledAt } });
  assertEquals(schemaProblem(status("2026-01-31T12:00:00Z"), before), undefined);
  assertEquals(
    schemaProblem(status("today"), before),
    "status.reconciledAt must be a time such as 2026-01-31T12:00:00Z",
  );
  const moved = { ...before, spec: { ...SPEC, source: { path: "b" } } };
  assertEquals(schemaProblem(moved, before), "spec.source.repoURL is missing");
});
