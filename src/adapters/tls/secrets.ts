/**
 * Certificates and the token key: from files where flags name them, otherwise from the Secrets that the Go tools make
 * (`argocd-agentctl pki`, `jwt create-key`), which the Kubernetes store can read.
 */
import { Buffer } from "node:buffer";
import { keyOf } from "../../domain/resources/keys.ts";
import { dataOf } from "../../domain/resources/config_map.ts";
import type { Store } from "../../principal/ports/store.ts";
import { type Pem, readPem, type TlsParts, type TlsSource } from "./files.ts";

/** The files of the flags, and the Secrets that replace missing ones. */
export interface TlsSettings {
  namespace: string;
  /** Files; empty: the Secrets. */
  tls: { cert: string; key: string; ca: string };
  tlsSecretName: string;
  caSecretName: string;
}

export interface JwtSettings {
  namespace: string;
  jwtKey: string;
  jwtSecretName: string;
}

/** A Secret, read once: what belongs together in it is of one state. */
class Secret {
  private constructor(
    private readonly namespace: string,
    private readonly name: string,
    private readonly data: Record<string, unknown> | undefined,
  ) {}

  static async read(store: Store, namespace: string, name: string): Promise<Secret> {
    const found = await store.get(keyOf("Secret", namespace, name));
    return new Secret(namespace, name, found && dataOf(found));
  }

  /** The first of `fields` that it has. @throws Error that says how to make it, or which flag does without it */
  pem(fields: string[], flag: string): Pem {
    const field = fields.find((candidate) => typeof this.data?.[candidate] === "string");
    const from = `Secret ${this.namespace}/${this.name} (${field ?? fields.join(" or ")})`;
    if (!field) {
      const problem = this.data ? "is not in it" : "does not exist";
      throw new Error(
        `${from} ${problem}; create it (${
          commandFor(this.namespace, this.name, fields[0] ?? "")
        }), or give ${flag}`,
      );
    }
    return { text: Buffer.from(String(this.data?.[field]), "base64"), from };
  }
}

/** The Secrets that the Go tools make, always by these names. */
const AGENTCTL = new Map([
  ["argocd-agent-principal-tls", "pki issue principal"],
  ["argocd-agent-resource-proxy-tls", "pki issue resource-proxy --dns argocd-agent-resource-proxy"],
  ["argocd-agent-ca", "pki init"],
  ["argocd-agent-jwt", "jwt create-key"],
]);

/** The command that makes a Secret with a field. */
export function commandFor(namespace: string, name: string, field: string): string {
  const made = AGENTCTL.get(name);
  if (made) return `argocd-agentctl ${made} --principal-namespace ${namespace}`;
  const create = `kubectl -n ${namespace} create secret`;
  return field.startsWith("tls.")
    ? `${create} tls ${name} --cert FILE --key FILE`
    : `${create} generic ${name} --from-file ${field}=FILE`;
}

/** The flags that name the files. */
export const TLS_FLAGS = { cert: "--tls-cert", key: "--tls-key", ca: "--root-ca-path" };
export const RESOURCE_PROXY_FLAGS = {
  cert: "--resource-proxy-cert-path",
  key: "--resource-proxy-key-path",
  ca: "--resource-proxy-ca-path",
};
const REDIS_PROXY_FLAGS = {
  cert: "--redis-proxy-server-tls-cert",
  key: "--redis-proxy-server-tls-key",
};

/** Where certificate, key and CA come from; `made`: those that are here already. */
export function tlsSource(
  wanted: TlsSettings,
  store: Store,
  names = TLS_FLAGS,
  made: Partial<TlsParts> = {},
): TlsSource {
  const { tls, namespace, tlsSecretName, caSecretName } = wanted;
  return async () => {
    const own = made.cert && made.key
      ? { cert: made.cert, key: made.key }
      : await certificate({ ...tls, secretName: tlsSecretName }, names, namespace, store);
    const authority = tls.ca === "" && !made.ca
      ? await Secret.read(store, namespace, caSecretName)
      : undefined;
    return {
      ...own,
      ca: made.ca ?? authority?.pem(["tls.crt", "ca.crt"], names.ca) ?? readPem(names.ca, tls.ca),
    };
  };
}

/** A certificate and its key. @param names of the flags @throws Error */
async function certificate(
  { cert, key, secretName }: ServerTlsSettings,
  names: { cert: string; key: string },
  namespace: string,
  store: Store,
): Promise<Pick<TlsParts, "cert" | "key">> {
  if (cert !== "") return { cert: readPem(names.cert, cert), key: readPem(names.key, key) };
  const secret = await Secret.read(store, namespace, secretName);
  const flags = `${names.cert} and ${names.key}`;
  return { cert: secret.pem(["tls.crt"], flags), key: secret.pem(["tls.key"], flags) };
}

/** How often a source is looked at again, in ms. @param paths its files; an empty one: a Secret, which costs the API server a request */
export function rereadMs(...paths: string[]): number {
  return paths.includes("") ? 30_000 : 2_000;
}

/** Whether a key for agents' tokens is configured: without one no agent can authenticate. */
export function hasSigningKey(
  { generateJwtKey, jwtKey, store }: { generateJwtKey: boolean; jwtKey: string; store: { type: string } },
): boolean {
  return generateJwtKey || jwtKey !== "" || store.type !== "sqlite";
}

/** The RSA key that signs agents' tokens, as PEM. @throws Error */
export async function jwtPem(wanted: JwtSettings, store: Store): Promise<Pem> {
  if (wanted.jwtKey !== "") return readPem("--jwt-key", wanted.jwtKey);
  const secret = await Secret.read(store, wanted.namespace, wanted.jwtSecretName);
  return secret.pem(["jwt.key"], "--jwt-key or --insecure-jwt-generate");
}

/** Where the CA of Argo CD's Redis comes from. */
export interface RedisCaSettings {
  /** Empty: the Secret. */
  caPath: string;
  /** Empty: no CA but the system's. */
  caSecretName: string;
}

/** The CA of Argo CD's Redis as PEM; undefined: the system's authorities. @throws Error */
export async function redisCa(
  { caPath, caSecretName }: RedisCaSettings,
  namespace: string,
  store: Store,
): Promise<Pem | undefined> {
  if (caPath !== "") return readPem("--redis-ca-path", caPath);
  if (caSecretName === "") return undefined;
  const secret = await Secret.read(store, namespace, caSecretName);
  return secret.pem(["ca.crt"], "--redis-ca-path");
}

/** Where the certificate of a listener comes from that asks its clients for none. */
export interface ServerTlsSettings {
  /** Files; empty: the Secret. */
  cert: string;
  key: string;
  secretName: string;
}

/** The certificate and key of the Redis proxy; its own certificate stands for the CA, which nobody asks for. */
export function redisProxySource(
  wanted: ServerTlsSettings,
  namespace: string,
  store: Store,
): TlsSource {
  return async () => {
    const own = await certificate(wanted, REDIS_PROXY_FLAGS, namespace, store);
    return { ...own, ca: own.cert };
  };
}
