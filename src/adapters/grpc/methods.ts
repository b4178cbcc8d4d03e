/** How an agent proves who it is: by certificate, by name and password, or by a header that a proxy in front has set. */
import { readFileSync } from "node:fs";
import bcrypt from "bcryptjs";
import type grpc from "@grpc/grpc-js";
import { isDnsLabel } from "../../domain/resources/keys.ts";
import type { AuthMethod, MtlsRule, Proof } from "../../domain/agents/identity.ts";
import { type AuthenticatedCall, identityOf } from "./auth.ts";

type Call = AuthenticatedCall & { metadata: grpc.Metadata };

/** A way of proving who one is. */
export interface Authenticator {
  readonly method: AuthMethod["method"];
  authenticate(call: Call, credentials: Record<string, string>): Promise<Proof> | Proof;
  /** Whether a later call that carries a token of `identity` comes over a connection that may use it. */
  stillHolds(call: Call, identity: string): Proof;
}

/** The authenticator of a parsed `--auth`. @throws Error when its file cannot be used */
export function authenticator(auth: AuthMethod, blocked: (fingerprint: string) => boolean): Authenticator {
  if (auth.method === "mtls") return byCertificate(auth.rule, blocked);
  const unbound = (_: Call, identity: string): Proof => ({ identity, fingerprint: "" });
  if (auth.method === "userpass") {
    const users = readUsers(auth.file);
    // A hash of no password, of the usual cost: a name that does not exist takes as long as one that does.
    const unknownUser = bcrypt.hashSync(crypto.randomUUID(), 10);
    return {
      method: "userpass",
      stillHolds: unbound,
      authenticate: (_, { clientid = "", clientsecret = "" }) =>
        byPassword(users.get(clientid) ?? unknownUser, clientid, clientsecret),
    };
  }
  return {
    method: "header",
    stillHolds: unbound,
    authenticate: ({ metadata }) => byHeader(auth, metadata),
  };
}

function byCertificate(rule: MtlsRule, blocked: (fingerprint: string) => boolean): Authenticator {
  return {
    method: "mtls",
    authenticate: (call) => identityOf(call, rule, blocked),
    stillHolds(call, identity) {
      const found = identityOf(call, rule, blocked);
      if ("problem" in found || found.identity === identity) return found;
      return { problem: `the token is of "${identity}", the certificate of "${found.identity}"` };
    },
  };
}

/** bcrypt looks at no more. */
const MAX_PASSWORD_BYTES = 72;

async function byPassword(hash: string, name: string, password: string): Promise<Proof> {
  const same = await bcrypt.compare(password.slice(0, MAX_PASSWORD_BYTES), hash);
  return same ? { identity: name, fingerprint: "" } : { problem: "unknown user or wrong password" };
}

function byHeader(
  { name, pattern }: Extract<AuthMethod, { method: "header" }>,
  metadata: grpc.Metadata,
): Proof {
  const value = String(metadata.get(name)[0] ?? "");
  const identity = pattern.exec(value)?.[1] ?? "";
  if (isDnsLabel(identity)) return { identity, fingerprint: "" };
  return { problem: `header ${name} "${value.slice(0, 100)}" names no agent` };
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
