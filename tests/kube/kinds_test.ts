/**
 * A kind of KINDS is watched, and deploy/ grants each verb that this takes and no other. A new kind fails here until it has
 * both.
 */
import { assert, assertEquals } from "@std/assert";
import { parseAllDocuments } from "yaml";
import {
  boardRights,
  LEASE_NAME,
  lockRights,
  NAMESPACE_CREATION,
  type Rights,
  rightsOf,
  watchesOf,
} from "../../src/adapters/store/kubernetes_kinds.ts";
import type { Watched } from "../../src/adapters/kube/reflector.ts";
import { exampleObjects } from "../../src/cli/examples.ts";
import { rosterKey } from "../../src/domain/resources/roster.ts";
import { parseKey } from "../../src/domain/resources/keys.ts";
import { API_KINDS, BLOCKLIST_NAME, kindOf, KINDS, SECRET_TYPE } from "../../src/domain/resources/kinds.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { wholeScope } from "../../src/domain/resources/scope.ts";
import { definitionSets } from "./crds.ts";

const NAMESPACE = "argocd";
const DEPLOYMENT = "argocd-agent-principal";
const scope = wholeScope(NAMESPACE);
const deploy = new URL("../../deploy/", import.meta.url);

function configMap(name: string): ApiObject {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: NAMESPACE } };
}

function secret(type: string): ApiObject {
  const metadata = { name: type, namespace: NAMESPACE, labels: { [SECRET_TYPE]: type } };
  return { apiVersion: "v1", kind: "Secret", metadata };
}

/** Objects of which each row of KINDS has one; a new row needs one here. */
const objects = [
  ...exampleObjects(),
  ...["repository", "repo-creds", "repository-write", "repo-write-creds", "cluster"].map(secret),
  ...["argocd-gpg-keys-cm", parseKey(rosterKey(NAMESPACE))?.name ?? "", BLOCKLIST_NAME].map(configMap),
];

/** Whether the API server would tell a watch of this object. */
function tells({ apiVersion, kind, namespace, labelSelector }: Watched, object: ApiObject): boolean {
  const [, name = "", values] = /^(\S+) in \(([^)]*)\)$/.exec(labelSelector) ?? [];
  return apiVersion === object.apiVersion && kind === object.kind &&
    (namespace === "" || namespace === object.metadata.namespace) &&
    (labelSelector === "" || values?.split(",").includes(object.metadata.labels?.[name] ?? "") === true);
}

Deno.test("every kind of KINDS is watched, once", () => {
  const watches = watchesOf({ namespace: NAMESPACE, labelSelector: "" });
  for (const kind of KINDS) {
    const own = objects.filter((object) => kindOf(object, scope) === kind);
    assert(own.length > 0, `${kind.name} has no example: add one to ${import.meta.url}`);
    for (const object of own) {
      assertEquals(
        watches.filter((watched) => tells(watched, object)).length,
        1,
        `${kind.name}: watches of ${JSON.stringify(object.metadata)} among ${JSON.stringify(watches)}`,
      );
    }
  }
  assertEquals(watches.filter((watched) => tells(watched, secret("other"))), [], "no Secret of another type");
});

Deno.test("--label-selector chooses among Argo CD's own kinds and nothing else", () => {
  const selectors = watchesOf({ namespace: NAMESPACE, labelSelector: "team=a" })
    .map(({ kind, labelSelector }) => [kind, labelSelector]);
  assertEquals(Object.fromEntries(selectors), {
    AppProject: "team=a",
    ApplicationSet: "team=a",
    Application: "team=a",
    Secret: `${SECRET_TYPE} in (repository,repo-creds,repository-write,repo-write-creds,cluster)`,
    ConfigMap: "",
  });
});

interface Grant {
  kind: string;
  rules: { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] }[];
}

/** The grants of a file as `verb group/resource in namespace`; a Role's namespace is the principal's. */
function granted(file: string): string[] {
  const documents = parseAllDocuments(Deno.readTextFileSync(new URL(file, deploy)))
    .map((document) => document.toJS() as Grant);
  return documents.filter(({ kind }) => kind === "Role" || kind === "ClusterRole").flatMap((
    { kind, rules },
  ) =>
    rules.flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          verbs.map((verb) => `${verb} ${group}/${resource}${kind === "Role" ? ` in ${NAMESPACE}` : ""}`)
        )
      )
    )
  ).sort();
}

function needed(rights: Rights[]): string[] {
  const all = rights.flatMap(({ resource: { apiVersion, plural }, subresource, namespace, verbs }) => {
    const group = apiVersion.includes("/") ? apiVersion.split("/")[0] : "";
    const name = `${group}/${plural}${subresource ? `/${subresource}` : ""}`;
    return verbs.map((verb) => `${verb} ${name}${namespace ? ` in ${namespace}` : ""}`);
  });
  return [...new Set(all)].sort();
}

/** The names for which a verb on a resource is granted. */
function names(verb: string, resource: string): string[] {
  const documents = parseAllDocuments(Deno.readTextFileSync(new URL("base/rbac.yaml", deploy)))
    .map((document) => document.toJS() as Grant);
  return documents.flatMap(({ rules = [] }) => rules)
    .filter(({ resources, verbs }) => resources.includes(resource) && verbs.includes(verb))
    .flatMap(({ resourceNames = ["any"] }) => resourceNames);
}

/** How a kind is served where these CustomResourceDefinitions are installed. */
function served(
  definitions: Record<string, unknown>[],
  { apiVersion, kind }: { apiVersion: string; kind: string },
) {
  const specs = definitions.map(({ spec }) =>
    spec as {
      names: { kind: string; plural: string };
      versions: { subresources?: { status?: object } }[];
    }
  );
  const spec = specs.find(({ names }) => names.kind === kind);
  return {
    apiVersion,
    kind,
    plural: spec?.names.plural ?? `${kind.toLowerCase()}s`,
    statusSubresource: spec?.versions[0]?.subresources?.status !== undefined,
  };
}

for (const [name, definitions] of definitionSets()) {
  Deno.test(`deploy/base/rbac.yaml grants what every kind of KINDS and the lock take, and nothing else (${name})`, () => {
    const watches = watchesOf({ namespace: NAMESPACE, labelSelector: "" });
    const rights = watches.flatMap((watched) => rightsOf(served(definitions, watched), watched.namespace));
    assertEquals(
      granted("base/rbac.yaml"),
      needed([...rights, ...lockRights(NAMESPACE), ...boardRights(NAMESPACE, DEPLOYMENT)]),
    );
    assertEquals(watches.length, API_KINDS.length);
  });
}

Deno.test("ConfigMaps and the lock are granted by name: what is replicated, and the principal's own", () => {
  const replicated = KINDS.filter(({ kind }) => kind === "ConfigMap").flatMap(({ names = [] }) => names);
  const source = (path: string) => Deno.readTextFileSync(new URL(`../../src/${path}`, import.meta.url));
  const own = [...Deno.readDirSync(new URL("../../src/principal/core", import.meta.url))]
    .filter(({ name }) => name.endsWith(".ts") && !name.endsWith("_test.ts"))
    .flatMap(({ name }) => [...source(`principal/core/${name}`).matchAll(/NAME = "(argocd-agent-[a-z-]+)"/g)])
    .map(([, name = ""]) => name).filter((name) => !name.endsWith("-"));
  const pages = Array.from({ length: 20 }, (_, page) => `argocd-agent-ha-foreign-${page + 1}`);
  const expected = [...new Set([...replicated, ...own, ...pages])].sort();
  assert(own.length > 4, `${own}`);
  for (const verb of ["get", "patch", "delete"]) {
    assertEquals(names(verb, "configmaps").sort(), expected, verb);
  }
  for (const verb of ["get", "patch"]) assertEquals(names(verb, "leases"), [LEASE_NAME], verb);
  assertEquals([names("get", "deployments"), names("patch", "deployments/status")], [[DEPLOYMENT], [
    DEPLOYMENT,
  ]]);
});

Deno.test("the namespace-creation component grants what creating namespaces takes, and nothing else", () => {
  assertEquals(granted("components/namespace-creation/rbac.yaml"), needed([NAMESPACE_CREATION]));
});
