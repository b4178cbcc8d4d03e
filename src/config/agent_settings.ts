/** From flags to settings: how agents authenticate, and how Argo CD reaches them. */
import { type AuthMethod, parseMtlsRule } from "../domain/agents/identity.ts";
import { Pattern } from "../base/pattern.ts";
import { reasonOf } from "../base/reason.ts";
import { boolOf, certificateOf, listOf, portOf, UsageError, type Value } from "./usage.ts";

/** `--auth METHOD:CONFIG`. @throws UsageError */
export function authOf(value: Value): AuthMethod {
  const auth = value("auth");
  const [, method, config = ""] = /^([a-z]+):(.*)$/s.exec(auth) ?? [];
  if (!method) {
    throw new UsageError(`invalid auth string "${auth}": set --auth, e.g. --auth 'mtls:^CN=([^,]+)'`);
  }
  const plaintext = boolOf(value, "insecure-plaintext");
  if (method === "mtls") {
    if (plaintext) {
      throw new UsageError(`--auth "mtls:" needs TLS; it cannot be had with --insecure-plaintext`);
    }
    return { method, rule: usable(() => parseMtlsRule(config)) };
  }
  if (method === "userpass") {
    if (config === "") throw new UsageError(`--auth "userpass:": name the file of users, userpass:FILE`);
    return { method, file: config };
  }
  if (method !== "header") {
    throw new UsageError(
      `--auth "${method}:": unknown method; use mtls:REGEX, userpass:FILE or header:NAME:REGEX`,
    );
  }
  if (!plaintext) {
    throw new UsageError(
      `--auth "header:" is for a proxy in front that proves who agents are; it needs --insecure-plaintext`,
    );
  }
  const [, name = "", pattern = ""] = /^([^:]+):(.+)$/s.exec(config) ?? [];
  if (name === "") throw new UsageError(`--auth "header:${config}": must be header:NAME:REGEX`);
  return { method, name: name.toLowerCase(), pattern: usable(() => Pattern.of(pattern)) };
}

/** `--enable-self-cluster-registration` and what it needs. @throws UsageError */
export function selfRegistrationOf(value: Value): { secret: string; proxyAddress: string } | undefined {
  if (!boolOf(value, "enable-self-cluster-registration")) return undefined;
  const secret = value("self-registration-client-cert-secret");
  if (secret === "") {
    throw new UsageError(
      "--enable-self-cluster-registration needs --self-registration-client-cert-secret NAME, a Secret with tls.crt, " +
        "tls.key and ca.crt for Argo CD's connection to the resource proxy",
    );
  }
  if (!boolOf(value, "enable-resource-proxy")) {
    throw new UsageError(
      "--enable-self-cluster-registration needs the resource proxy, which is off: leave out --enable-resource-proxy=false",
    );
  }
  return { secret, proxyAddress: value("resource-proxy-address") };
}

/** The resource proxy. */
export interface ResourceProxySettings {
  port: number;
  /** Files; empty: the Secrets named below. */
  tls: { cert: string; key: string; ca: string };
  tlsSecretName: string;
  caSecretName: string;
  /** Common names that may call, with a token; empty: every certificate of the CA may. */
  callers: string[];
}

/** `--enable-resource-proxy` and what it needs; undefined: it is off. @throws UsageError */
export function resourceProxyOf(value: Value, storeType: string): ResourceProxySettings | undefined {
  if (!boolOf(value, "enable-resource-proxy")) return undefined;
  const { cert, key } = certificateOf(value, "resource-proxy-cert-path", "resource-proxy-key-path");
  const ca = value("resource-proxy-ca-path");
  if (storeType !== "kubernetes") {
    if (cert === "" && ca === "") return undefined;
    if (cert === "" || ca === "") {
      throw new UsageError(
        "--resource-proxy-cert-path, --resource-proxy-key-path and --resource-proxy-ca-path belong together: give all three",
      );
    }
  }
  return {
    port: portOf(value, "resource-proxy-port"),
    tls: { cert, key, ca },
    tlsSecretName: value("resource-proxy-secret-name"),
    caSecretName: value("resource-proxy-ca-secret-name"),
    callers: listOf(value, "resource-proxy-callers"),
  };
}

function usable<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new UsageError(reasonOf(error));
  }
}
