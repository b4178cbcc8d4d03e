/**
 * Where a cluster is and how we prove who we are: a kubeconfig's context, or the pod's service account.
 *
 * Of client-node only the parts that do this are loaded, by their own modules: the kubeconfig's types and the authenticators
 * (rotating token file, exec plugin). Its index would bring every generated model of the Kubernetes API into memory: 85 MB and
 * half of the time in garbage collection (docs/benchmarks.md). Its legacy `auth-provider` plugins are not supported: kubectl has
 * dropped most of them for exec plugins.
 */
import {
  type Cluster,
  type Context,
  newClusters,
  newContexts,
  newUsers,
  type User,
} from "@kubernetes/client-node/dist/config_types.js";
import { ExecAuth } from "@kubernetes/client-node/dist/exec_auth.js";
import { FileAuth } from "@kubernetes/client-node/dist/file_auth.js";
import { parse } from "yaml";
import { reasonOf } from "../../base/reason.ts";
import { StoreError } from "../../principal/ports/store.ts";

/** How to reach a cluster. */
export interface AccessOptions {
  /** A kubeconfig file; empty: the pod's service account. */
  kubeconfig: string;
  /** The context to use; empty: the file's current one. */
  context: string;
  /** Where the service account's files are mounted; only tests set it. */
  serviceAccountRoot?: string;
}

/** What one connection proves itself with. */
export interface Credentials {
  ca: string;
  cert: string;
  key: string;
  /** `Authorization` and impersonation headers. */
  headers: Record<string, string>;
}

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/** What a configuration names. */
interface Named {
  cluster: Cluster;
  user: User;
  /** The kubeconfig's name for the two. */
  context: string;
}

/** One cluster, as one user. */
export class Access {
  readonly #authenticators = [new ExecAuth(), new FileAuth()];

  private constructor(private readonly named: Named) {}

  /** The kubeconfig's name for this cluster and user. */
  get context(): string {
    return this.named.context;
  }

  /** `https://host:port`, without a slash at the end. */
  get server(): string {
    return this.named.cluster.server.replace(/\/+$/, "");
  }

  /** A forward proxy that the kubeconfig names; empty: none. */
  get proxyUrl(): string {
    return this.named.cluster.proxyUrl ?? "";
  }

  /** Reads the configuration. @throws StoreError that names the file, the context and what is wrong */
  static load(options: AccessOptions): Access {
    const named = options.kubeconfig === "" ? fromPod(options) : fromFile(options);
    const problem = unsupported(named);
    if (problem) throw new StoreError("invalid", `kubeconfig "${options.kubeconfig}": ${problem}`);
    return new Access(named);
  }

  /** What to connect with now; token files are read again and exec plugins run when what they gave expires. */
  async credentials(): Promise<Credentials> {
    const { cluster, user } = this.named;
    const options: { headers: Record<string, string>; cert?: unknown; key?: unknown } = { headers: {} };
    try {
      const authenticator = this.#authenticators.find((candidate) => candidate.isAuthProvider(user));
      if (authenticator) await authenticator.applyAuthentication(user, options as never);
      if (user.token) options.headers["Authorization"] = `Bearer ${user.token}`;
      if (user.username) {
        options.headers["Authorization"] = `Basic ${btoa(`${user.username}:${user.password ?? ""}`)}`;
      }
      if (user.impersonateUser) options.headers["Impersonate-User"] = user.impersonateUser;
      return {
        ca: pem(cluster.caFile, cluster.caData),
        cert: options.cert ? String(options.cert) : pem(user.certFile, user.certData),
        key: options.key ? String(options.key) : pem(user.keyFile, user.keyData),
        headers: Object.fromEntries(
          Object.entries(options.headers).map(([name, value]) => [name, value.trim()]),
        ),
      };
    } catch (error) {
      throw new StoreError("unavailable", `cannot get credentials for ${this.server}: ${reasonOf(error)}`);
    }
  }
}

/** What of a kubeconfig cannot be done here, and what to do instead. */
function unsupported({ cluster, user }: Named): string | undefined {
  const provider = user.authProvider as { name?: string; config?: { tokenFile?: string } } | undefined;
  if (provider?.name && !provider.config?.tokenFile) {
    return `auth-provider "${provider.name}" is not supported; use its exec plugin (kubelogin, gke-gcloud-auth-plugin, …) ` +
      "or a token";
  }
  const field = cluster.tlsServerName
    ? "tls-server-name"
    : cluster.skipTLSVerify
    ? "insecure-skip-tls-verify"
    : "";
  if (field === "") return undefined;
  return `${field} is not supported; use an address that the API server's certificate names, and certificate-authority ` +
    "for a CA of your own";
}

function fromPod(options: AccessOptions): Named {
  const host = Deno.env.get("KUBERNETES_SERVICE_HOST") ?? "";
  const port = Deno.env.get("KUBERNETES_SERVICE_PORT") ?? "443";
  if (host === "") {
    throw new StoreError("invalid", "not in a cluster: give --kubeconfig FILE, or --store sqlite:FILE");
  }
  const root = `${options.serviceAccountRoot ?? ""}${SERVICE_ACCOUNT}`;
  const server = `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const cluster = { name: "in-cluster", caFile: `${root}/ca.crt`, server, skipTLSVerify: false };
  return { cluster, user: tokenFileUser("service account", `${root}/token`), context: "in-cluster" };
}

function fromFile(options: AccessOptions): Named {
  const path = options.kubeconfig;
  let clusters: Cluster[], users: User[], contexts: Context[], current: string;
  try {
    const file = parse(Deno.readTextFileSync(path)) as Record<string, never> & { users?: never[] };
    clusters = newClusters(file["clusters"] ?? []);
    users = newUsers(file.users ?? []).map((user) => followTokenFile(user, file.users ?? []));
    contexts = newContexts(file["contexts"] ?? []);
    current = String(file["current-context"] ?? "");
  } catch (error) {
    throw new StoreError("invalid", `kubeconfig "${path}" cannot be read: ${reasonOf(error)}`);
  }
  const wanted = options.context || current;
  const context = contexts.find(({ name }) => name === wanted);
  if (!context) {
    const names = contexts.map(({ name }) => name).join(", ") || "no context";
    throw new StoreError("invalid", `--kubecontext "${wanted}" is not in "${path}"; it has: ${names}`);
  }
  const cluster = clusters.find(({ name }) => name === context.cluster);
  const user = users.find(({ name }) => name === context.user);
  if (!cluster || !user) {
    const missing = cluster ? `user "${context.user}"` : `cluster "${context.cluster}"`;
    throw new StoreError(
      "invalid",
      `kubeconfig "${path}": context "${wanted}" names ${missing}, which is not in the file`,
    );
  }
  const folder = path.replace(/[^/]*$/, "");
  const absolute = (file?: string) => file && !file.startsWith("/") ? `${folder}${file}` : file;
  return {
    cluster: withFiles(cluster, { caFile: absolute(cluster.caFile) }),
    user: withFiles(user, { certFile: absolute(user.certFile), keyFile: absolute(user.keyFile) }),
    context: wanted,
  };
}

/** client-node reads a user's `tokenFile` once; as an authenticator it is read again every minute, as client-go does. */
function followTokenFile(user: User, users: { name: string; user?: { tokenFile?: string } }[]): User {
  const tokenFile = users.find(({ name }) => name === user.name)?.user?.tokenFile;
  return tokenFile ? tokenFileUser(user.name, tokenFile) : user;
}

function tokenFileUser(name: string, tokenFile: string): User {
  return { name, authProvider: { name: "tokenFile", config: { tokenFile } } };
}

function withFiles<T extends object>(value: T, files: Partial<Record<keyof T, string | undefined>>): T {
  return { ...value, ...Object.fromEntries(Object.entries(files).filter(([, file]) => file)) };
}

function pem(file: string | undefined, base64: string | undefined): string {
  if (file) return Deno.readTextFileSync(file);
  return base64 ? new TextDecoder().decode(Uint8Array.fromBase64(base64)) : "";
}
