/** Objects of deploy/ on an API server, and the environment that their Deployment gives a principal. */
import { parse } from "yaml";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Cluster } from "../kube/cluster.ts";

/** Kinds upon which something would act: the API server is only asked whether it would take them. Nothing makes pods of the Deployment. */
const NO_CONTROLLER = ["Service", "PodDisruptionBudget", "NetworkPolicy"];

export type Manifest = Record<string, unknown>;

/** The ConfigMap of a first installation. */
export function firstParams(): Manifest {
  const path = new URL("../../deploy/params.yaml", import.meta.url);
  const params = parse(Deno.readTextFileSync(path)) as ApiObject;
  return { ...params, metadata: { ...params.metadata, namespace: "argocd" } };
}

/** Applies an object on the server's side, as `kubectl apply --server-side`. @throws Error with the API server's words */
export async function apply(
  cluster: Cluster,
  object: Manifest,
  { manager = "test", dryRun = true }: { manager?: string; dryRun?: boolean } = {},
): Promise<void> {
  const { kind, metadata: { name } } = object as unknown as ApiObject;
  const trial = dryRun && NO_CONTROLLER.includes(kind) ? "&dryRun=All" : "";
  const path = `${await pathOf(cluster, object)}?fieldManager=${manager}&force=true${trial}`;
  const { code, body } = await cluster.request("PATCH", path, object, {
    contentType: "application/apply-patch+yaml",
  });
  if (code !== 200 && code !== 201) throw new Error(`${kind} ${name}: ${code} ${JSON.stringify(body)}`);
}

/** The object as the API server has it. */
export async function present(cluster: Cluster, object: Manifest): Promise<Manifest> {
  const { code, body } = await cluster.request("GET", await pathOf(cluster, object));
  if (code !== 200) throw new Error(`${code} ${JSON.stringify(body)}`);
  return body;
}

async function pathOf(cluster: Cluster, object: Manifest): Promise<string> {
  const { apiVersion, kind, metadata } = object as unknown as ApiObject;
  const base = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const { body: discovery } = await cluster.request("GET", base);
  const resources = discovery["resources"] as { name: string; kind: string; namespaced: boolean }[];
  const resource = resources.find((candidate) => candidate.kind === kind && !candidate.name.includes("/"));
  if (!resource) throw new Error(`${kind} is not served`);
  const namespace = resource.namespaced ? `/namespaces/${metadata.namespace}` : "";
  return `${base}${namespace}/${resource.name}/${metadata.name}`;
}

/** One variable of a container. */
export interface Variable {
  name: string;
  value?: string;
  valueFrom?: {
    configMapKeyRef?: { name: string; key: string; optional?: boolean };
    secretKeyRef?: { name: string; key: string };
    fieldRef?: { fieldPath: string };
  };
}

/** The variables of the container of a Deployment. */
export function variablesOf(deployment: Manifest): Variable[] {
  const spec = deployment["spec"] as { template: { spec: { containers: { env: Variable[] }[] } } };
  return spec.template.spec.containers.flatMap(({ env }) => env);
}

/** The container's environment as the kubelet would make it. */
export function environment(objects: Manifest[]): Record<string, string> {
  const params = new Map<string, Record<string, string>>();
  for (const { kind, metadata, data } of objects as unknown as (ApiObject & { data?: never })[]) {
    if (kind === "ConfigMap") params.set(metadata.name, data ?? {});
  }
  const deployment = objects.find(({ kind }) => kind === "Deployment");
  const env: Record<string, string> = {};
  for (const { name, value, valueFrom } of deployment ? variablesOf(deployment) : []) {
    const { configMapKeyRef: of, fieldRef } = valueFrom ?? {};
    const found = value ?? (fieldRef ? "argocd" : of && params.get(of.name)?.[of.key]);
    if (found !== undefined) env[name] = found;
  }
  return env;
}
