/**
 * The bounds of calls, as data: the bytes of one message of a client, the calls that one client may have open, and those of all clients
 * together. A client is a certificate, or where there is none an address. docs/security.md is printed from here.
 */
import * as services from "./services.ts";
import type { Methods } from "./services.ts";

const KB = 1_024;
const MB = 1_024 * KB;

export interface CallBounds {
  /** Of one message, packed and unpacked; `--grpc-max-message-size` bounds it too. */
  bytes: number;
  perClient: number;
  inAll: number;
  /** An event beyond the bytes is read away and refused; a message of another kind ends its call. */
  cut?: true;
}

/** A request of a call with one request has arrived as a whole within this time. */
export const REQUEST_MS = 15_000;
/** Where no certificate tells clients apart, many share an address: behind a proxy, or one translation of addresses. */
export const CLIENTS_AN_ADDRESS = 64;
/** Calls on one connection; a client waits, or opens another connection. */
export const CALLS_A_CONNECTION = 100;

const UNARY: CallBounds = { bytes: 64 * KB, perClient: 32, inAll: 2_000 };
const ADMIN: CallBounds = { bytes: 64 * KB, perClient: 32, inAll: 128 };
/** Requests that list keys. */
const KEYS: CallBounds = { bytes: 4 * MB, perClient: 4, inAll: 16 };
/** An event carries one object, of at most 3 MB. */
const EVENTS: CallBounds = { bytes: 4 * MB, perClient: 8, inAll: 20_000, cut: true };
/** Answers to requests come over an agent's stream too: lists of a namespace, trees of a large Application. */
const STREAM: CallBounds = { ...EVENTS, bytes: 64 * MB };
/** A click in Argo CD's UI reads the logs of several pods; an agent sends 64 kB at a time. */
const LOGS: CallBounds = { bytes: 1 * MB, perClient: 64, inAll: 1_000 };
/** A program's output comes in messages of 32 kB; as many as an agent may have, and those that just end. */
const TERMINALS: CallBounds = { bytes: 256 * KB, perClient: 48, inAll: 512 };
const READERS: CallBounds = { bytes: 64 * KB, perClient: 8, inAll: 64 };

/** Services, and calls of theirs that differ. */
const TABLE: Record<string, { all: CallBounds; but?: Record<string, CallBounds> }> = {
  versionService: { all: UNARY },
  authenticationService: { all: UNARY },
  eventStreamService: { all: UNARY, but: { Subscribe: STREAM, Push: EVENTS } },
  logStreamService: { all: LOGS },
  terminalStreamService: { all: TERMINALS },
  replicationService: {
    all: READERS,
    but: { GetSnapshot: { ...READERS, perClient: 2, inAll: 8 }, ConfirmMissingResources: KEYS },
  },
  linkService: {
    all: READERS,
    but: {
      // A follower tells digests of everything that it has.
      Follow: { bytes: 64 * MB, perClient: 4, inAll: 16 },
      // A request carries a body of at most 3 MiB.
      Forward: { bytes: 8 * MB, perClient: 4, inAll: 16 },
      Log: { bytes: 64 * KB, perClient: 1_000, inAll: 1_000 },
      Terminal: { bytes: 1 * MB, perClient: 256, inAll: 256 },
      // A question that examines names up to 5,000 fields that are in use.
      Ask: { bytes: 4 * MB, perClient: 8, inAll: 32 },
      Inventory: KEYS,
      Fetch: KEYS,
      Repair: KEYS,
      Adopt: KEYS,
    },
  },
  adminService: { all: ADMIN },
  operatorService: {
    all: ADMIN,
    but: {
      WaitReplicated: { ...KEYS, perClient: 8 },
      Diff: KEYS,
      Repair: KEYS,
      Reconcile: KEYS,
      DecideDeletions: KEYS,
    },
  },
};

/** The bounds of every call, by its path. */
export const CALL_BOUNDS: ReadonlyMap<string, CallBounds> = new Map(
  Object.entries(TABLE).flatMap(([service, { all, but = {} }]) => {
    const methods = services[service as keyof typeof services] as unknown as Methods;
    const special = new Map(Object.entries(but));
    return Object.entries(methods).map((
      [name, { path }],
    ): [string, CallBounds] => [path, special.get(name) ?? all]);
  }),
);

/** The table as Markdown. */
export function callBoundsTable(): string {
  const size = (bytes: number) => bytes >= MB ? `${bytes / MB} MB` : `${bytes / KB} kB`;
  const rows = [...CALL_BOUNDS].map(([path, { bytes, perClient, inAll }]) =>
    `| \`${path.slice(1)}\` | ${size(bytes)} | ${perClient} | ${inAll.toLocaleString("en-US")} |`
  );
  return ["| call | one message | open, a client | open, in all |", "|---|---|---|---|", ...rows].join("\n");
}
