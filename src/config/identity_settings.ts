/** Flags about identities that are accepted and weaker than they look: what is said of them at the start. */
import { type AuthMethod, isAnchored } from "../domain/agents/identity.ts";
import { boolOf, type Value } from "./usage.ts";

/** Whether a token must come with a certificate of its name: as in the Go principal only where certificates are required. */
export function subjectMatchOf(value: Value): boolean {
  const required = boolOf(value, "require-client-certs") || value("auth").startsWith("mtls:");
  return boolOf(value, "client-cert-subject-match") && required && !boolOf(value, "insecure-plaintext");
}

/** Warnings, in an operator's words. */
export function identityWarnings(
  value: Value,
  { auth, haEnabled, peerIdentity, peerAddress, allowedReplicationClients }: {
    auth: AuthMethod;
    haEnabled: boolean;
    peerIdentity: string;
    peerAddress: string;
    allowedReplicationClients: readonly string[];
  },
): string[] {
  const warnings: string[] = [];
  if (auth.method === "mtls" && !isAnchored(auth.rule)) {
    warnings.push(
      `--auth "${
        value("auth")
      }" is not anchored and may match in the middle of a name; begin it with ^, e.g. 'mtls:^CN=([^,]+)'`,
    );
  }
  if (boolOf(value, "client-cert-subject-match") && !subjectMatchOf(value)) {
    warnings.push(
      "--client-cert-subject-match has no effect: client certificates are not required; set --require-client-certs, with TLS",
    );
  }
  const sole = [1, 2].includes(allowedReplicationClients.length);
  if (haEnabled && peerAddress !== "" && peerIdentity === "" && !sole) {
    warnings.push(
      "several identities may replicate, and which one is the peer is taken from the certificate at --ha-peer-address; name it in --ha-peer-identity",
    );
  }
  return warnings;
}
