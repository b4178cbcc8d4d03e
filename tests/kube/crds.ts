/** CRDs for tests, of our own writing: what matters of the real ones is which have a status subresource. */
import { parse } from "yaml";

interface Definition {
  kind: string;
  plural: string;
  statusSubresource: boolean;
}

/** Application's status is part of the object; ApplicationSet's is a subresource. */
const DEFINITIONS: Definition[] = [
  { kind: "Application", plural: "applications", statusSubresource: false },
  { kind: "ApplicationSet", plural: "applicationsets", statusSubresource: true },
  { kind: "AppProject", plural: "appprojects", statusSubresource: false },
];

const open = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
const anything = { "x-kubernetes-preserve-unknown-fields": true };

/** Argo CD's own definitions, where the folder of shared data lies beside the project. */
const REAL = new URL("../../../shared/data/crds/", import.meta.url).pathname;

/** The sets of definitions to test with: ours, and the real ones where they are at hand. */
export function definitionSets(): [name: string, definitions: Record<string, unknown>[]][] {
  const sets: [string, Record<string, unknown>[]][] = [[
    "CRDs of our own writing",
    customResourceDefinitions(),
  ]];
  try {
    const files = [...Deno.readDirSync(REAL)].map((entry) => entry.name).filter((name) =>
      name.endsWith(".yaml")
    );
    sets.push(["Argo CD's real CRDs", files.map((name) => parse(Deno.readTextFileSync(`${REAL}${name}`)))]);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return sets;
}

/** Our definitions with a schema of an Application's spec as in Argo CD: a field that it does not name is dropped. */
export function strictDefinitions(...fields: string[]): Record<string, unknown>[] {
  const spec = { type: "object", properties: Object.fromEntries(fields.map((field) => [field, anything])) };
  return customResourceDefinitions({ Application: spec });
}

/** The CustomResourceDefinitions as the API takes them. */
function customResourceDefinitions(specs: Record<string, unknown> = {}): Record<string, unknown>[] {
  return DEFINITIONS.map(({ kind, plural, statusSubresource }) => ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      name: `${plural}.argoproj.io`,
      annotations: { "api-approved.kubernetes.io": "unapproved, for tests" },
    },
    spec: {
      group: "argoproj.io",
      scope: "Namespaced",
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [{
        name: "v1alpha1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: { spec: specs[kind] ?? open, status: open, operation: open },
          },
        },
        ...(statusSubresource ? { subresources: { status: {} } } : {}),
      }],
    },
  }));
}
