/** Is this pair ready for a failover or a planned move? One check a line: what was found, and what to do where it is not good. */
import type { Need } from "../resources/dependencies.ts";
import type { Missing } from "../resources/missing.ts";
import { CONCERNS, type Concerns, present } from "./concerns.ts";
import type { Exposure } from "./exposure.ts";
import type { Holds } from "./ranking.ts";
import type { Standing } from "./state.ts";

/** One side's report of itself, beside its standing. */
export interface Condition {
  storeProblem: string;
  /** When its certificate expires, in unix ms; 0: not known. */
  certificateNotAfterMs: number;
  /** Why its certificate does not do for a pair; empty: it does, or nothing is known. */
  certificateProblem: string;
  /** Matters for a person there. */
  concerns: Concerns;
  /** Changes that it is known to lack. */
  behind: number;
  /** How long its last durable record of role and epoch took, in ms; 0: not known. */
  recordMs: number;
  /** No key is configured that signs agents' tokens: as ACTIVE it could let no agent in. */
  noSigningKey: boolean;
  /** Of an ACTIVE side that was examined: what its resources name. */
  needs?: readonly Need[];
  /** The rights, kinds and namespaces that it would lack as ACTIVE; undefined: not examined. */
  missing?: Missing | undefined;
  /** The fields that its resources use, as `Kind path`; absent: not asked, or an older release. */
  fieldsInUse?: readonly string[];
  /** Its store, as far as a ranking needs it; absent: an older release. */
  holds?: Holds;
  /** The reason of a failed examination. */
  examinationError?: string;
}

export interface PreflightFacts {
  own: Standing;
  condition: Condition;
  peerAddress: string;
  peer: Standing | undefined;
  peerError: string;
  peerCondition: Condition | undefined;
  /** The peer's clock less ours, in ms. */
  skewMs: number;
  /** The comparison of both sides, or why there is none; undefined: there is nothing to compare. */
  compared: { problem: string } | undefined;
  /** Of this side where it is ACTIVE. */
  exposure: Exposure | undefined;
  /** Whether a replica with the peer's identity follows us; only asked of an ACTIVE. */
  followed: boolean;
  /** How long a promotion waits for a peer that does not answer. */
  peerCheckTimeoutMs: number;
  nowMs: number;
}

export interface Check {
  name: string;
  ok: boolean;
  found: string;
  /** The remedy; empty: none is needed. */
  fix: string;
}

/** Certificates that expire sooner are worth a page. */
const CERTIFICATE_DAYS = 14;
/** The certificate to issue where one does not do for a pair. */
export const CERTIFICATE_FOR_A_PAIR =
  "issue one for serverAuth and clientAuth by the same CA (docs/migrate.md, Certificates of a pair); it is read again without a restart";
const MAX_SKEW_MS = 5_000;
/** Missing things that are named. */
const SHOWN = 10;
const DAY_MS = 86_400_000;

const count = (n: number) => n.toLocaleString("en-US");

/** All checks, in the order in which a person would make them. */
export function preflight(facts: PreflightFacts): Check[] {
  const { own, peer, peerAddress, peerError, peerCondition, condition } = facts;
  const checks: Check[] = [
    check("peer", peer !== undefined, peerFound(facts), peerFix(facts)),
    roles(facts),
    ...exposed(facts),
    ...digests(facts),
  ];
  if (!peer || !peerCondition) {
    checks.push(...side("here", condition, facts.nowMs));
    if (peer) return checks;
    return peerAddress === "" || peerError !== "" ? checks : [
      ...checks,
      check(
        "proof",
        false,
        "the peer speaks the Go principal's contract",
        "what it holds cannot be proved by digest",
      ),
    ];
  }
  checks.push(
    check(
      "version",
      peer.version === own.version,
      `${own.version} here, ${peer.version} at the peer`,
      "two releases work together; upgrade the replica first, then switch over",
    ),
    check(
      "clocks",
      Math.abs(facts.skewMs) <= MAX_SKEW_MS,
      `${count(Math.round(Math.abs(facts.skewMs)))} ms apart`,
      "nothing here depends on it, tokens and certificates do: look at NTP on both",
    ),
    ...side("here", condition, facts.nowMs),
    ...side("peer", peerCondition, facts.nowMs),
  );
  return checks;
}

function peerFound({ peer, peerAddress, peerError }: PreflightFacts): string {
  if (peerAddress === "") return "none is configured";
  if (!peer) {
    return `"${peerAddress}" ${peerError ? `does not answer: ${peerError}` : "does not say what it is"}`;
  }
  return `"${peerAddress}" is ${(peer.state || "in an unknown state").toUpperCase()}, epoch ${peer.epoch}`;
}

function peerFix({ peerAddress }: PreflightFacts): string {
  return peerAddress === "" ? "set --ha-peer-address" : "start it, or mend the way to it; ha status there";
}

function roles({ own, peer, followed }: PreflightFacts): Check {
  const active = [own, peer].filter((one) => one?.state === "active").length;
  const replicating = own.state === "replicating" ||
    (own.state === "active" && followed && peer?.state === "replicating");
  return check(
    "roles",
    active === 1 && replicating,
    `${own.state.toUpperCase()} here${peer ? `, ${peer.state.toUpperCase()} at the peer` : ""}`,
    active === 1
      ? "the other side must be REPLICATING: ha explain there"
      : "exactly one must be ACTIVE: ha explain on both",
  );
}

/** Whether both sides hold the same. */
function digests({ compared, condition: { concerns } }: PreflightFacts): Check[] {
  if (!compared) return [];
  if (compared.problem !== "") {
    return [check("digests", false, `could not be compared: ${compared.problem}`, "see the reason")];
  }
  const [differing] = present({ differing: concerns.differing });
  if (!differing) return [check("digests", true, "the same on both sides", "")];
  const { sentence, count, examples } = differing;
  return [
    check("digests", false, `${sentence(count)}: ${listed(examples, ", ", count)}`, CONCERNS.differing.next),
  ];
}

/** Of an ACTIVE: the changes that a loss of it would take along. */
function exposed({ exposure }: PreflightFacts): Check[] {
  if (!exposure) return [];
  const { replicas, unacknowledged, equalAgoMs } = exposure;
  const changes = unacknowledged === undefined
    ? "not known how many changes are not acknowledged"
    : `${count(unacknowledged)} changes not acknowledged`;
  const equal = equalAgoMs === undefined
    ? "not proved equal yet"
    : `proved equal ${count(Math.ceil(equalAgoMs / 1_000))} s ago`;
  return [
    check(
      "exposure",
      replicas > 0 && unacknowledged !== undefined,
      `${changes}, ${equal}`,
      replicas > 0 ? "wait until the copy is compared" : "nobody replicates: ha explain on the peer",
    ),
  ];
}

function side(name: string, condition: Condition, nowMs: number): Check[] {
  const { storeProblem, behind, noSigningKey } = condition;
  return [
    check(
      `store ${name}`,
      storeProblem === "",
      storeProblem || "current",
      "see the reason; it needs no restart",
    ),
    certificate(name, condition, nowMs),
    check(
      `signing key ${name}`,
      !noSigningKey,
      noSigningKey ? "none is configured: no agent could authenticate" : "configured",
      "set --jwt-key FILE there",
    ),
    check(`copy ${name}`, true, `${count(behind)} changes behind`, ""),
    ...concerned(name, condition),
    ...surroundings(name, condition),
  ];
}

function certificate(
  name: string,
  { certificateNotAfterMs, certificateProblem }: Condition,
  nowMs: number,
): Check {
  const days = Math.floor((certificateNotAfterMs - nowMs) / DAY_MS);
  const left = certificateNotAfterMs === 0 ? "not known" : `${count(days)} days left`;
  return certificateProblem === ""
    ? check(
      `certificate ${name}`,
      certificateNotAfterMs === 0 || days >= CERTIFICATE_DAYS,
      left,
      "renew it; it is read again while streams stay open",
    )
    : check(`certificate ${name}`, false, `${certificateProblem}; ${left}`, CERTIFICATE_FOR_A_PAIR);
}

/** A row for each concern of which there is some; one that is no obstacle to a failover says in the same place what to do. */
function concerned(name: string, { concerns }: Condition): Check[] {
  return present({ ...concerns, differing: undefined }).map(
    ({ label, sentence, count, examples, next, unready }) => {
      const found = `${sentence(count)}: ${listed(examples, ", ", count)}`;
      return check(`${label} ${name}`, !unready, unready || next === "" ? found : `${found}; ${next}`, next);
    },
  );
}

/** How long `ha promote` on the side that is not ACTIVE would take, and what else stands between it and its agents. */
export function timeOf({ own, condition, peerCondition, peerCheckTimeoutMs }: PreflightFacts): string {
  const promoted = own.state === "active" ? peerCondition : condition;
  const record = promoted?.recordMs ?? 0;
  const known = record > 0
    ? `about ${count(Math.ceil(record))} ms to record it, as the last time`
    : "one durable write";
  return `${known}, and up to ${
    count(peerCheckTimeoutMs)
  } ms more where the other side is dead and does not answer; ` +
    "agents come when the DNS name has moved (its health check and TTL)";
}

/** The needs of an ACTIVE principal in its cluster, and the remedy for each that is missing. */
const NEEDS: readonly [keyof Missing, string, (missing: string[]) => string][] = [
  [
    "rights",
    "may not",
    () => "kubectl apply -k deploy/overlays/… there, or grant what deploy/base/rbac.yaml grants",
  ],
  ["definitions", "not served:", () => "install Argo CD's CustomResourceDefinitions there"],
  [
    "namespaces",
    "not there:",
    (missing) => missing.map((name) => `kubectl create namespace ${name}`).join("; "),
  ],
  [
    "fields",
    "in use on the other side and not known to the CustomResourceDefinitions:",
    () => "install the other side's release of Argo CD's CustomResourceDefinitions there",
  ],
];

function surroundings(name: string, { missing, examinationError = "" }: Condition): Check[] {
  if (examinationError !== "") {
    return [check(`rights ${name}`, false, `could not be looked at: ${examinationError}`, "see the reason")];
  }
  if (!missing) return [];
  return NEEDS.flatMap(([what, label, fix]) => {
    const lacking = missing[what];
    if (!lacking) return [];
    return check(
      `${what} ${name}`,
      lacking.length === 0,
      lacking.length === 0 ? "all there" : `${label} ${listed(lacking, "; ")}`,
      fix(lacking.slice(0, SHOWN)),
    );
  });
}

/** Of a long list of `total` the first. */
function listed(words: readonly string[], separator: string, total = words.length): string {
  const more = total - Math.min(SHOWN, words.length);
  return words.slice(0, SHOWN).join(separator) + (more > 0 ? ` and ${count(more)} more` : "");
}

function check(name: string, ok: boolean, found: string, fix: string): Check {
  return { name, ok, found, fix: ok ? "" : fix };
}
