/**
 * From flags to settings: where the certificates come from, and the versions of TLS that the listeners speak. The runtime has one set of
 * cipher suites for each version, and narrows none of them.
 */
import type { StoreSettings } from "./store_settings.ts";
import { boolOf, certificateOf, UsageError, type Value } from "./usage.ts";

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

export interface TlsVersions {
  minVersion: TlsVersion;
  maxVersion: TlsVersion;
}

const VERSIONS = new Map<string, TlsVersion>([["tls1.2", "TLSv1.2"], ["tls1.3", "TLSv1.3"]]);

/** The suites of each version by the names of IANA, which are Go's too. */
export const CIPHER_SUITES: Record<TlsVersion, readonly string[]> = {
  "TLSv1.2": [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
  ],
  "TLSv1.3": ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
};

/** @throws UsageError for versions or suites that cannot be had */
export function tlsVersionsOf(value: Value): TlsVersions {
  const versions = {
    minVersion: version(value, "tls-min-version", "TLSv1.3"),
    maxVersion: version(value, "tls-max-version", "TLSv1.3"),
  };
  if (versions.minVersion > versions.maxVersion) {
    throw new UsageError(
      `--tls-min-version "${value("tls-min-version")}" is above --tls-max-version "${
        value("tls-max-version")
      }"`,
    );
  }
  checkSuites(value("tls-ciphersuites").split(",").filter(Boolean), versions);
  return versions;
}

/** Whether the server certificate is made at the start; without TLS there is none. @throws UsageError where there is another */
export function generatesTls(value: Value): boolean {
  if (!boolOf(value, "insecure-tls-generate") || boolOf(value, "insecure-plaintext")) return false;
  if (value("tls-cert") === "" && value("tls-key") === "") return true;
  throw new UsageError("--insecure-tls-generate and --tls-cert exclude each other: leave one of them out");
}

/** Whether a client without a certificate is turned away. */
export function requiresClientCerts(value: Value): boolean {
  return boolOf(value, "require-client-certs") || value("auth").startsWith("mtls:");
}

/** All three files; in a cluster, the Go tools' Secrets replace the files that are not given. @throws UsageError */
export function tlsFilesOf(value: Value, store: StoreSettings): { cert: string; key: string; ca: string } {
  const tls = { ...certificateOf(value, "tls-cert", "tls-key"), ca: value("root-ca-path") };
  if (store.type === "kubernetes" || boolOf(value, "insecure-plaintext")) return tls;
  const isMade = generatesTls(value);
  for (
    const [flag, path, isNeeded] of [
      ["tls-cert", tls.cert, !isMade],
      ["tls-key", tls.key, !isMade],
      ["root-ca-path", tls.ca, !isMade || requiresClientCerts(value)],
    ] as const
  ) {
    if (path === "" && isNeeded) {
      throw new UsageError(`--${flag} is required (make files to try out with: pki init DIR)`);
    }
  }
  return tls;
}

/** The suites of these versions. */
function suitesOf({ minVersion, maxVersion }: TlsVersions): string[] {
  return Object.entries(CIPHER_SUITES)
    .filter(([version]) => version >= minVersion && version <= maxVersion)
    .flatMap(([, suites]) => suites);
}

function version(value: Value, name: string, otherwise: TlsVersion): TlsVersion {
  const wanted = value(name);
  const found = wanted === "" ? otherwise : VERSIONS.get(wanted);
  if (found) return found;
  throw new UsageError(`--${name} "${wanted}": must be one of ${[...VERSIONS.keys()].join(", ")}`);
}

/** A suite that is not wanted and served all the same would be a lie about security. */
function checkSuites(wanted: readonly string[], versions: TlsVersions): void {
  if (wanted.length === 0) return;
  const unwanted = suitesOf(versions).filter((suite) => !wanted.includes(suite));
  if (unwanted.length === 0) return;
  throw new UsageError(
    `--tls-ciphersuites leaves out ${
      unwanted.join(", ")
    }, which cannot be switched off: name them too, leave the flag out, or ` +
      "narrow the versions with --tls-min-version and --tls-max-version",
  );
}
