/** How an agent proves who it is: by certificate, by name and password, or by a header that a proxy in front has set. */
import { readFileSync } from "node:fs";
import bcrypt from "bcryptjs";
import type grpc from "@grpc/grpc-js";
import { sourceOf } from "../net/addresses.ts";
import { isDnsLabel } from "../../domain/resources/keys.ts";
import { type AuthMethod, commonNameOf, type MtlsRule, type Proof } from "../../domain/agents/identity.ts";
import { Reread } from "../tls/reread.ts";
import { sha256 } from "../../base/sha256.ts";
import type { Log } from "../../base/log.ts";
import type { Subject } from "../../principal/ports/tokens.ts";
import { NotAdmitted } from "../../principal/ports/agents.ts";
import { type AuthenticatedCall, certificateOf, identityOf } from "./auth.ts";
import { PasswordWorker } from "./password_worker.ts";
import { Turns } from "./turns.ts";

type Call = AuthenticatedCall & { metadata: grpc.Metadata };

/** A way of proving who one is. */
export interface Authenticator {
  readonly method: AuthMethod["method"];
  /** @throws NotAdmitted where it cannot be found out now */
  authenticate(
    call: Call & { getPeer(): string },
    credentials: Record<string, string>,
  ): Promise<Proof> | Proof;
  /** Whether a later call with a token about `subject` may use it: over its connection, and still. */
  stillHolds(call: Call, subject: Subject): Proof;
  /** Calls `listener` when an answer of `stillHolds` may have changed. */
  onChange(listener: () => void): void;
  close(): void;
}

/** The file of users is looked at this often. */
const USERS_EVERY_MS = 2_000;

/**
 * The authenticator of a parsed `--auth`.
 *
 * @param subjectMatch `--client-cert-subject-match`: a token is used only with a certificate of the same common name
 * @throws Error when its file cannot be used
 */
export async function authenticator(
  auth: AuthMethod,
  log: Log,
  subjectMatch = false,
): Promise<Authenticator> {
  const found = await byMethod(auth, log);
  if (!subjectMatch) return found;
  return {
    ...found,
    stillHolds: (call, subject) => otherSubject(call, subject) ?? found.stillHolds(call, subject),
  };
}

function otherSubject(call: Call, { clientID }: Subject): Proof | undefined {
  const certificate = certificateOf(call);
  if (!certificate) return { problem: "the client presented no certificate (--client-cert-subject-match)" };
  const commonName = commonNameOf(certificate.subject);
  if (commonName === clientID) return undefined;
  return { problem: `the token is of "${clientID}", the certificate's common name is "${commonName}"` };
}

async function byMethod(auth: AuthMethod, log: Log): Promise<Authenticator> {
  const unchanging = { onChange: () => {}, close: () => {} };
  if (auth.method === "mtls") return { ...byCertificate(auth.rule), ...unchanging };
  if (auth.method === "userpass") return await byUsers(auth.file, log);
  return {
    method: "header",
    stillHolds: (_, { clientID: identity }) => ({ identity, credential: "" }),
    authenticate: ({ metadata }) => byHeader(auth, metadata),
    ...unchanging,
  };
}

function byCertificate(rule: MtlsRule): Omit<Authenticator, "onChange" | "close"> {
  const prove = (call: Call): Proof => {
    const found = identityOf(call, rule);
    return "problem" in found ? found : { identity: found.identity, credential: "" };
  };
  return {
    method: "mtls",
    authenticate: prove,
    stillHolds(call, { clientID }) {
      const found = prove(call);
      if ("problem" in found || found.identity === clientID) return found;
      return { problem: `the token is of "${clientID}", the certificate of "${found.identity}"` };
    },
  };
}

/** By a file of users, which is reread: a token ends with the user, and with the password it was given for. */
async function byUsers(file: string, log: Log): Promise<Authenticator> {
  const source = await Reread.open(() => readUsers(file), {
    everyMs: USERS_EVERY_MS,
    same: (a, b) => a.size === b.size && [...a].every(([name, hash]) => b.get(name) === hash),
    unusable: (problem) =>
      log.warn("the file of users cannot be used, keeping the users of before", { reason: problem }),
  });
  source.onChange((users) => log.info("users reloaded", { users: users.size }));
  // A hash of no password, of the usual cost: a name that does not exist takes as long as one that does.
  const unknownUser = bcrypt.hashSync(crypto.randomUUID(), 10);
  const worker = new PasswordWorker();
  const turns = new Turns();
  return {
    method: "userpass",
    authenticate(call, { clientid = "", clientsecret = "" }) {
      const address = sourceOf(call.getPeer().replace(/:\d+$/, ""));
      const hash = source.current.get(clientid);
      // Names that do not exist share a lane: made up ones keep nobody waiting who has a name.
      const lane = hash === undefined ? address : `${address} ${clientid}`;
      const against = hash ?? unknownUser;
      const password = clientsecret.slice(0, MAX_PASSWORD_BYTES);
      return byPassword(against, clientid, turns.take(lane, () => worker.compare(password, against)));
    },
    stillHolds(_, { clientID: identity, credential }) {
      const hash = source.current.get(identity);
      if (hash === undefined) return { problem: "the user has been removed" };
      return tagOf(hash) === credential
        ? { identity, credential }
        : { problem: "the user's password has been changed" };
    },
    onChange: (listener) => source.onChange(listener),
    close() {
      source.close();
      turns.close();
      worker.close();
    },
  };
}

/** Stands in a token for the password: it says nothing about the hash, which is salted with 128 bits. */
function tagOf(hash: string): string {
  return sha256(hash).slice(0, 32);
}

/** bcrypt looks at no more. */
const MAX_PASSWORD_BYTES = 72;

async function byPassword(hash: string, name: string, same: Promise<boolean> | undefined): Promise<Proof> {
  if (same === undefined) {
    throw new NotAdmitted("unavailable", "too many passwords wait to be checked; try again");
  }
  return await same
    ? { identity: name, credential: tagOf(hash) }
    : { problem: "unknown user or wrong password" };
}

function byHeader(
  { name, pattern }: Extract<AuthMethod, { method: "header" }>,
  metadata: grpc.Metadata,
): Proof {
  const value = String(metadata.get(name)[0] ?? "");
  const identity = pattern.firstGroup(value) ?? "";
  if (isDnsLabel(identity)) return { identity, credential: "" };
  // Not the value: a header of a proxy may carry a credential.
  return { problem: `header ${name} ${value === "" ? "is missing" : "names no agent"}` };
}

/** The users of a file in the Go principal's form: one `user:bcrypt-hash` a line; the last of a name counts. @throws Error */
export function readUsers(path: string): Map<string, string> {
  const users = new Map<string, string>();
  for (const line of readFileSync(path, "utf8").split(/\r?\n/)) {
    if (line.trim() === "" || line.startsWith("#") || line.startsWith("//") || !line.includes(":")) continue;
    const [, name = "", hash = ""] = /^([^:]*):(.*)$/.exec(line) ?? [];
    if (!isDnsLabel(name)) throw new Error(`"${path}": "${name.slice(0, 64)}" is not a DNS-1123 label`);
    if (!/^\$2[abxy]\$\d{2}/.test(hash)) throw new Error(`"${path}": the hash of "${name}" is not bcrypt`);
    users.set(name, hash);
  }
  return users;
}
