/**
 * The identity of a client certificate by the rule of `--auth mtls:`, as in the Go principal: a regular expression is
 * searched in the distinguished name, or in each URI SAN, and its first group is the identity.
 */
import { Pattern } from "../../base/pattern.ts";
import { reasonOf } from "../../base/reason.ts";
import { isDnsLabel } from "../resources/keys.ts";

/** The parts of a certificate that identity is taken from. */
export interface CertificateNames {
  /** Attribute type (short name or dotted OID) and value, in the certificate's order. */
  subject: [type: string, value: string][];
  uris: string[];
  /** Upper-case hex SHA-256 of the DER. */
  fingerprint: string;
}

/** A parsed `--auth mtls:`. */
export interface MtlsRule {
  source: "subject" | "uri";
  pattern: Pattern;
}

/** A parsed `--auth`: how an agent proves who it is. */
export type AuthMethod =
  | { method: "mtls"; rule: MtlsRule }
  | { method: "userpass"; file: string }
  | { method: "header"; name: string; pattern: Pattern };

/** An agent's identity, with a tag of what proves it where that can be changed (empty: it cannot), or why it is unknown. */
export type Proof = { identity: string; credential: string } | { problem: string };

const ORDER = ["SERIALNUMBER", "CN", "POSTALCODE", "STREET", "ST", "L", "OU", "O", "C"];
const BY_OID = new Map([
  ["2.5.4.5", "SERIALNUMBER"],
  ["2.5.4.3", "CN"],
  ["2.5.4.17", "POSTALCODE"],
  ["2.5.4.9", "STREET"],
  ["2.5.4.8", "ST"],
  ["2.5.4.7", "L"],
  ["2.5.4.11", "OU"],
  ["2.5.4.10", "O"],
  ["2.5.4.6", "C"],
]);

/**
 * The DN as the Go principal's regex sees it: RFC 2253 escaping, no spaces, types in a fixed order whatever the
 * certificate's, several values of one type joined with `+`, unknown types last.
 */
export function dnString(subject: CertificateNames["subject"]): string {
  const byType = new Map<string, string[]>();
  for (const [type, value] of subject) {
    const name = BY_OID.get(type) ?? type.toUpperCase();
    byType.set(name, [...(byType.get(name) ?? []), `${name}=${escapeDn(value)}`]);
  }
  const names = [...byType.keys()];
  const known = ORDER.filter((type) => byType.has(type));
  const unknown = names.filter((type) => !ORDER.includes(type));
  return [...known, ...unknown].map((type) => byType.get(type)?.join("+")).join(",");
}

function escapeDn(value: string): string {
  const escaped = value.replace(/[,+"\\<>;]/g, "\\$&").replace(/^[# ]/, "\\$&");
  return /[^\\] $/.test(escaped) ? `${escaped.slice(0, -1)}\\ ` : escaped;
}

/** Parses the part after `mtls:`. @throws Error naming what is wrong */
export function parseMtlsRule(config: string): MtlsRule {
  const [, source, rest] = /^(subject|uri):(.*)$/s.exec(config) ?? [undefined, "subject", config];
  if (!rest) throw new Error(`invalid --auth "mtls:${config}": the regular expression is empty`);
  try {
    return { source: source as MtlsRule["source"], pattern: Pattern.of(rest) };
  } catch (error) {
    throw new Error(`invalid --auth "mtls:${config}": ${reasonOf(error)}`);
  }
}

/** The identity of a certificate, or why it has none. */
export function identify(
  names: CertificateNames,
  rule: MtlsRule,
): { identity: string } | { problem: string } {
  const texts = rule.source === "uri" ? names.uris : [dnString(names.subject)];
  const id = texts.map((text) => rule.pattern.firstGroup(text)).find((match) => match);
  if (!id) {
    return {
      problem: `the certificate's ${rule.source} "${texts.join(" ").slice(0, 200)}" does not match --auth`,
    };
  }
  if (!isDnsLabel(id)) return { problem: `"${id.slice(0, 100)}" is not a DNS-1123 label` };
  return { identity: id };
}

/** The identity behind a certificate, or why there is none. */
export function identityBehind(
  certificate: CertificateNames | undefined,
  rule: MtlsRule,
): { identity: string } | { problem: string } {
  return certificate ? identify(certificate, rule) : { problem: "the client presented no certificate" };
}
