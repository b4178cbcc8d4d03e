/**
 * One cluster, as one user: its address and the present credentials. Token files are read, and exec plugins run, when the former token
 * has expired. Legacy `auth-provider` plugins are not supported: kubectl has dropped most of them for exec plugins.
 */
import { reasonOf } from "../../base/reason.ts";
import { ApiFailure } from "./api_failure.ts";
import { ExecAuth, FileAuth } from "./client_node_internals.ts";
import { type AccessOptions, loadKubeconfig, type Machine, type Named } from "./kubeconfig.ts";

/** The identity that one connection presents. */
export interface Credentials {
  ca: string;
  cert: string;
  key: string;
  /** `Authorization` and impersonation headers. */
  headers: Record<string, string>;
}

export class Access {
  readonly #authenticators = [new ExecAuth(), new FileAuth()];

  private constructor(private readonly named: Named) {}

  /** Reads the configuration. @throws KubeconfigError */
  static load(options: AccessOptions, machine?: Machine): Access {
    return new Access(loadKubeconfig(options, machine));
  }

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

  /** The credentials to connect with now. @throws ApiFailure of status 0 when they cannot be had */
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
      throw new ApiFailure(0, `cannot get credentials for ${this.server}: ${reasonOf(error)}`);
    }
  }
}

function pem(file: string | undefined, base64: string | undefined): string {
  if (file) return Deno.readTextFileSync(file);
  return base64 ? new TextDecoder().decode(Uint8Array.fromBase64(base64)) : "";
}
