import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { LogLevel, LogSettings } from "../base/log.ts";
import { admits } from "../domain/resources/scope.ts";
import { FLAGS } from "./flags.ts";
import { parseDuration, parseSettings } from "./settings.ts";
import { UsageError } from "./usage.ts";

const GOOD = [
  "-n",
  "argocd",
  "--auth",
  "mtls:^CN=([^,]+)",
  "--tls-cert",
  "c",
  "--tls-key=k",
  "--root-ca-path",
  "a",
];
const REDIS_TLS = [...GOOD, "--redis-server-address", "r:1", "--redis-tls-enabled"];
const HA = [...GOOD, "--ha-enabled", "--ha-allowed-replication-clients", "replica, dr"];
/** Every namespace, where nothing is said of them. */
const EVERY = { ARGOCD_PRINCIPAL_ALLOWED_NAMESPACES: "*" };
const parse = (args: string[], env: Record<string, string> = {}) =>
  parseSettings(args, (name) => ({ ...EVERY, ...env })[name]);

function problem(args: string[]): string {
  try {
    parse(args);
  } catch (error) {
    assert(error instanceof UsageError, String(error));
    return error.message;
  }
  throw new Error(`${args.join(" ")} was accepted`);
}

Deno.test("parseSettings() takes the peer's flags, their = form, and their defaults", () => {
  const { settings, warnings } = parse(HA);
  assertEquals(warnings, []);
  assertEquals(settings.namespace, "argocd");
  assertEquals(settings.allowedReplicationClients, ["replica", "dr"]);
  assertEquals([settings.listenPort, settings.metricsPort, settings.healthzPort, settings.adminPort], [
    8443,
    8000,
    8003,
    8405,
  ]);
  assertEquals([settings.haEnabled, settings.preferredRole, settings.requireClientCerts], [
    true,
    "primary",
    true,
  ]);
  assertEquals([settings.maxMessageBytes, settings.tlsVersions.minVersion, settings.initialAckTimeoutMs], [
    209_715_200,
    "TLSv1.3",
    300_000,
  ]);
  assertEquals(settings.store, { type: "sqlite", path: "argocd-agent-ha-data/principal.db" });
});

Deno.test("parseSettings() reads the environment, flags win, malformed values fall back with a warning", () => {
  const env = {
    ARGOCD_PRINCIPAL_LISTEN_PORT: "9443",
    ARGOCD_PRINCIPAL_HEALTH_CHECK_PORT: "8080",
    ARGOCD_PRINCIPAL_METRICS_PORT: "many",
    ARGOCD_PRINCIPAL_HA_ENABLED: "true",
    ARGOCD_PRINCIPAL_HA_ALLOWED_REPLICATION_CLIENTS: "replica",
    ARGOCD_PRINCIPAL_TLS_SERVER_CERT_PATH: "from-env",
  };
  const { settings, warnings } = parse([...GOOD, "--listen-port=1443", "--ha-enabled=false"], env);
  assertEquals([settings.listenPort, settings.healthzPort, settings.metricsPort], [1443, 8080, 8000]);
  assertEquals([settings.haEnabled, settings.tls.cert], [false, "c"]);
  assertEquals(warnings, ['ARGOCD_PRINCIPAL_METRICS_PORT="many": must be a whole number; using "8000"']);
});

Deno.test("parseSettings() serves WebSockets where it is told to, and the flags of the Go principal warn of nothing", () => {
  const { settings, warnings } = parse([...GOOD, "--enable-websocket", "--event-processors=10"]);
  assertEquals([settings.webSockets, parse(GOOD).settings.webSockets], [true, false]);
  assertEquals(warnings, []);
});

Deno.test("parseSettings() takes a list of cipher suites that has all of the versions", () => {
  const suites = "TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384,TLS_CHACHA20_POLY1305_SHA256,ANOTHER";
  const { settings } = parse([...GOOD, `--tls-ciphersuites=${suites}`]);
  assertEquals(settings.tlsVersions, { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" });
});

Deno.test("parseSettings() refuses mistakes with one clear line", () => {
  const cases: [string[], string][] = [
    [[], "namespace is required"],
    [["-n", "Not_A_Label"], "must be a DNS-1123 label"],
    [GOOD.slice(0, 2), 'invalid auth string ""'],
    [[...GOOD, "--no-such-flag"], "unknown flag --no-such-flag"],
    [[...GOOD, "stray"], 'unexpected argument "stray"'],
    [[...GOOD, "--listen-port", "70000"], "must be at most 65535"],
    [[...GOOD, "--listen-port=-1"], "must be a whole number"],
    [[...GOOD, "--listen-port", "abc"], "must be a whole number"],
    [[...GOOD, "--metrics-port", "40000"], "must be at most 32767"],
    [[...GOOD, "--tls-max-version=tls1.1"], "must be one of tls1.2, tls1.3"],
    [[...GOOD, "--tls-max-version=tls1.2"], '--tls-min-version "tls1.3" is above --tls-max-version "tls1.2"'],
    [
      [...GOOD, "--tls-ciphersuites=TLS_AES_256_GCM_SHA384"],
      "leaves out TLS_AES_128_GCM_SHA256, TLS_CHACHA20",
    ],
    [
      [...GOOD, "--tls-min-version=tls1.2", "--tls-ciphersuites=TLS_AES_128_GCM_SHA256"],
      "narrow the versions",
    ],
    [[...GOOD, "--healthz-port", "0"], "--healthz-port must be between 1 and 32767"],
    [[...GOOD, "--log-level", "grpc-event=loud"], "must be one of trace, debug, info, warn, error"],
    [[...GOOD, "--log-format", "xml"], "must be one of text, json"],
    [[...GOOD, "--log-level", "loud"], "must be one of trace, debug, info, warn, error"],
    [[...GOOD, "--store", "redis:x"], "must be kubernetes or sqlite:FILE"],
    [[...GOOD, "--ha-preferred-role", "leader"], "must be one of primary, replica"],
    [[...GOOD, "--ha-name", "the west"], '--ha-name "the west": must be a DNS-1123 label'],
    [[...GOOD, "--ha-enabled=maybe"], "must be true or false"],
    [[...HA, "--ha-preferred-role", "replica"], "peer address is required for replica role"],
    [[...HA, "--ha-peer-address", "nowhere"], "must be host:port"],
    [[...GOOD, "--ha-enabled"], "--ha-allowed-replication-clients"],
    [[...HA, "--ha-replication-initial-ack-timeout", "5 minutes"], "must be a duration"],
    [["-n", "argocd", "--auth", "userpass:"], "name the file of users"],
    [["-n", "argocd", "--auth", "header:x-agent:(.*)"], "it needs --insecure-plaintext"],
    [["-n", "argocd", "--auth", "header:x", "--insecure-plaintext"], "must be header:NAME:REGEX"],
    [["-n", "argocd", "--auth", "mtls:CN=(.*)", "--insecure-plaintext"], "needs TLS"],
    [[...HA, "--auth", "userpass:/x"], "--ha-enabled needs --auth mtls:REGEX"],
    [[...GOOD, "--agent-version-policy", "same"], "must be one of exact, minor, any"],
    [[...GOOD, "--enable-self-cluster-registration"], "--self-registration-client-cert-secret"],
    [[...GOOD, "--redis-server-address", "r:1", "--redis-compression-type", "zip"], "must be gzip or none"],
    [[...GOOD, "--redis-server-address", "r:1:2"], "must be host:port"],
    [[...GOOD, "--redis-server-address", "r:1", "--redis-proxy-port", "70000"], "must be at most 65535"],
    [[...REDIS_TLS], "--redis-proxy-server-tls-key; without it: --disable-redis-proxy"],
    [[...REDIS_TLS, "--redis-proxy-server-tls-cert", "c"], "belong together"],
    [[...REDIS_TLS, "--redis-tls-insecure", "--redis-ca-path", "ca"], "exclude each other"],
    [["-n", "argocd", "--auth", "magic:x"], "unknown method"],
    [["-n", "argocd", "--auth", "mtls:CN=(.*)"], "--tls-cert is required"],
    [["-n", "argocd", "--auth", "mtls:CN=(.*)", "--insecure-tls-generate"], "--root-ca-path is required"],
    [[...GOOD, "--insecure-tls-generate"], "exclude each other"],
    [
      ["-n=argocd", "--auth=mtls:CN=(.*)", "--root-ca-path=c", "--insecure-tls-generate", "--ha-enabled"],
      "the peer cannot trust",
    ],
  ];
  for (const [args, words] of cases) assertStringIncludes(problem(args), words, args.join(" "));
});

Deno.test("parseSettings() reads the peer's log levels by component", () => {
  const cases: [string, LogLevel, LogSettings["components"]][] = [
    ["debug", "debug", {}],
    ["resource-proxy=trace,warning", "warn", { "resource-proxy": "trace" }],
    ["grpc-event=debug", "info", { "grpc-event": "debug" }],
    ["error, redis-proxy = info ,redis-proxy=", "error", { "redis-proxy": "info" }],
  ];
  for (const [given, level, components] of cases) {
    const { log } = parse([...GOOD, "--log-level", given]).settings;
    assertEquals([log.level, log.components], [level, components], given);
  }
  const { settings, warnings } = parse([...GOOD, "--log-level=web=debug", "--full-detail=Events,pods"]);
  assertEquals([settings.log.level, settings.log.components, settings.log.details], ["info", {}, ["events"]]);
  assertEquals(warnings, [
    '--log-level: "web" is none of the components resource-proxy, redis-proxy, grpc-event, informer-event-buffer; left out',
    '--full-detail: "pods" is none of all, actions, events, informers; left out',
  ]);
  assertEquals(parse([...GOOD, "--full-detail=all"]).settings.log.details, [
    "actions",
    "events",
    "informers",
  ]);
});

Deno.test("with HA on, an empty allow-list is refused unless anybody is allowed by name", () => {
  assertStringIncludes(problem([...GOOD, "--ha-enabled"]), "--ha-allow-any-replication-client");
  assert(
    parse([...GOOD, "--ha-enabled", "--ha-allow-any-replication-client"]).settings.allowAnyReplicationClient,
  );
});

Deno.test("parseDuration() reads Go durations", () => {
  const cases: [string, number | undefined][] = [
    ["0", 0],
    ["300ms", 300],
    ["1.5s", 1_500],
    ["1m30s", 90_000],
    ["2h", 7_200_000],
    ["5", undefined],
    ["", undefined],
    ["-5s", undefined],
    ["5 s", undefined],
  ];
  for (const [text, ms] of cases) assertEquals(parseDuration(text), ms, text);
});

Deno.test("FLAGS: names and environment variables are unique", () => {
  assertEquals(new Set(FLAGS.map((flag) => flag.name)).size, FLAGS.length);
  assertEquals(new Set(FLAGS.map((flag) => flag.env)).size, FLAGS.length);
});

Deno.test("the store: SQLite by default, the cluster where there is one, and what does not go together is refused", () => {
  const kubernetes = {
    type: "kubernetes" as const,
    kubeconfig: "k",
    context: "",
    writeConcurrency: 32,
    createNamespaces: undefined,
  };
  const inPod = { KUBERNETES_SERVICE_HOST: "10.0.0.1" };
  assertEquals(parse([...GOOD, "--kubeconfig", "k"]).settings.store, kubernetes);
  assertEquals(parse(GOOD, inPod).settings.store, { ...kubernetes, kubeconfig: "" });
  assertEquals(parse([...GOOD, "--store=sqlite:d/x.db"], inPod).settings.store, {
    type: "sqlite",
    path: "d/x.db",
  });
  assertEquals(parse([...GOOD, "--store=sqlite:d/x.db"]).settings.dataDir, "d/");
  const found = { ...kubernetes, kubeconfig: "" };
  assertEquals(parse([...GOOD, "--store", "kubernetes"]).settings.store, found);
  assertEquals(parse([...GOOD, "--kubecontext", "eu"]).settings.store, { ...found, context: "eu" });
  assertEquals(parse(GOOD, { KUBECONFIG: "a:b" }).settings.store, found);
  assertEquals(parse(GOOD, { KUBECONFIG: "", HOME: "/home/x" }).settings.store.type, "sqlite");
  assertEquals(parse([...GOOD, "--store=sqlite:x.db"], { KUBECONFIG: "a" }).settings.store.type, "sqlite");
  const secrets = parse(["-n", "argocd", "--auth", "mtls:CN=(.*)"], inPod).settings;
  assertEquals([secrets.tls.cert, secrets.tlsSecretName, secrets.caSecretName, secrets.jwtSecretName], [
    "",
    "argocd-agent-principal-tls",
    "argocd-agent-ca",
    "argocd-agent-jwt",
  ]);
  const creation = parse(
    [
      ...GOOD,
      "--namespace-create-enable",
      "--namespace-create-pattern=^edge-",
      "--namespace-create-labels=a=b,c=d",
    ],
    inPod,
  ).settings.store;
  assertEquals(creation.type === "kubernetes" && creation.createNamespaces?.labels, { a: "b", c: "d" });
  const cases: [string[], string][] = [
    [
      [...GOOD, "--label-selector", "team in a"],
      '--label-selector "team in a": "team in a" is no requirement',
    ],
    [[...GOOD, "--store=sqlite:x.db", "--kubecontext=eu"], "--kubecontext needs the kubernetes store"],
    [[...GOOD, "--kubeconfig=k", "--kube-write-concurrency=0"], "must be between 1 and 1000"],
    [
      [...GOOD, "--kubeconfig=k", "--namespace-create-enable", "--namespace-create-labels=a"],
      "must be NAME=VALUE",
    ],
    [["-n", "argocd", "--auth", "mtls:CN=(.*)", "--kubeconfig=k", "--tls-cert=c"], "belong together"],
    [[...GOOD, "--ha-replicate-cluster-secrets=some"], "must be self-registered or all"],
  ];
  for (const [args, words] of cases) assertStringIncludes(problem(args), words, args.join(" "));
});

Deno.test("--allowed-namespaces takes names, globs and /regex/; none given admits none but the principal's own, and says so", () => {
  const scope = (list: string) => parse([...GOOD, `--allowed-namespaces=${list}`]).settings.scope;
  const cases: [string, string[], string[]][] = [
    ["", ["argocd"], ["anything"]],
    ["*", ["anything"], []],
    ["edge-1", ["edge-1", "argocd"], ["edge-11", "edge"]],
    ["edge-*, team-?", ["edge-", "edge-99", "team-a"], ["team-ab", "xedge-1"]],
    ["{eu,us}-[12]", ["eu-1", "us-2"], ["eu-3", "ap-1"]],
    ["/^prod(-[0-9]+)?$/", ["prod", "prod-12"], ["prod-x", "preprod"]],
  ];
  for (const [list, inside, outside] of cases) {
    for (const name of inside) assert(admits(scope(list), name), `${list}: ${name}`);
    for (const name of outside) assert(!admits(scope(list), name), `${list}: not ${name}`);
  }
  const { warnings } = parse(GOOD, { ARGOCD_PRINCIPAL_ALLOWED_NAMESPACES: "" });
  assertEquals(warnings.length, 1);
  assertStringIncludes(
    warnings[0] ?? "",
    'no Application or ApplicationSet outside namespace "argocd" is served',
  );
  assertStringIncludes(problem([...GOOD, "--allowed-namespaces=/(/"]), "--allowed-namespaces");
  assertStringIncludes(problem([...GOOD, "--allowed-namespaces=Not_a_name"]), "must be a namespace, a glob");
});

Deno.test("parseSettings(): the Redis proxy is on where there is a Redis", () => {
  const proxyOf = (...args: string[]) => parse([...GOOD, ...args]).settings.redis?.proxy;
  const address = "--redis-server-address=r";
  assertEquals(proxyOf(), undefined);
  assertEquals(proxyOf(address), { port: 6379, tls: undefined });
  assertEquals(proxyOf(address, "--redis-proxy-port=7000"), { port: 7000, tls: undefined });
  for (const off of ["--redis-proxy-port=0", "--disable-redis-proxy"]) {
    assertEquals(proxyOf(address, off), undefined, off);
  }
  const tls = { cert: "", key: "", secretName: "argocd-redis-proxy-tls" };
  assertEquals(proxyOf(address, "--redis-tls-enabled", "--store=kubernetes"), { port: 6379, tls });
});

Deno.test("parseSettings(): without an address Redis is the Go principal's default in a cluster, which is said, and none elsewhere", () => {
  const of = (...args: string[]) => {
    const { settings, notes } = parse([...GOOD, ...args]);
    return [settings.redis?.address, notes.length];
  };
  assertEquals(of(), [undefined, 0]);
  assertEquals(of("--store=kubernetes"), ["argocd-redis:6379", 1]);
  assertEquals(of("--store=kubernetes", "--redis-server-address=off"), [undefined, 0]);
  assertEquals(of("--store=kubernetes", "--redis-server-address=r:1"), ["r:1", 0]);
});

Deno.test("parseSettings() says of a flag without effect that it has none", () => {
  const { warnings } = parse([...GOOD, "--event-processors=20", "--keepalive-min-interval=0"]);
  assertEquals(warnings, [
    `--event-processors "20" has no effect: every agent's events are processed beside the others'`,
  ]);
});

Deno.test("parseSettings() takes the pod's namespace where none is given, and says what a loopback address means in a pod", () => {
  const pod = { ARGOCD_PRINCIPAL_POD_NAMESPACE: "hub", ARGOCD_PRINCIPAL_POD_UID: "a" };
  const own = GOOD.slice(2);
  assertEquals(parse(own, { ...pod, ARGOCD_PRINCIPAL_NAMESPACE: "" }).settings.namespace, "hub");
  assertEquals(parse(own, { ...pod, ARGOCD_PRINCIPAL_NAMESPACE: "argocd" }).settings.namespace, "argocd");
  const host = { ARGOCD_PRINCIPAL_LISTEN_HOST: "127.0.0.1" };
  assertStringIncludes(
    parse(own, { ...pod, ...host }).warnings.join(),
    "only this pod reaches the port for agents",
  );
  assertEquals(parse(GOOD, host).warnings, []);
});
