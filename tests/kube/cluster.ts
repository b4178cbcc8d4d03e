/** A real API server for tests: etcd, kube-apiserver with RBAC and its own CA, and the controllers that deletion needs. */
import { stringify } from "yaml";
import { freePorts } from "../../src/cli/processes.ts";
import { until } from "../support/until.ts";
import {
  type KubernetesOptions,
  type KubernetesStore,
  openKubernetes,
} from "../../src/adapters/store/kubernetes.ts";
import { Authority, type Issued } from "../../src/adapters/tls/pki.ts";

/** Where the binaries are: set by scripts/run_tests.ts, or an envtest folder. */
export function command(component: string): { path: string; args: string[] } {
  const assets = Deno.env.get("KUBEBUILDER_ASSETS");
  if (assets) return { path: `${assets}/${component}`, args: [] };
  return { path: Deno.env.get("KUBE_BINARY") ?? "", args: [component] };
}

/** Why there is no cluster to be had, or undefined when there is. */
export function clusterMissing(): string | undefined {
  if (Deno.env.get("KUBEBUILDER_ASSETS") || Deno.env.get("KUBE_BINARY")) return undefined;
  return "no API server: install Go 1.26, or set KUBEBUILDER_ASSETS";
}

/** Options of tests that need a cluster; libraries leave timers behind for a moment. */
export const ON_CLUSTER = {
  ignore: clusterMissing() !== undefined,
  sanitizeOps: false,
  sanitizeResources: false,
};

/** The part of a CRD's spec that the harness reads. */
interface Definition {
  group: string;
  names: { plural: string };
  versions: { name: string }[];
}

/** The administrator, a certificate of this cluster's CA, or a kubeconfig's own `user`. */
export type User = "admin" | { name: string; groups: string } | { tokenFile: string } | { token: string } | {
  exec: Record<string, unknown>;
};

export interface ClusterOptions {
  /** Keep a record of every request: `Cluster.requests`. */
  audit?: boolean;
}

/** One request as the API server's audit log has it. */
export interface Audited {
  verb: string;
  user: { username: string };
  objectRef?: {
    resource: string;
    subresource?: string;
    apiGroup?: string;
    namespace?: string;
    name?: string;
  };
  responseStatus?: { code: number };
}

export class Cluster {
  readonly #children = new Map<string, { child: Deno.ChildProcess; flags: string[] }>();
  #etcd = 0;
  #client: Deno.HttpClient | undefined;
  #whole: Promise<KubernetesStore> | undefined;

  private constructor(
    readonly dir: string,
    readonly server: string,
    private readonly authority: Authority,
    private readonly admin: Issued,
  ) {}

  /**
   * Starts a cluster with these CRDs and waits until it is ready. The CRDs come before the controllers: the garbage
   * collector looks for new kinds only every 30 s. @throws Error with the end of the logs
   */
  static async start(definitions: Record<string, unknown>[], options: ClusterOptions = {}): Promise<Cluster> {
    const dir = Deno.makeTempDirSync({ prefix: "aaha-kube-" });
    const authority = await Authority.create(1);
    const admin = await authority.issue({
      commonName: "admin",
      organization: "system:masters",
      sans: [],
      server: false,
    });
    const [etcd, peer, api] = freePorts(3) as [number, number, number];
    const cluster = new Cluster(dir, `https://127.0.0.1:${api}`, authority, admin);
    try {
      await cluster.#run(etcd, peer, api, definitions, options);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** A kubeconfig of the administrator, or of another user. */
  async kubeconfig(user: User = "admin", port?: number): Promise<string> {
    const data = (text: string) => new TextEncoder().encode(text).toBase64();
    return stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "test",
      contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
      clusters: [{
        name: "test",
        cluster: {
          server: port ? `https://127.0.0.1:${port}` : this.server,
          "certificate-authority-data": data(this.authority.pem.cert),
        },
      }],
      users: [{ name: "test", user: await this.#credentials(user) }],
    });
  }

  /** The needs of a stand-in for this API server: a certificate to serve with, and an administrator's client. */
  async standIn(): Promise<{ server: { cert: string; key: string }; client: Deno.HttpClient }> {
    const { cert, key } = await this.authority.issue({
      commonName: "kube-apiserver",
      sans: ["127.0.0.1"],
      server: true,
    });
    return { server: { cert, key }, client: this.#adminClient() };
  }

  #adminClient(): Deno.HttpClient {
    const { cert, key } = this.admin;
    return Deno.createHttpClient({ caCerts: [this.authority.pem.cert], cert, key });
  }

  async #credentials(user: User): Promise<Record<string, unknown>> {
    if (user !== "admin" && !("name" in user)) return user;
    const { cert, key } = user === "admin" ? this.admin : await this.authority.issue({
      commonName: user.name,
      organization: user.groups,
      sans: [],
      server: false,
    });
    const data = (text: string) => new TextEncoder().encode(text).toBase64();
    return { "client-certificate-data": data(cert), "client-key-data": data(key) };
  }

  /** One request as the administrator, or as a user of its choice. */
  async request(
    method: string,
    path: string,
    body?: unknown,
    { contentType = "application/json", accept = "application/json", as = "" } = {},
  ): Promise<{ code: number; body: Record<string, unknown> }> {
    this.#client ??= this.#adminClient();
    const response = await fetch(`${this.server}${path}`, {
      method,
      client: this.#client,
      headers: { "Content-Type": contentType, Accept: accept, ...(as ? { "Impersonate-User": as } : {}) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { code: response.status, body: text.startsWith("{") ? JSON.parse(text) : { text } };
  }

  /** Creates a namespace; its name. */
  async namespace(name: string): Promise<string> {
    const object = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
    const { code, body } = await this.request("POST", "/api/v1/namespaces", object);
    if (code !== 201) throw new Error(`no namespace "${name}": ${JSON.stringify(body)}`);
    return name;
  }

  /** A store on this cluster for a principal of `namespace`, which sees that namespace only. */
  async store(namespace: string, options: Partial<KubernetesOptions> = {}): Promise<KubernetesStore> {
    return openKubernetes({
      kubeconfig: await this.kubeconfigFile(),
      context: "",
      namespace,
      admits: (candidate) => candidate === namespace,
      labelSelector: "",
      writeConcurrency: 32,
      createNamespaces: undefined,
      ...options,
    });
  }

  /** A store of the whole cluster, for looking at it and writing to it as its owner would; closed with the cluster. */
  whole(): Promise<KubernetesStore> {
    return this.#whole ??= this.store("argocd", { admits: () => true });
  }

  /** A file with the kubeconfig of the administrator, or of another user; through `port` where something stands in between. */
  async kubeconfigFile(user: User = "admin", port?: number): Promise<string> {
    const path = `${this.dir}/${crypto.randomUUID()}.kubeconfig`;
    Deno.writeTextFileSync(path, await this.kubeconfig(user, port));
    return path;
  }

  /** Kills a component (`kube-apiserver`, …) as a crash would. */
  async kill(component: string): Promise<void> {
    const running = this.#children.get(component);
    try {
      running?.child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await running?.child.status;
  }

  /** Starts a component that was killed, with the flags that it had, and waits until the API server is ready. */
  async restart(component: string): Promise<void> {
    this.#start(component, this.#children.get(component)?.flags ?? []);
    await this.#untilReady();
  }

  /** Everything that is stored, as of now; the API server and etcd are stopped and started for it. */
  async backup(): Promise<void> {
    await this.#withoutServers(() => this.#copy("etcd", "backup"));
  }

  /** Puts the backup back: the cluster goes back in time, resource versions and all. */
  async restore(): Promise<void> {
    await this.#withoutServers(() => {
      Deno.removeSync(`${this.dir}/etcd`, { recursive: true });
      this.#copy("backup", "etcd");
    });
  }

  async #withoutServers(meanwhile: () => void): Promise<void> {
    for (const component of ["kube-apiserver", "etcd"]) await this.kill(component);
    meanwhile();
    this.#start("etcd", this.#children.get("etcd")?.flags ?? []);
    await this.restart("kube-apiserver");
  }

  #copy(from: string, to: string): void {
    const walk = (folder: string) => {
      Deno.mkdirSync(`${this.dir}/${to}${folder}`, { recursive: true });
      for (const { name, isDirectory } of Deno.readDirSync(`${this.dir}/${from}${folder}`)) {
        if (isDirectory) walk(`${folder}/${name}`);
        else Deno.copyFileSync(`${this.dir}/${from}${folder}/${name}`, `${this.dir}/${to}${folder}/${name}`);
      }
    };
    walk("");
  }

  /** Forgets the history of etcd up to now: a watch that goes on from before is answered 410. */
  async compact(): Promise<void> {
    const ask = async (path: string, body: unknown) => {
      const response = await fetch(`http://127.0.0.1:${this.#etcd}/v3/kv/${path}`, {
        method: "POST",
        body: JSON.stringify(body),
      });
      return await response.json();
    };
    const { header } = await ask("range", { key: btoa("/"), limit: 1 });
    await ask("compaction", { revision: header.revision, physical: true });
  }

  /** The requests so far, of a cluster that is started with `audit`. */
  requests(): Audited[] {
    return Deno.readTextFileSync(`${this.dir}/audit.log`).trimEnd().split("\n").map((line) =>
      JSON.parse(line)
    );
  }

  async stop(): Promise<void> {
    this.#client?.close();
    await (await this.#whole)?.close();
    for (const component of [...this.#children.keys()].toReversed()) await this.kill(component);
    Deno.removeSync(this.dir, { recursive: true });
  }

  async #run(
    etcd: number,
    peer: number,
    api: number,
    definitions: Record<string, unknown>[],
    { audit }: ClusterOptions,
  ): Promise<void> {
    this.#etcd = etcd;
    const auditing = audit ? this.#auditing() : [];
    const server = await this.authority.issue({
      commonName: "kube-apiserver",
      sans: ["127.0.0.1", "localhost", "kubernetes.default.svc"],
      server: true,
    });
    const signing = await this.authority.issue({ commonName: "service-accounts", sans: [], server: false });
    const files = { "ca.crt": this.authority.pem.cert, "api.crt": server.cert, "api.key": server.key };
    for (const [name, text] of Object.entries({ ...files, "sa.crt": signing.cert, "sa.key": signing.key })) {
      Deno.writeTextFileSync(`${this.dir}/${name}`, text);
    }
    Deno.writeTextFileSync(`${this.dir}/kubeconfig`, await this.kubeconfig());
    this.#start("etcd", [
      `--data-dir=${this.dir}/etcd`,
      `--listen-client-urls=http://127.0.0.1:${etcd}`,
      `--advertise-client-urls=http://127.0.0.1:${etcd}`,
      `--listen-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-cluster=default=http://127.0.0.1:${peer}`,
      "--unsafe-no-fsync",
      "--log-level=error",
    ]);
    this.#start("kube-apiserver", [
      `--etcd-servers=http://127.0.0.1:${etcd}`,
      "--bind-address=127.0.0.1",
      `--secure-port=${api}`,
      `--cert-dir=${this.dir}`,
      `--tls-cert-file=${this.dir}/api.crt`,
      `--tls-private-key-file=${this.dir}/api.key`,
      `--client-ca-file=${this.dir}/ca.crt`,
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${this.dir}/sa.crt`,
      `--service-account-signing-key-file=${this.dir}/sa.key`,
      "--authorization-mode=RBAC",
      "--service-cluster-ip-range=10.96.0.0/16",
      ...auditing,
    ]);
    await this.#untilReady();
    for (const definition of definitions) await this.#define(definition);
    this.#start("kube-controller-manager", [
      `--kubeconfig=${this.dir}/kubeconfig`,
      "--controllers=garbage-collector-controller,namespace-controller",
      "--leader-elect=false",
      "--secure-port=0",
    ]);
  }

  async #define(definition: Record<string, unknown>): Promise<void> {
    const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    const { code, body } = await this.request("POST", path, definition);
    if (code !== 201) throw new Error(`a CRD is refused: ${JSON.stringify(body).slice(0, 500)}`);
    const { names, group, versions } = body["spec"] as Definition;
    const served = `/apis/${group}/${versions[0]?.name}/${names.plural}`;
    await until(
      async () => (await this.request("GET", served)).code === 200 && await this.#discovered(names.plural),
      20_000,
      () => `${served} is never served`,
    );
  }

  /** Whether the document that controllers discover kinds from has this one: it is made a little after the kind is served. */
  async #discovered(plural: string): Promise<boolean> {
    const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    const { body } = await this.request("GET", "/apis", undefined, { accept });
    return JSON.stringify(body).includes(`"${plural}"`);
  }

  #auditing(): string[] {
    const policy = {
      apiVersion: "audit.k8s.io/v1",
      kind: "Policy",
      rules: [{ level: "Metadata" }],
      omitStages: ["RequestReceived"],
    };
    Deno.writeTextFileSync(`${this.dir}/audit.yaml`, stringify(policy));
    return [`--audit-policy-file=${this.dir}/audit.yaml`, `--audit-log-path=${this.dir}/audit.log`];
  }

  #untilReady(): Promise<void> {
    return until(
      async () => (await this.request("GET", "/readyz").catch(() => ({ code: 0 }))).code === 200,
      60_000,
      () => `the API server is not ready:\n${this.#log("kube-apiserver")}\n${this.#log("etcd")}`,
    );
  }

  #start(component: string, flags: string[]): void {
    const { path, args } = command(component);
    const child = new Deno.Command(path, {
      args: [...args, ...flags],
      cwd: this.dir,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#children.set(component, { child, flags });
    const keep = async (output: ReadableStream<Uint8Array>) => {
      for await (const chunk of output) {
        try {
          Deno.writeFileSync(`${this.dir}/${component}.log`, chunk, { append: true });
        } catch {
          // The folder is gone: the cluster is being stopped.
        }
      }
    };
    keep(child.stdout);
    keep(child.stderr);
  }

  #log(component: string): string {
    try {
      return Deno.readTextFileSync(`${this.dir}/${component}.log`).split("\n").slice(-12).join("\n");
    } catch {
      return `${component}: no log`;
    }
  }
}
