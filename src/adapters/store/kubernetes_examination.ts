/**
 * Does an ACTIVE principal find everything in this cluster? Its kinds are looked up, its rights are asked for one by one
 * (SelfSubjectAccessReview), and a namespace is tried with the dry run of an Application: so no right upon namespaces is needed, and
 * nothing is written.
 */
import pLimit from "p-limit";
import type { Missing } from "../../domain/resources/missing.ts";
import { ApiFailure } from "../kube/api_failure.ts";
import type { Resource } from "../kube/discovery.ts";
import type { DynamicClient } from "../kube/dynamic_client.ts";
import type { Watched } from "../kube/reflector.ts";
import { lockRights, NAMESPACE_CREATION, type Rights, rightsOf } from "./kubernetes_kinds.ts";
import { mayCreate, type NamespaceCreation } from "./kubernetes_writer.ts";

/** The parts of a cluster to look at. */
export interface Examined {
  watches: readonly Watched[];
  namespaces: readonly string[];
  fields: readonly string[];
  /** The principal's namespace. */
  namespace: string;
  creation: NamespaceCreation | undefined;
  concurrency: number;
}

/** The name of an Application that is never written. */
const DRY_RUN_NAME = "argocd-agent-ha-preflight";

/** Looks at everything. @throws ApiFailure when the API server does not answer */
export async function examine(client: DynamicClient, examined: Examined): Promise<Missing> {
  const { watches, namespaces, namespace, fields, creation, concurrency } = examined;
  const limit = pLimit(concurrency);
  const missing: Missing = { rights: [], definitions: [], namespaces: [] };
  const lookUp = async ({ apiVersion, kind, namespace }: Watched) => {
    try {
      return { resource: await client.discovery.resource(apiVersion, kind), namespace };
    } catch (error) {
      if (!(error instanceof ApiFailure && error.status === 404)) throw error;
      missing.definitions.push(`${kind} (${apiVersion})`);
      return undefined;
    }
  };
  client.discovery.invalidate();
  const served = (await Promise.all(watches.map(lookUp))).filter((one) => one !== undefined);
  const rights = served.flatMap(({ resource, namespace }) => rightsOf(resource, namespace));
  for (const right of [...rights, ...lockRights(namespace), ...(creation ? [NAMESPACE_CREATION] : [])]) {
    const { verbs, ...about } = right;
    const answers = await Promise.all(
      verbs.map((verb) => limit(() => client.isAllowed({ ...about, verb }))),
    );
    const denied = verbs.filter((_, i) => !answers[i]);
    if (denied.length > 0) missing.rights.push(textOf({ ...about, verbs: denied }));
  }
  const applications = served.find(({ resource }) => resource.kind === "Application")?.resource;
  if (applications) {
    const wanted = namespaces.filter((namespace) => !mayCreate(creation, namespace));
    const there = await Promise.all(
      wanted.map((namespace) => limit(() => exists(client, applications, namespace))),
    );
    missing.namespaces.push(...wanted.filter((_, i) => !there[i]));
  }
  const unknown = await unknownFields(client, served.map(({ resource }) => resource), fields);
  return unknown ? { ...missing, fields: unknown } : missing;
}

/** Of the fields those that no schema here knows; undefined where that cannot be told of some. */
async function unknownFields(
  client: DynamicClient,
  served: readonly Resource[],
  fields: readonly string[],
): Promise<string[] | undefined> {
  const found: string[] = [];
  for (const [apiVersion, resources] of Map.groupBy(served, (resource) => resource.apiVersion)) {
    const theirs = fields.filter((field) => resources.some(({ kind }) => field.startsWith(`${kind} `)));
    const unknown = await client.schemas.unknown(apiVersion, theirs);
    if (!unknown) return undefined;
    found.push(...unknown);
  }
  return found;
}

function textOf({ resource, subresource, namespace, name, verbs }: Rights): string {
  const what = subresource ? `${resource.plural}/${subresource}` : resource.plural;
  return `${verbs.join(", ")} ${what}${name && ` "${name}"`}${namespace ? ` in ${namespace}` : ""}`;
}

/** Whether the API server finds the namespace of an object; any other refusal of the object does not matter here. */
async function exists(client: DynamicClient, resource: Resource, namespace: string): Promise<boolean> {
  const { apiVersion, kind } = resource;
  const spec = { project: "default", destination: {} };
  try {
    await client.create(resource, { apiVersion, kind, metadata: { name: DRY_RUN_NAME, namespace }, spec }, {
      dryRun: true,
    });
    return true;
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.passing) throw error;
    return !(error.status === 404 && error.about === "namespaces");
  }
}
