/**
 * deploy/ in place of an installation of the Go principal: what its manifests have made is on a real API server, and ours are applied over
 * it. Everything is taken, nothing of its operator's settings is changed, and each of them is read.
 */
import { assert, assertEquals } from "@std/assert";
import { envOf } from "../../src/config/flag.ts";
import { FLAGS } from "../../src/config/flags.ts";
import { KEYS } from "../../src/config/params.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { Cluster, ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { kustomize } from "../kube/kustomize.ts";
import {
  apply,
  environment,
  firstParams,
  type Manifest,
  present,
  variablesOf,
} from "../support/deployment.ts";
import { inWorkshop, until, untilState } from "../support/principals.ts";

const NAME = "argocd-agent-principal";
const PARAMS = "argocd-agent-params";
const LABELS = {
  "app.kubernetes.io/name": NAME,
  "app.kubernetes.io/part-of": "argocd-agent",
  "app.kubernetes.io/component": "principal",
};
const root = new URL("../../deploy/", import.meta.url).pathname;

const metadata = (name: string, labels: Record<string, string> = LABELS) => ({
  name,
  namespace: "argocd",
  labels,
});

/** The settings of an operator of the Go principal: values of its own manifests, and some that it has changed. */
const OPERATOR_SET: Record<string, string> = {
  "principal.listen.host": "127.0.0.1",
  "principal.listen.port": "8443",
  "principal.log.level": "debug",
  "principal.log.format": "json",
  "principal.metrics.port": "8000",
  "principal.healthz.port": "8003",
  "principal.namespace": "argocd",
  "principal.allowed-namespaces": "edge-*",
  "principal.namespace-create.enable": "true",
  "principal.auth": "mtls:CN=([^,]+)",
  "principal.tls.secret-name": "our-tls",
  "principal.tls.min-version": "tls1.2",
  "principal.event-processors": "20",
  "principal.keep-alive.min-interval": "10s",
  "principal.redis.server.address": "argocd-redis:6379",
  "principal.redis.ca-path": "/app/config/redis-tls/ca.crt",
  "principal.redis.proxy.server.tls.cert-path": "/app/config/redis-proxy-server-tls/tls.crt",
  "principal.redis.proxy.server.tls.key-path": "/app/config/redis-proxy-server-tls/tls.key",
};

function service(name: string, ports: Record<string, unknown>[], type = "ClusterIP"): Manifest {
  const selector = { "app.kubernetes.io/name": NAME };
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: metadata(name),
    spec: { type, selector, ports: ports.map((port) => ({ protocol: "TCP", ...port })) },
  };
}

/** The objects of the Go principal's install manifests, as far as an API server tells them apart. */
function goInstall(): Manifest[] {
  const account = { kind: "ServiceAccount", name: NAME, namespace: "argocd" };
  const rbac = "rbac.authorization.k8s.io";
  const argo = {
    apiGroups: ["argoproj.io"],
    resources: ["applications", "appprojects", "applicationsets"],
    verbs: ["create", "get", "list", "watch", "update", "delete", "patch"],
  };
  const own = { apiGroups: [""], resources: ["secrets", "configmaps"], verbs: argo.verbs };
  const env = Object.entries(KEYS[PARAMS] ?? {}).map(([key, flag]) => ({
    name: envOf(FLAGS.find(({ name }) => name === flag)!),
    valueFrom: { configMapKeyRef: { name: PARAMS, key, optional: true } },
  }));
  const secret = (name: string, secretName: string) => ({ name, secret: { secretName, optional: true } });
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: metadata(NAME) },
    { apiVersion: `${rbac}/v1`, kind: "Role", metadata: metadata(NAME), rules: [own] },
    {
      apiVersion: `${rbac}/v1`,
      kind: "ClusterRole",
      metadata: { name: NAME, labels: LABELS },
      rules: [argo],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: "RoleBinding",
      metadata: metadata(NAME),
      roleRef: { apiGroup: rbac, kind: "Role", name: NAME },
      subjects: [account],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name: NAME, labels: LABELS },
      roleRef: { apiGroup: rbac, kind: "ClusterRole", name: NAME },
      subjects: [account],
    },
    { apiVersion: "v1", kind: "ConfigMap", metadata: metadata(PARAMS, {}), data: OPERATOR_SET },
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata: metadata("argocd-agent-principal-userpass", {}),
      stringData: { passwd: "" },
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: metadata(NAME, { "app.kubernetes.io/name": NAME }),
      spec: {
        selector: { matchLabels: LABELS },
        template: {
          metadata: { labels: LABELS },
          spec: {
            serviceAccountName: NAME,
            containers: [{
              name: NAME,
              image: "argocd-agent:latest",
              args: ["principal"],
              env: [...env, { name: "AN_OLD_VARIABLE", value: "1" }],
              ports: [
                { name: "principal", containerPort: 8443 },
                { name: "redis-proxy", containerPort: 6379 },
                { name: "metrics", containerPort: 8000 },
                { name: "healthz", containerPort: 8003 },
              ],
              volumeMounts: [
                { name: "jwt-secret", mountPath: "/app/config/jwt" },
                { name: "userpass-passwd", mountPath: "/app/config/userpass" },
              ],
            }],
            volumes: [
              secret("jwt-secret", "argocd-agent-jwt"),
              secret("userpass-passwd", "argocd-agent-principal-userpass"),
            ],
          },
        },
      },
    },
    service(NAME, [{ name: "https", port: 443, targetPort: 8443 }], "LoadBalancer"),
    service(`${NAME}-healthz`, [{ name: "healthz", port: 8003, targetPort: 8003 }]),
    service(`${NAME}-metrics`, [{ name: "metrics", port: 8000, targetPort: 8000 }]),
    service("argocd-agent-resource-proxy", [{ name: "resource-proxy", port: 9090, targetPort: 9090 }]),
    service("argocd-agent-redis-proxy", [{ name: "redis-proxy", port: 6379, targetPort: 6379 }]),
    {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: metadata("argocd-agent-redis-proxy", { "app.kubernetes.io/name": NAME }),
      spec: {
        podSelector: { matchLabels: { "app.kubernetes.io/name": NAME } },
        policyTypes: ["Ingress"],
        ingress: [],
      },
    },
  ];
}

const find = (objects: Manifest[], kind: string, name = NAME) =>
  objects.find((object) =>
    object["kind"] === kind && (object["metadata"] as { name: string }).name === name
  ) as
    | Manifest
    | undefined;

Deno.test("deploy/: the Deployment reads each key of both ConfigMaps, by the variable of its flag, and requires none", async () => {
  if (ON_CLUSTER.ignore) return;
  const objects = await kustomize(`${root}overlays/primary`);
  const read = variablesOf(find(objects, "Deployment")!).flatMap(({ name, valueFrom }) =>
    valueFrom?.configMapKeyRef ? [{ env: name, ...valueFrom.configMapKeyRef }] : []
  );
  const expected = Object.entries(KEYS).flatMap(([name, keys]) =>
    Object.entries(keys).map(([key, flag]) => {
      const env = envOf(FLAGS.find((one) => one.name === flag)!);
      return { env, name, key, optional: true };
    })
  );
  const sorted = (list: typeof expected) =>
    list.map((one) => JSON.stringify([one.name, one.key, one.env])).sort();
  assertEquals(sorted(read as typeof expected), sorted(expected));
  assertEquals(Object.keys(KEYS[PARAMS] ?? {}).length, 48);
  assert(read.every(({ optional }) => optional));
  assertEquals(find(objects, "ConfigMap", PARAMS), undefined, "the Go principal's ConfigMap is applied");
  const own = Object.keys(KEYS["argocd-agent-ha-params"] ?? {});
  const given = Object.keys(find(objects, "ConfigMap", "argocd-agent-ha-params")!["data"] as object);
  assertEquals(given.filter((key) => !own.includes(key)), []);
});

Deno.test("deploy/: the traces component lets the principal out to a collector's port, and to nothing else", async () => {
  if (ON_CLUSTER.ignore) return;
  const [policy, ...more] = await kustomize(`${root}components/traces`);
  assertEquals(more, []);
  const selected = find(
    await kustomize(`${root}overlays/primary`),
    "NetworkPolicy",
    NAME,
  )!["spec"] as Manifest;
  assertEquals(policy?.["spec"], {
    podSelector: selected["podSelector"],
    policyTypes: ["Egress"],
    egress: [{ ports: [{ port: 4317 }] }],
  });
});

for (const manager of ["kubectl", "of-the-go-install"]) {
  Deno.test({
    ...ON_CLUSTER,
    name:
      `deploy/ applies over the Go principal's installation by ${manager}, and leaves its settings as they are`,
    fn: async () => {
      const cluster = await Cluster.start(definitionSets()[0]![1]);
      try {
        await cluster.namespace("argocd");
        const theirs = goInstall();
        for (const object of theirs) await apply(cluster, object, { manager, dryRun: false });
        for (const overlay of ["single", "primary", "replica"]) {
          const ours = await kustomize(`${root}overlays/${overlay}`);
          for (const object of ours) await apply(cluster, object, { manager: "kubectl", dryRun: false });
        }
        const ours = await kustomize(`${root}overlays/primary`);
        const now = (kind: string, name = NAME) =>
          present(cluster, find(theirs, kind, name) ?? find(ours, kind, name)!);
        assertEquals((await now("ConfigMap", PARAMS))["data"], OPERATOR_SET);
        const deployment = await now("Deployment");
        const variables = variablesOf(deployment).map(({ name }) => name);
        assertEquals(variables.length, new Set(variables).size);
        const left = manager === "kubectl" ? [] : ["AN_OLD_VARIABLE"];
        const wanted = variablesOf(find(ours, "Deployment")!).map(({ name }) => name);
        assertEquals(variables.filter((name) => !wanted.includes(name)), left);
        assertEquals((deployment["spec"] as { selector: unknown }).selector, { matchLabels: LABELS });
        for (
          const [name, port] of [["argocd-agent-resource-proxy", 9090], ["argocd-agent-redis-proxy", 6379], [
            NAME,
            443,
          ]] as const
        ) {
          const { ports, selector } = (await now("Service", name))["spec"] as {
            ports: { port: number }[];
            selector: unknown;
          };
          assertEquals(ports.map((one) => one.port), [port], name);
          assertEquals(selector, { "app.kubernetes.io/name": NAME });
        }
        const { ingress } = (await now("NetworkPolicy", "argocd-agent-redis"))["spec"] as {
          ingress: unknown;
        };
        assert(JSON.stringify(ingress).includes(`"app.kubernetes.io/name":"${NAME}"`));
      } finally {
        await cluster.stop();
      }
    },
  });
}

Deno.test("the settings of a Go principal's ConfigMap mean here what they mean there, and what has no effect is said", async () => {
  if (ON_CLUSTER.ignore) return;
  const params = { apiVersion: "v1", kind: "ConfigMap", metadata: metadata(PARAMS), data: OPERATOR_SET };
  const env = environment([...await kustomize(`${root}overlays/single`), params]);
  const { settings, warnings, notes } = parseSettings(
    [],
    (name) => ({ KUBERNETES_SERVICE_HOST: "10.0.0.1", ...env })[name],
  );
  assertEquals(settings.listenHost, "127.0.0.1");
  assertEquals(settings.servicesHost, "*");
  assertEquals([settings.namespace, settings.haEnabled, settings.tlsSecretName], [
    "argocd",
    false,
    "our-tls",
  ]);
  assertEquals([settings.log.format, settings.tlsVersions.minVersion], ["json", "TLSv1.2"]);
  assertEquals(settings.scope.allowedNamespaces.map(({ text }) => text), ["edge-*"]);
  assert(settings.store.type === "kubernetes" && settings.store.createNamespaces !== undefined);
  assertEquals(settings.redis?.address, "argocd-redis:6379");
  assertEquals(settings.redis?.tls, undefined);
  assertEquals(warnings.filter((line) => line.includes("no effect")).length, 2, warnings.join("\n"));
  assert(
    warnings.some((line) => line.startsWith('--listen-host "127.0.0.1": only this pod')),
    warnings.join("\n"),
  );
  assertEquals(notes, []);
});

Deno.test({
  ...ON_CLUSTER,
  name: "a key of the ConfigMap that no flag has is named at the start",
  fn: () =>
    inWorkshop(async (workshop) => {
      const cluster = await Cluster.start(definitionSets()[0]![1]);
      workshop.onClose(() => cluster.stop());
      await cluster.namespace("argocd");
      const params = firstParams();
      const data = { ...params["data"] as Record<string, string>, "principal.of-a-newer-release": "on" };
      await apply(cluster, { ...params, data });
      const { settings } = parseSettings([
        ...["--namespace=argocd", "--auth=mtls:CN=([^,]+)", "--pod-uid=a", "--redis-server-address=off"],
        `--kubeconfig=${await cluster.kubeconfigFile()}`,
      ], () => undefined);
      const { store, params: keys } = settings;
      const own = workshop.settings("primary", 0, ["--insecure-jwt-generate"]);
      await untilState(await workshop.start({ ...own, store, params: keys }), "active", 30_000);
      const named = () => workshop.logs.filter((line) => line.includes("has no effect"));
      await until(() => named().length > 0, 20_000, () => "no key was named");
      assertEquals(named().length, 1);
      assert(named()[0]?.includes('"key":"principal.of-a-newer-release"'), named()[0]);
    }),
});
