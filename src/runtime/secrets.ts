/**
 * Certificates and the token key: from files where flags name them, otherwise from the Secrets that the peer's tools make
 * (`argocd-agentctl pki`, `jwt create-key`), which the Kubernetes store can read.
 */
import { Buffer } from "node:buffer";
import { keyOf } from "../resources/keys.ts";
import { isRecord } from "../resources/object.ts";
import type { Store } from "../store/port.ts";
import { type Pem, readPem, type TlsSource } from "../tls/files.ts";
import type { Settings } from "./settings.ts";

type Wanted = Pick<
  Settings,
  "tls" | "tlsSecretName" | "caSecretName" | "jwtKey" | "jwtSecretName" | "namespace"
>;

/** One entry of a Secret; the first of `fields` that it has. @throws Error that says how to make it */
async function secretPem(
  store: Store,
  { namespace }: Wanted,
  name: string,
  fields: string[],
  flag: string,
): Promise<Pem> {
  const found = await store.get(keyOf("Secret", namespace, name));
  const data = found && isRecord(found["data"]) ? found["data"] : {};
  const field = fields.find((candidate) => typeof data[candidate] === "string");
  const from = `Secret ${namespace}/${name} (${field ?? fields.join(" or ")})`;
  if (!field) {
    throw new Error(
      `${from} ${found ? "is not in it" : "does not exist"}; create it (argocd-agentctl), or give ${flag}`,
    );
  }
  return { text: Buffer.from(String(data[field]), "base64"), from };
}

/** Where certificate, key and CA come from. */
export function tlsSource(wanted: Wanted, store: Store): TlsSource {
  const { tls, tlsSecretName, caSecretName } = wanted;
  const files = tls.cert !== "";
  return async () => ({
    cert: files
      ? readPem("--tls-cert", tls.cert)
      : await secretPem(store, wanted, tlsSecretName, ["tls.crt"], "--tls-cert and --tls-key"),
    key: files
      ? readPem("--tls-key", tls.key)
      : await secretPem(store, wanted, tlsSecretName, ["tls.key"], "--tls-cert and --tls-key"),
    ca: tls.ca !== ""
      ? readPem("--root-ca-path", tls.ca)
      : await secretPem(store, wanted, caSecretName, ["tls.crt", "ca.crt"], "--root-ca-path"),
  });
}

/** The RSA key that signs agents' tokens, as PEM. @throws Error */
export async function jwtPem(wanted: Wanted, store: Store): Promise<Pem> {
  if (wanted.jwtKey !== "") return readPem("--jwt-key", wanted.jwtKey);
  return await secretPem(
    store,
    wanted,
    wanted.jwtSecretName,
    ["jwt.key"],
    "--jwt-key or --insecure-jwt-generate",
  );
}
