/**
 * The house as data: its rooms, the door of each, who may import whom, and who owns which library. `deno task tidy`
 * checks the tree against these tables and `deno task docs` prints them, so that neither can drift from the other.
 */

/** A folder or file of src with one concept. */
export interface Room {
  name: string;
  /** One sentence: what is decided or carried here. */
  concept: string;
  /** The file to open first. */
  door: string;
  /** Names of rooms it may import beside itself; a name that ends with a slash admits every room below it. */
  imports: string[];
  /** The alternative to an import that is not listed. */
  remedy: string;
}

const DOMAIN_REMEDY =
  "pass the value in as an argument, or move the concept to the room of the domain that both may import";
const PRINCIPAL_REMEDY =
  "name a small interface of domain values beside the class that needs it (in principal/ports where an adapter implements it) and pass it in from principal/principal.ts or src/serve.ts";
const ADAPTER_REMEDY =
  "declare the small interface that the adapter calls in principal/ports, and pass the principal's object in from src/serve.ts";
const PORTS = ["base", "domain/", "principal/ports"];

/** The rooms that a principal is put together from. */
const PARTS = ["ports", "core", "active", "replica", "operations"].map((name) => `principal/${name}`);

const domain = (name: string, door: string, concept: string, imports: string[] = []): Room => ({
  name: `domain/${name}`,
  concept,
  door: `src/domain/${name}/${door}`,
  imports: ["base", ...imports.map((room) => `domain/${room}`)],
  remedy: DOMAIN_REMEDY,
});

const principal = (name: string, door: string, concept: string, imports: string[]): Room => ({
  name: `principal/${name}`,
  concept,
  door: `src/principal/${name}/${door}`,
  imports: [...PORTS, ...imports.map((room) => `principal/${room}`)],
  remedy: PRINCIPAL_REMEDY,
});

const adapter = (name: string, door: string, concept: string, imports: string[] = []): Room => ({
  name: `adapters/${name}`,
  concept,
  door: `src/adapters/${name}/${door}`,
  imports: [...PORTS, ...imports],
  remedy: ADAPTER_REMEDY,
});

export const ROOMS: Room[] = [
  {
    name: "base",
    concept: "Words that every room uses: clock, log, reasons of errors, backoff, hashes.",
    door: "src/base/clock.ts",
    imports: [],
    remedy: "base imports nothing of ours: move the file to the room whose concept it needs",
  },
  domain(
    "resources",
    "kinds.ts",
    "The replicated kinds, their keys, and the form in which both sides compare them.",
  ),
  domain("changes", "index.ts", "The keyed change index: one latest state a key, cursors, digests.", [
    "resources",
  ]),
  domain("events", "cloudevent.ts", "The CloudEvents that agents and Go principals exchange.", ["resources"]),
  domain(
    "agents",
    "session.ts",
    "The conversation with one agent: who owns a resource, and which event comes next.",
    [
      "resources",
      "changes",
      "events",
    ],
  ),
  domain("proxy", "path.ts", "What Argo CD's UI asks of an agent's cluster: paths, requests, answers.", [
    "resources",
    "events",
  ]),
  domain("ha", "transitions.ts", "The state machine, its refusals, and what ha explain says.", ["resources"]),
  domain(
    "redis",
    "keys.ts",
    "Argo CD's Redis: which keys agents have, its protocol, and what agents are asked.",
    [
      "resources",
      "events",
    ],
  ),
  domain("replication", "leader.ts", "Both ends of replication, in our protocol and in the Go principal's.", [
    "resources",
    "changes",
    "events",
    "agents",
    "ha",
  ]),
  principal(
    "ports",
    "store.ts",
    "The interfaces through which a principal reaches the world, in domain values.",
    [],
  ),
  principal(
    "core",
    "driver.ts",
    "What runs in either role: the driver, effects, role memory, the feed from the store.",
    [
      "core",
    ],
  ),
  principal(
    "active",
    "fleet.ts",
    "What exists only while ACTIVE: agents' sessions, their writes, their clusters.",
    [
      "core",
    ],
  ),
  principal(
    "replica",
    "replication_client.ts",
    "What exists only while following: applying, holding, the loss manifest.",
    ["core"],
  ),
  principal(
    "operations",
    "switchover.ts",
    "An operator's procedures: switchover, reconcile, repair, diff, drill, forget-agent.",
    [
      "core",
      "active",
      "replica",
    ],
  ),
  {
    name: "principal/principal.ts",
    concept: "Puts one principal together from its parts and the ports it is given.",
    door: "src/principal/principal.ts",
    imports: ["base", "domain/", ...PARTS, "principal/agent_sources.ts"],
    remedy: PRINCIPAL_REMEDY,
  },
  {
    name: "principal/agent_sources.ts",
    concept: "Logs and terminals of agents in whatever role: its own agents', or through the peer.",
    door: "src/principal/agent_sources.ts",
    imports: ["base", "domain/", ...PARTS],
    remedy: PRINCIPAL_REMEDY,
  },
  {
    name: "principal/opening.ts",
    concept: "Opens a principal: with what its store holds, or without it while another process acts.",
    door: "src/principal/opening.ts",
    imports: ["base", "domain/", ...PARTS, "principal/principal.ts"],
    remedy: PRINCIPAL_REMEDY,
  },
  adapter("kube", "dynamic_client.ts", "The Kubernetes API: access, discovery, reads, watches, writes."),
  adapter("store", "sqlite.ts", "The two stores: SQLite and the principal's own cluster.", ["adapters/kube"]),
  adapter(
    "net",
    "gate.ts",
    "The connections of every listener: how many, from whom, and how long they may be idle.",
  ),
  adapter("grpc", "server.ts", "The gRPC services and clients: decode, authorise, call, encode.", [
    "adapters/tls",
    "adapters/net",
    "proto",
  ]),
  adapter("http", "metrics.ts", "/healthz, /livez, /readyz and /metrics; the resource proxy.", [
    "adapters/net",
  ]),
  adapter("redis", "proxy.ts", "Argo CD's Redis: agents' states in it, and the proxy in front of it.", [
    "adapters/net",
    "adapters/tls",
  ]),
  adapter("tracing", "otlp.ts", "OpenTelemetry's SDK: spans and the way of their batches."),
  adapter("tls", "files.ts", "Certificates and keys, and noticing that they changed."),
  {
    name: "config",
    concept: "Flags and environment to settings.",
    door: "src/config/flags.ts",
    imports: ["base", "domain/"],
    remedy: "declare the setting as a plain value; src/serve.ts turns it into what the adapter takes",
  },
  {
    name: "simagents",
    concept: "Simulated agents, for load, drills and tests.",
    door: "src/simagents/agent.ts",
    imports: ["base", "domain/", "adapters/grpc", "adapters/tls"],
    remedy: "an agent knows its principal through the wire only: use adapters/grpc/agent_client.ts",
  },
  {
    name: "cli",
    concept: "One file a subcommand; commands.ts is the list.",
    door: "src/cli/commands.ts",
    imports: [
      "base",
      "domain/",
      "principal/ports",
      "adapters/",
      "config",
      "simagents",
      "serve.ts",
      "proto",
      "examples",
      "deploy",
    ],
    remedy: "a command asks the principal over gRPC, or starts one through src/serve.ts",
  },
  {
    name: "listeners.ts",
    concept: "Composition root of the listeners: which service answers on which port.",
    door: "src/listeners.ts",
    imports: [
      "base",
      "principal/",
      "adapters/",
      "config",
      "drill_stage.ts",
      "proxy_listener.ts",
      "redis_listener.ts",
    ],
    remedy:
      "listeners join services of the principal with adapters; whatever else they need comes from src/serve.ts",
  },
  {
    name: "proxy_listener.ts",
    concept: "Composition root of the resource proxy: its door, its certificates, its wait for them.",
    door: "src/proxy_listener.ts",
    imports: ["base", "principal/ports", "adapters/", "config"],
    remedy:
      "the listener joins the proxy's port with its door; whatever else it needs comes from src/listeners.ts",
  },
  {
    name: "redis_listener.ts",
    concept: "Composition root of the Redis proxy: its door, its certificates, the way to Redis.",
    door: "src/redis_listener.ts",
    imports: ["base", "principal/ports", "adapters/", "config"],
    remedy:
      "the listener joins the proxy's port with its door; whatever else it needs comes from src/listeners.ts",
  },
  {
    name: "stores.ts",
    concept: "Composition root of the stores: the embedded one or the cluster, and the lock on it.",
    door: "src/stores.ts",
    imports: ["base", "domain/", "principal/ports", "principal/core", "adapters/", "config"],
    remedy: "the store is opened here from settings; whatever else it needs comes from src/serve.ts",
  },
  {
    name: "outgoing.ts",
    concept: "Composition root of what this process dials beside its store: the peer, a collector of traces.",
    door: "src/outgoing.ts",
    imports: ["base", "principal/ports", "adapters/", "config"],
    remedy: "a way out joins a port of the principal with its adapter; the rest comes from src/serve.ts",
  },
  ...["serve.ts", "drill_stage.ts"].map((name) => ({
    name,
    concept: name === "serve.ts"
      ? "Composition root: the principal with its adapters, as `principal` starts it."
      : "Composition root of a drill: a second principal over a store in memory.",
    door: `src/${name}`,
    imports: [
      "base",
      "domain/",
      "principal/",
      "adapters/",
      "config",
      "simagents",
      "drill_stage.ts",
      "listeners.ts",
      "outgoing.ts",
      "redis_listener.ts",
      "stores.ts",
    ],
    remedy: "a composition root joins rooms of src; whatever else it needs belongs into one of them",
  })),
];

/** The room of a file of the tree, or the top folder of one outside src. */
export function roomOf(file: string): string {
  const path = file.replace(/^src\//, "");
  const room = ROOMS.find(({ name }) => path === name || path.startsWith(`${name}/`));
  return room?.name ?? file.split("/", file.startsWith("src/") ? 2 : 1).join("/");
}

/** Whether a room's list admits another room. */
export const admits = (room: Room, other: string) =>
  room.name === other ||
  room.imports.some((one) => one === other || (one.endsWith("/") && other.startsWith(one)));

/** A library that only some files may import, and what everybody else does instead. */
export interface Owner {
  library: RegExp;
  files: RegExp;
  remedy: string;
}

export const OWNERS: Owner[] = [
  {
    library: /^@kubernetes\/client-node(\/|$)/,
    files: /^src\/adapters\/kube\/client_node_internals\.ts$/,
    remedy:
      "use src/adapters/kube/dynamic_client.ts; what only client-node has goes through client_node_internals.ts",
  },
  {
    library: /^@grpc\//,
    files: /^src\/adapters\/grpc\//,
    remedy: "speak domain values through a port; src/adapters/grpc/status.ts translates errors",
  },
  {
    library: /^node:sqlite$/,
    files: /^src\/adapters\/store\/sqlite/,
    remedy: "take a Store (src/principal/ports/store.ts)",
  },
  {
    library: /^hono(\/|$)/,
    files: /^src\/adapters\/http\//,
    remedy: "return the answer as a plain value and let src/adapters/http serve it",
  },
  {
    library: /^prom-client$/,
    files: /^src\/adapters\/http\//,
    remedy: "count in the principal's counters; src/adapters/http prints them",
  },
  {
    library: /^(node:inspector|pprof-format)$/,
    files: /^src\/adapters\/http\/(profiler|pprof_format)\.ts$/,
    remedy: "take profiles through src/adapters/http/profiling.ts",
  },
  {
    library: /^@opentelemetry\//,
    files: /^src\/adapters\/tracing\//,
    remedy: "take a Tracing (src/principal/ports/tracing.ts)",
  },
  {
    library: /^(redis$|@redis\/)/,
    files: /^src\/adapters\/redis\//,
    remedy: "take a ClusterInfo (src/principal/ports/cluster_info.ts)",
  },
  {
    library: /^jose$/,
    files: /^src\/adapters\/grpc\/tokens\.ts$/,
    remedy: "issue and check tokens in src/adapters/grpc/tokens.ts",
  },
  {
    library: /^bcryptjs$/,
    files: /^src\/adapters\/grpc\/(methods|password_worker)\.ts$/,
    remedy: "check passwords in src/adapters/grpc/password_worker.ts",
  },
  {
    library: /^(@peculiar\/x509|reflect-metadata)$/,
    files: /^src\/adapters\/(tls\/pki|grpc\/auth)\.ts$/,
    remedy: "make certificates in src/adapters/tls/pki.ts and read them in src/adapters/grpc/auth.ts",
  },
  {
    library: /^re2js$/,
    files: /^src\/base\/pattern\.ts$/,
    remedy: "use Pattern (src/base/pattern.ts), which bounds lengths",
  },
  {
    library: /^protobufjs(\/|$)/,
    files: /^src\/adapters\/grpc\//,
    remedy: "use the generated messages of proto/gen.js",
  },
];

/** Rooms whose files do no I/O and read no clock: everything comes in as an argument. */
export const PURE = /^src\/(domain|base)\//;

/** Packages that a pure file may import, since they only compute. */
export const PURE_PACKAGES = /^(re2js|@std\/(path\/glob-to-regexp|collections\/.*|data-structures\/.*))$/;

/** Files of base that are not pure, and why. */
export const IMPURE: Record<string, string> = {
  "src/base/clock.ts": "the one place that reads a clock",
  "src/base/log.ts": "the one place that writes the log",
  "src/base/until.ts": "the one place that waits for a change, with a deadline",
  "src/base/sha256.ts": "the one place that hashes (node:crypto)",
  "src/base/packed.ts": "the one place that compresses (node:zlib)",
};
