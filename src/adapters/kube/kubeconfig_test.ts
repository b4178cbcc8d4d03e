/** Finding, merging and selecting kubeconfigs is as in client-go, for the cases that its documentation names. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { stringify } from "yaml";
import { KubeconfigError, loadKubeconfig } from "./kubeconfig.ts";
import { kubeconfigFiles } from "./kubeconfig_files.ts";

function inFolder(use: (dir: string, write: (name: string, value: unknown) => string) => void): void {
  const dir = Deno.makeTempDirSync({ prefix: "aaha-kubeconfig-" });
  const write = (name: string, value: unknown) => {
    Deno.mkdirSync(`${dir}/${name}`.replace(/[^/]*$/, ""), { recursive: true });
    Deno.writeTextFileSync(`${dir}/${name}`, stringify(value));
    return `${dir}/${name}`;
  };
  try {
    use(dir, write);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

const config = (name: string, server: string, current = name) => ({
  clusters: [{ name, cluster: { server, "certificate-authority": "ca.crt" } }],
  users: [{ name, user: { token: server } }],
  contexts: [{ name, context: { cluster: name, user: name } }],
  "current-context": current,
});

Deno.test("kubeconfigFiles(): a flag, else the files of KUBECONFIG, else ~/.kube/config where it exists", () =>
  inFolder((dir, write) => {
    const [a, b] = [write("a", {}), write("b", {})];
    const gone = `${dir}/gone`;
    const home = write("home/.kube/config", {});
    const cases: [flag: string, env: Record<string, string>, expected: string[]][] = [
      ["x", { KUBECONFIG: a, HOME: `${dir}/home` }, ["x"]],
      ["", { KUBECONFIG: a, HOME: `${dir}/home` }, [a]],
      ["", { KUBECONFIG: `${a}:${b}` }, [a, b]],
      ["", { KUBECONFIG: `${b}::${a}:${b}` }, [b, a]],
      ["", { KUBECONFIG: `${gone}:${b}` }, [b]],
      ["", { KUBECONFIG: gone, HOME: `${dir}/home` }, [gone]],
      ["", { KUBECONFIG: "", HOME: `${dir}/home` }, [home]],
      ["", { HOME: dir }, []],
      ["", {}, []],
    ];
    for (const [flag, env, expected] of cases) {
      assertEquals(kubeconfigFiles(flag, (name) => env[name]), expected, JSON.stringify([flag, env]));
    }
  }));

Deno.test("loadKubeconfig(): the first file wins, paths are relative to their own file, a context chooses", () =>
  inFolder((dir, write) => {
    const first = write("one/config", { ...config("eu", "https://first"), "current-context": "" });
    const second = write("two/config", {
      clusters: [...config("eu", "https://second").clusters, ...config("us", "https://us").clusters],
      users: [...config("eu", "https://second").users, ...config("us", "https://us").users],
      contexts: [...config("eu", "").contexts, ...config("us", "").contexts],
      "current-context": "us",
    });
    const env: Record<string, string> = { KUBECONFIG: `${first}:${dir}/gone:${second}` };
    const load = (context: string) =>
      loadKubeconfig({ kubeconfig: "", context }, { env: (name) => env[name], serviceAccountDir: "/sa" });
    const us = load("");
    assertEquals([us.context, us.cluster.server, us.cluster.caFile, us.user.token], [
      "us",
      "https://us",
      `${dir}/two/ca.crt`,
      "https://us",
    ]);
    const eu = load("eu");
    assertEquals([eu.cluster.server, eu.cluster.caFile, eu.user.token], [
      "https://first",
      `${dir}/one/ca.crt`,
      "https://first",
    ]);
  }));

Deno.test("loadKubeconfig(): the service account is for a pod without a kubeconfig, and for no context", () =>
  inFolder((dir, write) => {
    write("home/.kube/config", config("mine", "https://mine"));
    const pod = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" };
    const load = (env: Record<string, string>, context = "") =>
      loadKubeconfig({ kubeconfig: "", context }, { env: (name) => env[name], serviceAccountDir: "/sa" });
    const { cluster, context } = load(pod);
    assertEquals([context, cluster.server, cluster.caFile], [
      "in-cluster",
      "https://[fd00::1]:6443",
      "/sa/ca.crt",
    ]);
    assertEquals(load({ ...pod, HOME: `${dir}/home` }).cluster.server, "https://mine");
    const cases: [Record<string, string>, context: string, words: string][] = [
      [
        {},
        "",
        "cannot find a cluster: no --kubeconfig, no KUBECONFIG and no ~/.kube/config, and this is not a pod",
      ],
      [
        pod,
        "eu",
        `cannot find --kubecontext "eu": no --kubeconfig, no KUBECONFIG and no ~/.kube/config; give`,
      ],
      [{ KUBECONFIG: `${dir}/gone` }, "", `kubeconfig "${dir}/gone" cannot be read: No such file`],
      [
        { KUBECONFIG: write("empty", {}) },
        "",
        "has no current-context; give --kubecontext, one of: no context",
      ],
      [{ KUBECONFIG: write("nothing", null) }, "", "has no current-context"],
    ];
    for (const [env, wanted, words] of cases) {
      const error = assertThrows(() => load(env, wanted));
      assert(error instanceof KubeconfigError);
      assertStringIncludes(error.message, words);
    }
  }));
