/** The manifests of examples/, inside the executable. */
import applications from "../../examples/applications.yaml" with { type: "text" };
import applicationset from "../../examples/applicationset.yaml" with { type: "text" };
import projects from "../../examples/projects.yaml" with { type: "text" };
import secrets from "../../examples/secrets.yaml" with { type: "text" };
import type { ApiObject } from "../domain/resources/object.ts";
import { parseManifests } from "./manifests.ts";

/** Every example object, in the order in which a person would apply them. */
export function exampleObjects(): ApiObject[] {
  return [projects, applicationset, secrets, applications].flatMap((text) =>
    parseManifests(text, "examples", "argocd")
  );
}

/** The `n`th of many Applications, spread over 50 agents; about 1.5 kB as JSON with the status that it gets. */
export function generatedApplication(n: number): ApiObject {
  const agent = `edge-${n % 50 + 1}`;
  return {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "Application",
    metadata: { name: `app-${n}`, namespace: agent, labels: { team: `team-${n % 7}` } },
    spec: {
      project: "shop",
      source: {
        repoURL: "https://git.example.com/shop/deploy.git",
        path: `overlays/tenant-${n}`,
        targetRevision: "main",
        helm: {
          parameters: [{ name: "replicas", value: String(n % 5 + 1) }, { name: "tenant", value: `t-${n}` }],
        },
      },
      destination: { name: agent, namespace: `tenant-${n}` },
      syncPolicy: { automated: { prune: true, selfHeal: true }, syncOptions: ["CreateNamespace=true"] },
    },
    status: {
      sync: { status: "Synced", revision: n.toString(16).padStart(40, "0") },
      health: { status: "Healthy" },
      resources: ["Deployment", "Service", "ConfigMap", "Ingress"].map((kind) => ({
        kind,
        version: "v1",
        namespace: `tenant-${n}`,
        name: `shop-${kind.toLowerCase()}`,
        status: "Synced",
        health: { status: "Healthy" },
      })),
    },
  };
}
