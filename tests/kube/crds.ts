/** CRDs for tests, of our own writing: what matters of the real ones is which have a status subresource. */

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

/** The CustomResourceDefinitions as the API takes them. */
export function customResourceDefinitions(): Record<string, unknown>[] {
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
          openAPIV3Schema: { type: "object", properties: { spec: open, status: open, operation: open } },
        },
        ...(statusSubresource ? { subresources: { status: {} } } : {}),
      }],
    },
  }));
}
