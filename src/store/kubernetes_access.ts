/**
 * Where a cluster is and how we prove who we are: a kubeconfig's context, or the pod's service account. client-node reads
 * the files and runs its authenticators (client certificate, token, rotating token file, exec plugin, OIDC); what they
 * say is handed on as plain strings, so that any transport can use it.
 */
import { KubeConfig } from "@kubernetes/client-node";
import { parse } from "yaml";
import { StoreError } from "./port.ts";

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

/** Whether this process runs in a pod that has a service account. */
export function inCluster(env: (name: string) => string | undefined): boolean {
  return (env("KUBERNETES_SERVICE_HOST") ?? "") !== "" && (env("KUBERNETES_SERVICE_PORT") ?? "") !== "";
}

/** One cluster, as one user. */
export class Access {
  private constructor(
    readonly config: KubeConfig,
    /** `https://host:port`, without a slash at the end. */
    readonly server: string,
    /** The namespace that the context or the pod names; empty: none. */
    readonly namespace: string,
    /** A forward proxy that the kubeconfig names; empty: none. */
    readonly proxyUrl: string,
  ) {}

  /** Reads the configuration. @throws StoreError that names the file, the context and what is wrong */
  static load({ kubeconfig, context, serviceAccountRoot = "" }: AccessOptions): Access {
    const config = kubeconfig === "" ? fromPod(serviceAccountRoot) : fromFile(kubeconfig);
    if (context !== "") {
      const names = config.getContexts().map(({ name }) => name);
      if (!names.includes(context)) {
        throw new StoreError(
          "invalid",
          `--kubecontext "${context}" is not in "${kubeconfig}"; it has: ${names.join(", ") || "no context"}`,
        );
      }
      config.setCurrentContext(context);
    }
    const cluster = config.getCurrentCluster();
    if (!cluster || !config.getCurrentUser()) {
      throw new StoreError(
        "invalid",
        `kubeconfig "${kubeconfig}": the context "${
          config.getCurrentContext() ?? ""
        }" names no cluster or no user; ` +
          "choose one with --kubecontext",
      );
    }
    for (
      const [field, given] of [["tls-server-name", cluster.tlsServerName], [
        "insecure-skip-tls-verify",
        cluster.skipTLSVerify,
      ]]
    ) {
      if (!given) continue;
      throw new StoreError(
        "invalid",
        `kubeconfig "${kubeconfig}": ${field} is not supported; use an address that the API server's certificate names, ` +
          "and certificate-authority for a CA of your own",
      );
    }
    const namespace = config.getContextObject(config.getCurrentContext())?.namespace ?? "";
    return new Access(config, cluster.server.replace(/\/+$/, ""), namespace, cluster.proxyUrl ?? "");
  }

  /** What to connect with now; token files are read again and exec plugins run when what they gave expires. */
  async credentials(): Promise<Credentials> {
    const options: Parameters<KubeConfig["applyToHTTPSOptions"]>[0] = {};
    try {
      await this.config.applyToHTTPSOptions(options);
    } catch (error) {
      throw new StoreError(
        "unavailable",
        `cannot get credentials for ${this.server}: ${(error as Error).message}`,
      );
    }
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(options.headers ?? {})) headers[name] = String(value).trim();
    if (options.auth) headers["Authorization"] = `Basic ${btoa(options.auth)}`;
    return { ca: text(options.ca), cert: text(options.cert), key: text(options.key), headers };
  }
}

function fromPod(root: string): KubeConfig {
  if (!inCluster((name) => Deno.env.get(name))) {
    throw new StoreError("invalid", "not in a cluster: give --kubeconfig FILE, or --store sqlite:FILE");
  }
  const config = new KubeConfig();
  config.loadFromCluster(root);
  return config;
}

function fromFile(path: string): KubeConfig {
  const config = new KubeConfig();
  try {
    config.loadFromFile(path);
    followTokenFiles(config, path);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound ? "no such file" : (error as Error).message;
    throw new StoreError("invalid", `kubeconfig "${path}" cannot be read: ${reason}`);
  }
  return config;
}

/** client-node reads a user's `tokenFile` once; as an authenticator it is read again every minute, as client-go does. */
function followTokenFiles(config: KubeConfig, path: string): void {
  const users =
    (parse(Deno.readTextFileSync(path)) as { users?: { name: string; user?: { tokenFile?: string } }[] })
      .users;
  config.users = config.users.map((user) => {
    const tokenFile = users?.find(({ name }) => name === user.name)?.user?.tokenFile;
    if (!tokenFile) return user;
    const { token: _, ...rest } = user;
    return { ...rest, authProvider: { name: "tokenFile", config: { tokenFile } } };
  });
}

function text(part: unknown): string {
  if (Array.isArray(part)) return part.map(text).join("\n");
  return part === undefined || part === null ? "" : String(part);
}
