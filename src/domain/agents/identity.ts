/**
 * The identity of a client certificate by the rule of `--auth mtls:`, as in the Go principal: a regular expression is
 * searched in the distinguished name, or in each URI SAN, and its first group is the identity. Unlike there, an attribute's name in the
 * expression matches attributes only.
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
  return distinguishedName(subject).text;
}

/** The DN, and where in it values of attributes begin. */
function distinguishedName(
  subject: CertificateNames["subject"],
): { text: string; values: ReadonlySet<number> } {
  const byType = new Map<string, string[]>();
  for (const [type, value] of subject) {
    const name = BY_OID.get(type) ?? type.toUpperCase();
    byType.set(name, [...(byType.get(name) ?? []), value]);
  }
  const unknown = [...byType.keys()].filter((type) => !ORDER.includes(type));
  const values = new Set<number>();
  let text = "";
  for (const type of [...ORDER.filter((known) => byType.has(known)), ...unknown]) {
    for (const [n, value] of (byType.get(type) ?? []).entries()) {
      text += `${n > 0 ? "+" : text === "" ? "" : ","}${type}=`;
      values.add(text.length);
      text += escapeDn(value);
    }
  }
  return { text, values };
}

/** `TYPE=`, as it stands before an attribute's value, or inside one that imitates it. */
const ATTRIBUTE = /(?:SERIALNUMBER|CN|POSTALCODE|STREET|ST|L|OU|O|C|DC|UID|EMAILADDRESS|E|\d+(?:\.\d+)+)=/gi;

/** The identity that a rule finds in a DN. A `CN=` inside another attribute's value is no attribute, and matches nothing. */
function inDn(subject: CertificateNames["subject"], pattern: Pattern): string | undefined {
  const { text, values } = distinguishedName(subject);
  for (const { from, at, group } of pattern.firstGroups(text)) {
    const named = [...text.slice(from, at).matchAll(ATTRIBUTE)];
    if (named.every(({ 0: attribute, index }) => values.has(from + index + attribute.length))) return group;
  }
  return undefined;
}

/** The common name of a subject, as Go reads it: the last one; empty: it has none. */
export function commonNameOf(subject: CertificateNames["subject"]): string {
  return subject.findLast(([type]) => type === "CN" || type === "2.5.4.3")?.[1] ?? "";
}

/** Whether a rule begins where the name, or an attribute of it, begins: another one may find its text in the middle of a value. */
export function isAnchored({ pattern: { source } }: MtlsRule): boolean {
  return /^(?:\(\?[a-zA-Z]+\))?(?:\^|\((?:\?:)?\^\|)/.test(source);
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
  const id = rule.source === "uri"
    ? names.uris.map((uri) => rule.pattern.firstGroup(uri)).find((match) => match)
    : inDn(names.subject, rule.pattern);
  if (!id) {
    const texts = rule.source === "uri" ? names.uris : [dnString(names.subject)];
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
