/**
 * Does an ACTIVE principal find everything in this cluster? Its kinds are looked up, its rights are asked for one by one
 * (SelfSubjectAccessReview, which every account may make), and a namespace is tried with the dry run of an Application: so no right
 * upon namespaces is needed, and nothing is written.
 */
import pLimit from "p-limit";
import { ApiFailure, type KubeApi, type Resource } from "../kube/dynamic_client.ts";
import { mayCreate, type NamespaceCreation } from "./kubernetes_writer.ts";
import type { Missing } from "../../domain/resources/missing.ts";

/** What of a cluster is looked at. */
export interface Examined {
  kinds: readonly { apiVersion: string; kind: string; namespace: string }[];
  namespaces: readonly string[];
  creation: NamespaceCreation | undefined;
  concurrency: number;
}

const VERBS = ["get", "list", "watch", "create", "patch", "delete"];
/** The name of an Application that is never written. */
const NOBODY = "argocd-agent-ha-preflight";
const NAMESPACES: Resource = {
  apiVersion: "v1",
  kind: "Namespace",
  plural: "namespaces",
  statusSubresource: false,
};

/** Looks at everything. @throws ApiFailure when the API server does not answer */
export async function examine(api: KubeApi, examined: Examined): Promise<Missing> {
  const { kinds, namespaces, creation, concurrency } = examined;
  const limit = pLimit(concurrency);
  const missing: Missing = { rights: [], definitions: [], namespaces: [] };
  const lookUp = async ({ apiVersion, kind, namespace }: Examined["kinds"][number]) => {
    try {
      return { resource: await api.resource(apiVersion, kind), namespace };
    } catch (error) {
      if (!(error instanceof ApiFailure && error.status === 404)) throw error;
      missing.definitions.push(`${kind} (${apiVersion})`);
      return undefined;
    }
  };
  api.forgetResources();
  const served = (await Promise.all(kinds.map(lookUp))).filter((one) => one !== undefined);
  const denied = async (resource: Resource, namespace: string, verbs: string[], subresource = "") => {
    const answers = await Promise.all(
      verbs.map((verb) => limit(() => api.may({ resource, subresource, verb, namespace }))),
    );
    const lacking = verbs.filter((_, i) => !answers[i]);
    if (lacking.length === 0) return;
    const name = subresource ? `${resource.plural}/${subresource}` : resource.plural;
    missing.rights.push(`${lacking.join(", ")} ${name}${namespace ? ` in ${namespace}` : ""}`);
  };
  for (const { resource, namespace } of served) {
    await denied(resource, namespace, VERBS);
    if (resource.statusSubresource) await denied(resource, namespace, ["patch"], "status");
  }
  if (creation) await denied(NAMESPACES, "", ["create"]);
  const applications = served.find(({ resource }) => resource.kind === "Application")?.resource;
  if (applications) {
    const wanted = namespaces.filter((namespace) => !mayCreate(creation, namespace));
    const there = await Promise.all(
      wanted.map((namespace) => limit(() => exists(api, applications, namespace))),
    );
    missing.namespaces.push(...wanted.filter((_, i) => !there[i]));
  }
  return missing;
}

/** Whether the API server finds the namespace of an object; what else it may say against the object is of no interest here. */
async function exists(api: KubeApi, resource: Resource, namespace: string): Promise<boolean> {
  const { apiVersion, kind } = resource;
  const spec = { project: "default", destination: {} };
  try {
    await api.create(resource, { apiVersion, kind, metadata: { name: NOBODY, namespace }, spec }, {
      dryRun: true,
    });
    return true;
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.passing) throw error;
    return !(error.status === 404 && error.about === "namespaces");
  }
}
