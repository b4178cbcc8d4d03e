/** How a principal and the CLI reach a cluster: every way to prove who one is, one connection, and a port of the principal's pod. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { stringify } from "yaml";
import { until } from "../support/until.ts";
import { Access } from "../../src/adapters/kube/access.ts";
import { KubeconfigError } from "../../src/adapters/kube/kubeconfig.ts";
import { DynamicClient } from "../../src/adapters/kube/dynamic_client.ts";
import { Transport } from "../../src/adapters/kube/transport.ts";
import { Cluster, ON_CLUSTER, type User } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { FakeKubelet } from "../support/kubelet.ts";
import { inWorkshop } from "../support/principals.ts";
import { runCli } from "../support/processes.ts";

let shared: Promise<Cluster> | undefined;
const cluster = () => shared ??= Cluster.start(definitionSets()[0]![1]);

Deno.test.afterAll(async () => {
  await (await shared)?.stop();
});

/** A token of a service account that may list Applications and nothing else. */
async function token(at: Cluster, account: string): Promise<string> {
  const ask = async (path: string, body: unknown) => {
    const { code, body: answer } = await at.request("POST", path, body);
    assert(code === 201 || code === 409, JSON.stringify(answer));
    return answer;
  };
  const metadata = { name: account, namespace: "default" };
  await ask("/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: "default" } });
  await ask("/api/v1/namespaces/default/serviceaccounts", {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata,
  });
  await ask("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: account },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", ...metadata }],
  });
  const path = `/api/v1/namespaces/default/serviceaccounts/${account}/token`;
  const request = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} };
  const { status } = await ask(path, request) as { status: { token: string } };
  return status.token;
}

async function canList(access: Access): Promise<boolean> {
  const transport = new Transport(access);
  try {
    const client = new DynamicClient(transport);
    const resource = await client.discovery.resource("argoproj.io/v1alpha1", "Application");
    await client.list(resource, { namespace: "", labelSelector: "" }, 10, "");
    return true;
  } catch {
    return false;
  } finally {
    transport.close();
  }
}

async function withUser(user: User): Promise<Access> {
  return Access.load({ kubeconfig: await (await cluster()).kubeconfigFile(user), context: "" });
}

Deno.test({
  ...ON_CLUSTER,
  name:
    "Access: client certificate, token, rotating token file, exec plugin and service account reach a real API server",
  fn: async () => {
    const at = await cluster();
    const good = await token(at, "reader");
    const file = `${at.dir}/token-file`;
    Deno.writeTextFileSync(file, `${good}\n`);
    const credential = {
      apiVersion: "client.authentication.k8s.io/v1",
      kind: "ExecCredential",
      status: { token: good },
    };
    Deno.writeTextFileSync(`${at.dir}/credential.json`, JSON.stringify(credential));
    const exec = {
      apiVersion: "client.authentication.k8s.io/v1",
      command: Deno.execPath(),
      args: ["eval", `console.log(Deno.readTextFileSync("${at.dir}/credential.json"))`],
      interactiveMode: "Never",
    };
    assert(await canList(await withUser("admin")), "client certificate");
    assert(await canList(await withUser({ token: good })), "token");
    assert(await canList(await withUser({ tokenFile: file })), "token file");
    assert(await canList(await withUser({ exec })), "exec plugin");
    assertEquals(await canList(await withUser({ token: "wrong" })), false);
  },
});

Deno.test({
  ...ON_CLUSTER,
  name: "Access: in a pod the service account's files are used, and a token that rotates is read again",
  fn: async () => {
    const at = await cluster();
    const { hostname, port } = new URL(at.server);
    const folder = `${at.dir}/serviceaccount`;
    Deno.mkdirSync(folder, { recursive: true });
    Deno.copyFileSync(`${at.dir}/ca.crt`, `${folder}/ca.crt`);
    Deno.writeTextFileSync(`${folder}/token`, await token(at, "pod"));
    const env: Record<string, string> = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    const machine = { env: (name: string) => env[name], serviceAccountDir: folder };
    const load = () => Access.load({ kubeconfig: "", context: "" }, machine);
    assert(await canList(load()));
    const { headers } = await load().credentials();
    Deno.writeTextFileSync(`${folder}/token`, "rotated");
    assertEquals((await load().credentials()).headers["Authorization"], "Bearer rotated");
    assert(headers["Authorization"] !== "Bearer rotated");
  },
});

Deno.test("Access.load() says what is wrong with a kubeconfig, and which contexts there are", () => {
  const dir = Deno.makeTempDirSync({ prefix: "aaha-access-" });
  const write = (name: string, value: unknown) => Deno.writeTextFileSync(`${dir}/${name}`, stringify(value));
  const good = {
    clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:1" } }],
    users: [{ name: "u", user: { token: "t" } }],
    contexts: [{ name: "eu", context: { cluster: "c", user: "u" } }, {
      name: "us",
      context: { cluster: "gone", user: "u" },
    }],
    "current-context": "eu",
  };
  write("good", good);
  write("insecure", {
    ...good,
    clusters: [{ name: "c", cluster: { server: "https://x", "insecure-skip-tls-verify": true } }],
  });
  write("oidc", { ...good, users: [{ name: "u", user: { "auth-provider": { name: "oidc", config: {} } } }] });
  Deno.writeTextFileSync(`${dir}/broken`, "clusters: [");
  const cases: [string, string, string][] = [
    ["none", "", `kubeconfig "${dir}/none" cannot be read: No such file`],
    ["broken", "", `kubeconfig "${dir}/broken" cannot be read`],
    ["good", "asia", `--kubecontext "asia" is not in "${dir}/good"; it has: eu, us`],
    ["good", "us", `context "us" names cluster "gone", which is not in the file`],
    ["insecure", "", "insecure-skip-tls-verify is not supported"],
    ["oidc", "", 'auth-provider "oidc" is not supported; use its exec plugin'],
  ];
  try {
    for (const [name, context, words] of cases) {
      let message = "accepted";
      try {
        Access.load({ kubeconfig: `${dir}/${name}`, context });
      } catch (error) {
        assert(error instanceof KubeconfigError);
        message = error.message;
      }
      assertStringIncludes(message, words);
    }
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test({
  ...ON_CLUSTER,
  name:
    "ha without -a finds the principal's pod and forwards a port through the API server; what is in the way is said in one line",
  fn: () =>
    inWorkshop(async (workshop) => {
      const at = await cluster();
      const principal = await workshop.start(workshop.settings("primary", 0));
      await until(() => principal.core.model().state === "active", 20_000, () => "not active");
      const kubeconfig = await at.kubeconfigFile();
      const status = (...more: string[]) => runCli(["ha", "status", `--kubeconfig=${kubeconfig}`, ...more]);
      const nobody = await status();
      assertStringIncludes(
        nobody.stderr,
        "no principal pod found with label app.kubernetes.io/name=argocd-agent-principal in namespace argocd",
      );
      const kubelet = await FakeKubelet.start(at, { 8405: principal.ports.admin });
      try {
        await kubelet.runPod("argocd", "argocd-agent-principal-0");
        const shown = await status();
        assertEquals(shown.code, 0, shown.stderr);
        assertStringIncludes(shown.stdout, "State:             active");
        const stranger = await at.kubeconfigFile({ name: "stranger", groups: "nobody" });
        const forbidden = await runCli(["ha", "status", `--kubeconfig=${stranger}`]);
        assertEquals(forbidden.code, 1);
        assertStringIncludes(forbidden.stderr, "403");
        assertStringIncludes(
          forbidden.stderr,
          "ask for the rights to list pods and create pods/portforward there, or give -a HOST:PORT",
        );
        kubelet.ports = {};
        const closed = await status();
        assertEquals(closed.code, 1);
        assertStringIncludes(closed.stderr, "cannot forward a port to pod argocd/argocd-agent-principal-0");
      } finally {
        await kubelet.stop();
      }
      const wrong = await runCli(["ha", "status", `--kubeconfig=${kubeconfig}`, "--principal-context=eu"]);
      assertStringIncludes(wrong.stderr, `--kubecontext "eu" is not in "${kubeconfig}"; it has: test`);
      const away = await runCli(["ha", "status", "--principal-context=eu"]);
      assertStringIncludes(away.stderr, "--principal-context needs a kubeconfig");
    }),
});
