/** Two clusters: for each side a kustomization over deploy/base with its parameters and Secrets, and what the agents' clusters need. */
import { stringify } from "yaml";
import agentParams from "../../../deploy/params.yaml" with { type: "text" };
import configuration from "../../../deploy/base/params.yaml" with { type: "text" };
import deployment from "../../../deploy/base/deployment.yaml" with { type: "text" };
import disruption from "../../../deploy/base/disruption.yaml" with { type: "text" };
import kustomization from "../../../deploy/base/kustomization.yaml" with { type: "text" };
import networkPolicy from "../../../deploy/base/networkpolicy.yaml" with { type: "text" };
import rights from "../../../deploy/base/rbac.yaml" with { type: "text" };
import account from "../../../deploy/base/serviceaccount.yaml" with { type: "text" };
import services from "../../../deploy/base/services.yaml" with { type: "text" };
import { type Answers, dialled, type File, otherOf, SIDE_NAMES, type SideName } from "./answers.ts";
import type { Material } from "./material.ts";

/** deploy/base, as it is in this executable. */
const BASE: Record<string, string> = {
  "kustomization.yaml": kustomization,
  "params.yaml": configuration,
  "deployment.yaml": deployment,
  "disruption.yaml": disruption,
  "networkpolicy.yaml": networkPolicy,
  "rbac.yaml": rights,
  "serviceaccount.yaml": account,
  "services.yaml": services,
};

/** The port of `/healthz` beside that of agents. */
const HEALTH_PORT = 8_003;

/** The image of the principal: a name without a tag, and the digest of its manifest. */
export interface Image {
  name: string;
  digest: string;
}

/** An image by its digest: a tag may name another program tomorrow. */
export function imageOf(text: string): Image | undefined {
  const match = /^([^@\s]+)@(sha256:[0-9a-f]{64})$/.exec(text);
  return match ? { name: match[1] ?? "", digest: match[2] ?? "" } : undefined;
}

/** The files for both clusters and the agents' clusters. */
export function clusterFiles(answers: Answers, image: Image, material: Material): File[] {
  return [
    ...Object.entries(BASE).map(([name, text]) => ({ path: `base/${name}`, text })),
    ...SIDE_NAMES.flatMap((side) => sideFiles(side, answers, image, material)),
    ...[...material.agents].map(([agent, { own }]) => ({
      path: `agents/${agent}.yaml`,
      text: manifests([
        secret(answers.namespace, "argocd-agent-client-tls", { "tls.crt": own.cert, "tls.key": own.key }),
        secret(answers.namespace, "argocd-agent-ca", { "ca.crt": material.ca.cert }),
      ]),
      secret: true,
    })),
  ];
}

function sideFiles(side: SideName, answers: Answers, image: Image, material: Material): File[] {
  const { namespace, sides } = answers;
  const { cert, key } = material.principals[side];
  const proxy = material.resourceProxy;
  const secrets = [
    secret(namespace, "argocd-agent-principal-tls", { "tls.crt": cert, "tls.key": key }),
    secret(namespace, "argocd-agent-ca", { "tls.crt": material.ca.cert }),
    secret(namespace, "argocd-agent-jwt", { "jwt.key": material.jwtKey }),
    secret(namespace, "argocd-agent-resource-proxy-tls", { "tls.crt": proxy.cert, "tls.key": proxy.key }),
  ];
  // The replica gets the clusters by replication: its own copies would pass for another installation's.
  const clusters = side === "primary" ? answers.agents.map((agent) => cluster(agent, answers, material)) : [];
  const overlay = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    namespace,
    resources: ["../base", "argocd-agent-params.yaml", "secrets.yaml"],
    patches: [{ path: "params.yaml" }, { path: "service.yaml" }],
    images: [{ name: "argocd-agent-ha", newName: image.name, digest: image.digest }],
  };
  const other = otherOf(side);
  const params = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "argocd-agent-ha-params", namespace: "argocd" },
    data: {
      "principal.ha.preferred-role": side,
      "principal.ha.name": side,
      "principal.ha.peer-address": dialled(sides[other]),
      "principal.ha.allowed-replication-clients": other,
    },
  };
  // One address for agents, the peer and the GSLB's health check.
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "argocd-agent-principal", namespace: "argocd" },
    spec: { ports: [{ name: "healthz", port: HEALTH_PORT, targetPort: "healthz" }] },
  };
  return [
    { path: `${side}/service.yaml`, text: stringify(service) },
    { path: `${side}/kustomization.yaml`, text: stringify(overlay) },
    { path: `${side}/argocd-agent-params.yaml`, text: agentParams },
    { path: `${side}/params.yaml`, text: stringify(params) },
    { path: `${side}/secrets.yaml`, text: manifests([...secrets, ...clusters]), secret: true },
  ];
}

/** Argo CD's cluster of an agent: its certificate tells the resource proxy which agent is meant. */
function cluster(agent: string, { namespace }: Answers, material: Material): Record<string, unknown> {
  const { cert = "", key = "" } = material.agents.get(agent)?.cluster ?? {};
  const tlsClientConfig = {
    insecure: false,
    certData: base64(cert),
    keyData: base64(key),
    caData: base64(material.ca.cert),
  };
  const server = `https://argocd-agent-resource-proxy:9090?agentName=${agent}`;
  const made = secret(namespace, `cluster-${agent}`, {
    name: agent,
    server,
    config: JSON.stringify({ tlsClientConfig }),
  });
  return {
    ...made,
    metadata: {
      name: `cluster-${agent}`,
      namespace,
      labels: {
        "argocd.argoproj.io/secret-type": "cluster",
        "argocd-agent.argoproj-labs.io/agent-name": agent,
      },
      annotations: { "argocd.argoproj.io/skip-reconcile": "true" },
    },
  };
}

function secret(namespace: string, name: string, data: Record<string, string>): Record<string, unknown> {
  const encoded = Object.entries(data).map(([field, text]) => [field, base64(text)]);
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace },
    data: Object.fromEntries(encoded),
  };
}

function manifests(objects: readonly Record<string, unknown>[]): string {
  return objects.map((object) => stringify(object)).join("---\n");
}

function base64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}
