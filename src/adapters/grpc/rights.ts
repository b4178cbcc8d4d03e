/**
 * The table of rights: for each call who may make it, and what it touches. The doors ask it, `docs/security.md` is printed from it, and a
 * test tries every identity at every call. A call that is not in it is made by nobody.
 */
import type { ReplicationRight } from "../../principal/ports/peer.ts";
import type { Methods } from "./services.ts";
import * as services from "./services.ts";

/** The identities, each with how it is proved. */
export const IDENTITIES = {
  anyone: "any client of the port; no token",
  agent: "an agent: the name in its token, and for `mtls` the same name in its certificate",
  reader: "a replication client: `--ha-allowed-replication-clients`",
  peer: "the other principal of the pair: `--ha-peer-identity`, or as it is known without",
  asker: "`--ha-admin-readers`, over mTLS",
  operator: "`--ha-admin-operators`, over mTLS, and every process on the principal's own host or in its pod",
} as const;
export type Identity = keyof typeof IDENTITIES;

/** The identities that may make a call, and what it touches. */
export interface Right {
  who: readonly Identity[];
  over: string;
}

const STANDING = "its role, epoch and condition";
const STREAM = "everything that is replicated, Secrets included";
const PEER: readonly Identity[] = ["peer"];
const READ: readonly Identity[] = ["reader", "peer"];
const ASK: readonly Identity[] = ["asker", "operator"];
const CHANGE: readonly Identity[] = ["operator"];

const TABLE: Record<string, Record<string, Right>> = {
  versionService: { Version: { who: ["anyone"], over: "the release" } },
  authenticationService: {
    Authenticate: { who: ["anyone"], over: "a token of the name that is proved, in its pinned mode" },
    RefreshToken: { who: ["anyone"], over: "a token of the name in the refresh token" },
  },
  eventStreamService: {
    Subscribe: { who: ["agent"], over: "the agent's own resources, both ways" },
    Push: { who: ["agent"], over: "the agent's own resources" },
    Ping: { who: ["agent"], over: "nothing" },
  },
  logStreamService: { StreamLogs: { who: ["agent"], over: "the logs that this agent was asked for" } },
  terminalStreamService: {
    StreamTerminal: { who: ["agent"], over: "the terminals that this agent was asked for" },
  },
  replicationService: {
    Subscribe: { who: READ, over: STREAM },
    GetSnapshot: { who: READ, over: STREAM },
    Status: { who: READ, over: "sequence numbers" },
    ConfirmMissingResources: { who: READ, over: "whether keys exist" },
  },
  linkService: {
    Follow: { who: READ, over: STREAM },
    Forward: {
      who: PEER,
      over: "live objects, logs and caches of agents, as the UI of the replica's region asks for them",
    },
    Log: { who: PEER, over: "logs of agents, as the UI of the replica's region asks for them" },
    Terminal: { who: PEER, over: "terminals in pods of agents, as users of the replica's region open them" },
    Ask: { who: READ, over: `${STANDING}; only the peer's own standing is heard` },
    Inventory: { who: READ, over: "keys and digests" },
    Fetch: { who: READ, over: "objects, Secrets' values as salted digests" },
    Repair: { who: PEER, over: "copies on a replica, which it takes from its leader again" },
    Prove: { who: PEER, over: "a replica's digest" },
    Prepare: { who: PEER, over: "the next epoch, of a replica that follows the caller" },
    TakeOver: { who: PEER, over: "the role, in the epoch that was promised to the caller" },
    Switchover: { who: PEER, over: "the role: passes an operator's wish on to the ACTIVE" },
    Kept: { who: PEER, over: "kept objects of a side that is not ACTIVE, Secrets included" },
    Settled: {
      who: PEER,
      over: "kept objects of a side that is not ACTIVE: those that the ACTIVE has adopted are forgotten",
    },
    Adopt: { who: [], over: "an older release's way; refused with the command to run" },
  },
  adminService: {
    Status: { who: ASK, over: STANDING },
    Promote: { who: CHANGE, over: "the role" },
    Demote: { who: CHANGE, over: "the role" },
  },
  operatorService: {
    Watch: { who: ASK, over: STANDING },
    WaitReplicated: { who: ASK, over: "whether versions are replicated" },
    Explain: { who: ASK, over: STANDING },
    Diff: { who: ASK, over: "keys, and fields that differ; of Secrets digests" },
    Preflight: { who: ASK, over: "the readiness of both sides" },
    Drill: { who: ASK, over: "a copy in memory" },
    History: { who: ASK, over: "the history of roles and commands" },
    Losses: { who: ASK, over: "kept objects, Secrets without values" },
    Deletions: { who: ASK, over: "deletions that wait" },
    Repair: { who: CHANGE, over: "copies on the replica" },
    Reconcile: { who: CHANGE, over: "kept objects; adoption only at the ACTIVE" },
    ForgetAgent: { who: CHANGE, over: "an agent's entry, its pinned mode included" },
    DecideDeletions: { who: CHANGE, over: "deletions that wait" },
    Switchover: { who: CHANGE, over: "the roles of both sides" },
  },
};

/** The table with the paths of the calls. */
export const RIGHTS: ReadonlyMap<string, Right> = new Map(
  Object.entries(TABLE).flatMap(([service, calls]) =>
    Object.entries(calls).map(([name, right]): [string, Right] => [pathOf(service, name), right])
  ),
);

function pathOf(service: string, name: string): string {
  const methods = services[service as keyof typeof services] as unknown as Methods;
  return (methods[name] as Methods[string]).path;
}

/** Whether an identity may make a call. */
export function mayCall(identity: Identity, path: string): boolean {
  return RIGHTS.get(path)?.who.includes(identity) ?? false;
}

/** The right that a replication client needs for a call. */
export function rightFor(path: string): ReplicationRight {
  return mayCall("reader", path) ? "read" : "peer";
}

/** The table as Markdown. */
export function rightsTable(): string {
  const rows = [...RIGHTS].map(([path, { who, over }]) =>
    `| \`${path.slice(1)}\` | ${who.length > 0 ? who.join(", ") : "nobody"} | ${over} |`
  );
  return ["| call | who | over what |", "|---|---|---|", ...rows].join("\n");
}

/** The identities as Markdown. */
export function identitiesTable(): string {
  const rows = Object.entries(IDENTITIES).map(([name, how]) => `| ${name} | ${how} |`);
  return ["| identity | proved by |", "|---|---|", ...rows].join("\n");
}
