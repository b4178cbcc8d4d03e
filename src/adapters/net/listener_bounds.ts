/**
 * The bounds of connections of every listener, as data. docs/security.md is printed from here.
 */

/** The bounds of a listener. */
export interface GateBounds {
  /** Its name in the log. */
  listener: string;
  /** Connections in all. */
  connections: number;
  /** Connections from one address. */
  perSource: number;
  /** File descriptors of one connection; absent: 1. */
  descriptors?: number;
  /** File descriptors that it leaves to others. */
  reserve: number;
  /** A sentence: what an operator does where a bound is too low. */
  remedy: string;
  /** A connection without a request is closed after this time; absent: `IDLE_MS`. */
  idleMs?: number;
}

/** A connection makes its first request within this time. */
export const FIRST_REQUEST_MS = 15_000;
/** A connection without a request is closed after this time. */
export const IDLE_MS = 300_000;
/** argocd-server keeps idle connections for 5 minutes; a proxy that ends them earlier would fail requests that are just being sent. */
export const PROXY_IDLE_MS = 330_000;

const MORE_CONNECTIONS =
  "see what runs there, or raise --max-connections-per-source, or --max-connections, and ulimit -n with it";
/** Kept back from agents: the store's files, the peer, the API server, Redis, certificates that are reread, and the listeners below. */
const RESERVE = 64;
/** Probes, scrapes and operators get in when agents have taken the rest. */
const SMALL = { reserve: 24, remedy: "see what opens them" };

/** The listener of agents and of the peer, as flags bound it. */
export function agentsBounds(connections: number, perSource: number): GateBounds {
  return { listener: "agents", connections, perSource, reserve: RESERVE, remedy: MORE_CONNECTIONS };
}

/** File descriptors of a process with these listeners when each is at its bound. */
export function descriptorsOf(listeners: Iterable<GateBounds>): number {
  return [...listeners].reduce(
    (sum, { connections, descriptors = 1 }) => sum + connections * descriptors,
    RESERVE,
  );
}

/** The other listeners. */
export const LISTENERS = {
  health: { listener: "health", connections: 256, perSource: 64, ...SMALL },
  metrics: { listener: "metrics", connections: 64, perSource: 32, ...SMALL },
  admin: { listener: "admin", connections: 128, perSource: 128, ...SMALL },
  profiles: { listener: "profiles", connections: 16, perSource: 16, ...SMALL },
  remoteAdmin: { listener: "remote admin", connections: 128, perSource: 32, ...SMALL },
  // argocd-server keeps up to 500 idle connections to a host.
  resourceProxy: {
    listener: "resource proxy",
    connections: 2_048,
    perSource: 1_024,
    ...SMALL,
    idleMs: PROXY_IDLE_MS,
  },
  // Each of these connections has another one to Redis.
  redisProxy: {
    listener: "Redis proxy",
    connections: 2_000,
    perSource: 1_000,
    descriptors: 2,
    reserve: RESERVE,
    remedy: SMALL.remedy,
  },
} satisfies Record<string, GateBounds>;

/** Why a connection was refused or closed, with the meaning of each word. */
export const CUTS = {
  per_source:
    "its address had as many connections as one may; the one that was idle longest went, or the new one",
  in_all: "the listener had as many as it may; the same",
  descriptors: "file descriptors ran short; the same, of any listener",
  handshake: "the TLS handshake was not over in time",
  first_request: "its first request did not come in time",
  idle: "it made no request for too long",
} as const;

export type Cut = keyof typeof CUTS;

/** The table of listeners as Markdown; `agents` as the flags bound them by default. */
export function connectionsTable(agents: GateBounds): string {
  const shown = (n: number) => n.toLocaleString("en-US");
  const minutes = (ms: number) => `${ms / 60_000} min`;
  const rows = [agents, ...Object.values<GateBounds>(LISTENERS)].map((one) => {
    const { listener, connections, perSource, reserve, idleMs = IDLE_MS } = one;
    return `| ${listener} | ${shown(connections)} | ${shown(perSource)} | ${minutes(idleMs)} | ${reserve} |`;
  });
  return [
    "| listener | connections in all | from one address | closed without a request after | file descriptors left to others |",
    "|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

/** The reasons of the metric as Markdown. */
export function cutsTable(): string {
  const rows = Object.entries(CUTS).map(([cut, meaning]) => `| \`${cut}\` | ${meaning} |`);
  return ["| `reason` | the connection was refused or closed because |", "|---|---|", ...rows].join("\n");
}
