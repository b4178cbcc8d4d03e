/**
 * The stage of a drill, a second composition of a principal: over a copy in memory, on a loopback port that no agent is told, with mTLS by
 * certificates made for the moment, and one simulated agent. The copy is held twice meanwhile.
 */
import { NO_WORK } from "./principal/ports/telemetry.ts";
import { NO_TRACING } from "./principal/ports/tracing.ts";
import { Buffer } from "node:buffer";
import { parseJson } from "./base/json.ts";
import { agentCallers, eventStreamHandlers } from "./adapters/grpc/agents.ts";
import { authenticationHandlers, versionHandlers } from "./adapters/grpc/authentication.ts";
import { authenticator } from "./adapters/grpc/methods.ts";
import { OpenCalls } from "./adapters/grpc/open_calls.ts";
import { createServer, listen, RotatingCredentials } from "./adapters/grpc/server.ts";
import * as services from "./adapters/grpc/services.ts";
import { SignedTokens } from "./adapters/grpc/tokens.ts";
import { SqliteStore } from "./adapters/store/sqlite.ts";
import { openFile } from "./adapters/store/sqlite_file.ts";
import type { TlsMaterial } from "./adapters/tls/files.ts";
import { Authority } from "./adapters/tls/pki.ts";
import type { Log } from "./base/log.ts";
import { reasonOf } from "./base/reason.ts";
import { Emitter } from "./base/until.ts";
import type { Settings } from "./config/settings.ts";
import { parseMtlsRule } from "./domain/agents/identity.ts";
import { asAtAgent } from "./domain/agents/projects.ts";
import type { ChangeIndex } from "./domain/changes/index.ts";
import type { Model } from "./domain/ha/state.ts";
import { keyOfObject } from "./domain/resources/keys.ts";
import type { ApiObject } from "./domain/resources/object.ts";
import { localize } from "./domain/resources/transform.ts";
import { writeMemory } from "./principal/core/memory.ts";
import { UiNeeds } from "./principal/core/ui_needs.ts";
import { StoreMonitor } from "./principal/core/store_monitor.ts";
import { NO_CLUSTER_INFO } from "./principal/ports/cluster_info.ts";
import type { OwnResource, Part, PlayedAgent, Stage, StagedPrincipal } from "./principal/ports/stage.ts";
import { SOLE } from "./principal/ports/store_lock.ts";
import { openCore } from "./principal/opening.ts";
import type { Core } from "./principal/principal.ts";
import type { SimAgent } from "./simagents/agent.ts";

const DAY_MS = 86_400_000;

type Undo = (() => Promise<void> | void)[];

/** The side to play, as it is now. */
export interface Played {
  readonly settings: Settings;
  readonly index: ChangeIndex;
  model(): Model;
}

/** The stage for drills of this side. */
export function drillStage(played: Played): Stage {
  return {
    open: async (tell) => {
      const undo: Undo = [];
      const close = async () => {
        for (let step = undo.pop(); step; step = undo.pop()) await step();
      };
      try {
        const log = logTo(tell);
        const { maxMessageBytes } = played.settings;
        return new Staged(await openCopy(played, log, undo), { log, maxMessageBytes }, undo, close);
      } catch (error) {
        await close();
        throw error;
      }
    },
  };
}

/** How the second principal serves its agent. */
interface Serving {
  log: Log;
  maxMessageBytes: number;
}

class Staged implements StagedPrincipal {
  constructor(
    private readonly core: Core,
    private readonly serving: Serving,
    private readonly undo: Undo,
    readonly close: () => Promise<void>,
  ) {}

  promote(): Promise<unknown> {
    return this.core.operations.command("promote", false, "drill");
  }

  ownResources({ agent, mode }: Part): OwnResource[] {
    if (mode === "managed") return [];
    const { index, fleet } = this.core;
    return [...index.live()].flatMap(({ key, payload }) => {
      const view = fleet.view({ name: agent, mode }, key);
      return view ? [{ key, kind: view.kind, payload, checksum: view.source ?? "" }] : [];
    });
  }

  async play({ agent, mode }: Part, own: readonly OwnResource[]): Promise<PlayedAgent> {
    const authority = await Authority.create(1);
    const port = await serve(this.core, this.serving, await issued(authority, "drill", true), this.undo);
    const { SimAgent } = await import("./simagents/agent.ts");
    const sim = new SimAgent({
      name: agent,
      mode,
      address: () => `127.0.0.1:${port}`,
      material: await issued(authority, agent, false),
    });
    for (const { kind, payload } of own) {
      sim.cluster.put(kind, asAtAgent(parseJson(payload) as ApiObject, agent));
    }
    this.undo.push(() => sim.stop());
    sim.start();
    return playedBy(sim, this.core);
  }

  writes(): number {
    return this.core.store.status().writes;
  }
}

function playedBy(sim: SimAgent, core: Core): PlayedAgent {
  const changes = new Emitter();
  sim.onChange = () => changes.notify();
  return {
    get connected() {
      return sim.connected;
    },
    get quiet() {
      const session = core.fleet.agent(sim.name)?.session;
      return session !== undefined && session.pending === 0 && sim.outbox.pending === 0;
    },
    get events() {
      return sim.seen.events;
    },
    get connects() {
      return sim.seen.connects;
    },
    get errors() {
      return sim.seen.errors;
    },
    get deleted() {
      return sim.cluster.deleted;
    },
    get recreated() {
      return sim.cluster.recreated;
    },
    list: (kind) => sim.cluster.list(kind),
    restart: () => sim.restart(),
    onChange: changes.subscribe,
  };
}

/** A principal over a copy of this side's copy, not promoted yet. */
async function openCopy(played: Played, log: Log, undo: Undo): Promise<Core> {
  const settings = {
    ...played.settings,
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
  const objects = [...played.index.live()].map(({ payload }) =>
    localize(parseJson(payload) as ApiObject, () => undefined).object
  );
  const written = await Promise.allSettled(objects.map((object) => store.write({ op: "put", object })));
  written.forEach((one, i) => {
    if (one.status === "rejected") {
      log.warn(`${keyOfObject(objects[i] as ApiObject)}: ${reasonOf(one.reason)}`);
    }
  });
  const { epoch } = played.model().memory;
  const memory = {
    role: "replica",
    epoch,
    complete: true,
    leader: "",
    formerActive: false,
    promised: 0,
    unproven: false,
    lineage: "",
    coverage: "",
  } as const;
  await writeMemory(store, settings.namespace, memory);
  const monitor = new StoreMonitor(store, log, () => {});
  undo.push(() => monitor.stop());
  const core = await openCore({
    settings,
    log,
    store,
    tenure: SOLE,
    monitor,
    peer: {
      connect: noPeer,
      healthy: noPeer,
      certificates: () => ({}),
      certificateNotAfterMs: () => 0,
      certificateProblem: () => "",
    },
    hasSigningKey: true,
    history: [],
    processing: { observe: () => {}, forget: () => {} },
    work: NO_WORK,
    tracing: NO_TRACING,
    certificates: () => [],
    tokens: await SignedTokens.generate(),
    clusterInfo: () => Promise.resolve(NO_CLUSTER_INFO),
    uiNeeds: new UiNeeds(),
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

async function issued(authority: Authority, commonName: string, server: boolean): Promise<TlsMaterial> {
  const { cert, key } = await authority.issue({ commonName, sans: server ? ["127.0.0.1"] : [], server });
  const ca = Buffer.from(authority.pem.cert);
  return { ca, cert: Buffer.from(cert), key: Buffer.from(key), notAfterMs: Date.now() + DAY_MS };
}

/** Serves agents on a loopback port; resolves with the port. */
async function serve(
  { admission }: Core,
  { log, maxMessageBytes }: Serving,
  material: TlsMaterial,
  undo: Undo,
): Promise<number> {
  const auth = await authenticator({ method: "mtls", rule: parseMtlsRule("^CN=([^,]+)") }, log);
  const openCalls = new OpenCalls(() => false, log);
  const server = createServer(maxMessageBytes, { openCalls });
  server.addService(services.versionService, versionHandlers());
  server.addService(services.authenticationService, authenticationHandlers(admission, auth));
  server.addService(
    services.eventStreamService,
    eventStreamHandlers(admission, agentCallers(admission, auth, openCalls), { log }),
  );
  undo.push(() => server.forceShutdown());
  return await listen(
    server,
    "127.0.0.1:0",
    new RotatingCredentials(material, { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" }, true),
  );
}
