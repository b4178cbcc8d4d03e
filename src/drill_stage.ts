/** The stage of a drill: a second core over a copy in memory, a port that nobody is told, and a simulated agent. */
import { Buffer } from "node:buffer";
import { asAtAgent } from "./domain/agents/projects.ts";
import { eventStreamHandlers } from "./adapters/grpc/agents.ts";
import { authenticationHandlers, versionHandlers } from "./adapters/grpc/authentication.ts";
import { authenticator } from "./adapters/grpc/methods.ts";
import { createServer, listen, RotatingCredentials } from "./adapters/grpc/server.ts";
import * as services from "./adapters/grpc/services.ts";
import { SignedTokens } from "./adapters/grpc/tokens.ts";
import type { Mode } from "./domain/resources/roster.ts";
import type { ApiObject } from "./domain/resources/object.ts";
import { localize } from "./domain/resources/transform.ts";
import type { SimAgent } from "./simagents/agent.ts";
import { SqliteStore } from "./adapters/store/sqlite.ts";
import { openFile } from "./adapters/store/sqlite_file.ts";
import type { TlsMaterial } from "./adapters/tls/files.ts";
import { parseMtlsRule } from "./domain/agents/identity.ts";
import { Authority } from "./adapters/tls/pki.ts";
import { NO_CLUSTER_INFO } from "./principal/ports/cluster_info.ts";
import type { Context } from "./principal/core/context.ts";
import { type Core, openCore } from "./principal/principal.ts";
import type { Log } from "./base/log.ts";
import { writeMemory } from "./principal/core/memory.ts";
import { StoreMonitor } from "./principal/core/store_monitor.ts";

const DAY_MS = 86_400_000;

/** A core over a copy of this side's copy, not promoted yet. */
export async function openCopy(
  ctx: Context,
  tell: (problem: string) => void,
  undo: (() => Promise<void> | void)[],
): Promise<Core> {
  const settings = {
    ...ctx.settings,
    peerAddress: "",
    preferredRole: "replica",
    selfRegistration: undefined,
    agentVersionPolicy: "any",
    generateJwtKey: true,
  } as const;
  const store = new SqliteStore(
    openFile(":memory:", { create: true, verify: false }),
    "the drill's copy",
    false,
  );
  undo.push(() => store.close());
  const objects = [...ctx.index.live()].map(({ payload }) =>
    localize(JSON.parse(payload) as ApiObject, () => undefined).object
  );
  await Promise.all(objects.map((object) => store.write({ op: "put", object })));
  const { epoch } = ctx.model().memory;
  const memory = {
    role: "replica",
    epoch,
    complete: true,
    leader: "",
    formerActive: false,
    promised: 0,
  } as const;
  await writeMemory(store, settings.namespace, memory);
  const log = logTo(tell);
  const monitor = new StoreMonitor(store, log, () => {});
  undo.push(() => monitor.stop());
  const core = await openCore({
    settings,
    log,
    store,
    monitor,
    peer: {
      connect: noPeer,
      healthy: noPeer,
      certificateNotAfterMs: () => 0,
    },
    hasSigningKey: true,
    history: [],
    processing: { observe: () => {}, forget: () => {} },
    tokens: await SignedTokens.generate(),
    clusterInfo: () => Promise.resolve(NO_CLUSTER_INFO),
  });
  undo.push(() => core.stop());
  core.start();
  return core;
}

function noPeer(): never {
  throw new Error("a drill has no peer");
}

/** Only what goes wrong is of interest. */
function logTo(tell: (problem: string) => void): Log {
  const line = (message: string, fields = {}) => {
    tell([message, ...Object.entries(fields).map(([name, value]) => `${name}=${value}`)].join(" "));
  };
  const nothing = () => {};
  return { trace: nothing, debug: nothing, info: nothing, warn: line, error: line };
}

/** Serves, and starts the agent. */
export async function openAgent(
  core: Core,
  { agent, mode, own }: { agent: string; mode: Mode; own: readonly Own[] },
  undo: (() => Promise<void> | void)[],
): Promise<SimAgent> {
  const authority = await Authority.create(1);
  const issued = async (commonName: string, server: boolean): Promise<TlsMaterial> => {
    const { cert, key } = await authority.issue({ commonName, sans: server ? ["127.0.0.1"] : [], server });
    const ca = Buffer.from(authority.pem.cert);
    return { ca, cert: Buffer.from(cert), key: Buffer.from(key), notAfterMs: Date.now() + DAY_MS };
  };
  const auth = authenticator({ method: "mtls", rule: parseMtlsRule("CN=([^,]+)") }, () => false);
  const server = createServer(core.ctx.settings.maxMessageBytes);
  server.addService(services.versionService, versionHandlers());
  server.addService(services.authenticationService, authenticationHandlers(core.admission, auth));
  server.addService(services.eventStreamService, eventStreamHandlers(core.admission, auth, core.ctx.log));
  undo.push(() => server.forceShutdown());
  const credentials = new RotatingCredentials(await issued("drill", true), "TLSv1.3", true);
  const port = await listen(server, "127.0.0.1:0", credentials);
  const { SimAgent } = await import("./simagents/agent.ts");
  const sim = new SimAgent({
    name: agent,
    mode,
    address: () => `127.0.0.1:${port}`,
    material: await issued(agent, false),
  });
  for (const { kind, payload } of own) sim.cluster.put(kind, asAtAgent(JSON.parse(payload), agent));
  undo.push(() => sim.stop());
  sim.start();
  return sim;
}

/** An autonomous agent's own resources in a copy, and the checksums by which the two agree; none of a managed one. */
export function ownOf(core: Core, { agent, mode }: { agent: string; mode: Mode }): Own[] {
  if (mode === "managed") return [];
  return [...core.ctx.index.live()].flatMap(({ key, payload }) => {
    const view = core.ctx.fleet().view({ name: agent, mode }, key);
    return view ? [{ key, kind: view.kind, payload, checksum: view.source ?? "" }] : [];
  });
}

export interface Own {
  key: string;
  kind: string;
  payload: string;
  checksum: string;
}
