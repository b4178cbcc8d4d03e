/** One side of the pair: a host with a disk, and the principal's process on it, which can be started, paused and killed. */
import { Buffer } from "node:buffer";
import { eventStreamHandlers } from "../../src/adapters/grpc/agents.ts";
import { versionHandlers } from "../../src/adapters/grpc/authentication.ts";
import { GrpcPeer } from "../../src/adapters/grpc/peer.ts";
import { linkHandlers } from "../../src/adapters/grpc/link_service.ts";
import {
  eventStreamService,
  linkService,
  type Methods,
  versionService,
} from "../../src/adapters/grpc/services.ts";
import { hasSigningKey } from "../../src/adapters/tls/secrets.ts";
import type { Tokens } from "../../src/principal/ports/tokens.ts";
import { explain, type Explanation, type Situation } from "../../src/domain/ha/explain.ts";
import { situationOf } from "../../src/principal/operations/readiness.ts";
import { askPeer } from "../../src/principal/core/peer.ts";
import type { Mode } from "../../src/domain/resources/roster.ts";
import { NO_CLUSTER_INFO } from "../../src/principal/ports/cluster_info.ts";
import { type Core, openCore } from "../../src/principal/principal.ts";
import type { Context } from "../../src/principal/core/context.ts";
import { type Log, LOG_LEVELS } from "../../src/base/log.ts";
import { parseSettings, type Settings } from "../../src/config/settings.ts";
import { StoreMonitor } from "../../src/principal/core/store_monitor.ts";
import { type Process, process } from "./clock.ts";
import type { Disk } from "./disk.ts";
import { type Network, serve, type Server } from "./network.ts";

export type SiteName = "a" | "b";

/** Certificates by name; made once, before the clock is simulated. */
export type Certificates = Record<"primary" | "replica" | "stranger", Buffer>;

const ROLE = { a: "primary", b: "replica" } as const;

export function settingsOf(name: SiteName): Settings {
  const { settings } = parseSettings([
    "--namespace=argocd",
    "--auth=mtls:CN=([^,]+)",
    "--store=sqlite:simulated.db",
    "--tls-cert=simulated",
    "--tls-key=simulated",
    "--root-ca-path=simulated",
    "--ha-enabled",
    "--ha-allowed-replication-clients=primary,replica",
    `--ha-preferred-role=${ROLE[name]}`,
    `--ha-peer-address=${name === "a" ? "b" : "a"}.example:8443`,
  ], () => undefined);
  return settings;
}

/** The events that a site reports to the checkers. */
export interface SiteEvents {
  log(site: Site, level: string, message: string, fields: Record<string, unknown>): void;
  opened(site: Site, core: Core): void;
}

export class Site {
  process: Process = { ...process("none"), alive: false };
  core: Core | undefined;
  starts = 0;
  readonly settings: Settings;
  readonly other: SiteName;

  constructor(
    readonly name: SiteName,
    private readonly network: Network,
    readonly disk: Disk,
    private readonly certificates: Certificates,
    private readonly events: SiteEvents,
  ) {
    this.settings = settingsOf(name);
    this.other = name === "a" ? "b" : "a";
  }

  get ctx(): Context | undefined {
    return this.core?.ctx;
  }

  /** Whether this side serves agents now. */
  get serving(): boolean {
    return this.process.alive && this.ctx?.activeScope() !== undefined;
  }

  get state(): string {
    if (!this.process.alive) return "dead";
    return this.ctx?.model().state ?? "starting";
  }

  start(): void {
    if (this.process.alive) return;
    const { skewMs, drift } = this.process;
    this.process = { ...process(`${this.name}${++this.starts}`), skewMs, drift };
    this.core = undefined;
    this.network.clock.schedule(this.process, 1, () => void this.#run(this.process), "start");
  }

  kill(): void {
    if (!this.process.alive) return;
    this.process.alive = false;
    this.core = undefined;
    this.network.servers.delete(this.name);
    this.network.died(this.process);
  }

  /** The answer of `ha explain` here. @throws Error if this principal does not run */
  async explain(): Promise<{ situation: Situation; explanation: Explanation }> {
    const { ctx } = this;
    if (!ctx) throw new Error("not running");
    const situation = situationOf(ctx, await askPeer(ctx));
    return { situation, explanation: explain(situation) };
  }

  async #run(me: Process): Promise<void> {
    const log = this.#log();
    const store = this.disk.mount(me);
    const certificate = { sslPeerCertificate: { raw: this.certificates[ROLE[this.name]] } };
    const access = {
      address: this.settings.peerAddress,
      healthz: "",
      dial: () => this.network.dial(me, this.name, () => this.other, certificate),
      certificateNotAfterMs: () => 0,
    };
    const core = await openCore({
      settings: this.settings,
      log,
      store,
      monitor: new StoreMonitor(store, log, () => {}),
      peer: Object.assign(new GrpcPeer(access), { dial: access.dial }),
      hasSigningKey: hasSigningKey(this.settings),
      history: [],
      processing: { observe: () => {}, forget: () => {} },
      tokens: this.#tokens(),
      clusterInfo: () => Promise.resolve(NO_CLUSTER_INFO),
    });
    if (me !== this.process) return;
    this.core = core;
    core.failed.catch((error) => {
      this.events.log(this, "error", `the store failed: ${error}`, {});
      this.kill();
    });
    this.events.opened(this, core);
    this.network.servers.set(this.name, this.#server(me, core));
    core.start();
  }

  #server(me: Process, core: Core): Server {
    const { ctx } = core;
    const server: Server = { process: me, methods: new Map() };
    serve(server.methods, linkService as unknown as Methods, linkHandlers(core.peerService));
    serve(server.methods, versionService as unknown as Methods, versionHandlers());
    const byToken = {
      method: "header" as const,
      authenticate: () => ({ problem: "not simulated" }),
      stillHolds: (_: unknown, identity: string) => ({ identity, fingerprint: "" }),
    };
    serve(
      server.methods,
      eventStreamService as unknown as Methods,
      eventStreamHandlers(core.admission, byToken, ctx.log),
    );
    return server;
  }

  /** An agent's token is its name and mode: how tokens are made and checked is tried elsewhere, with real keys. */
  #tokens(): Tokens {
    return {
      verifyAccess: (token: string) => {
        const [clientID = "", mode = "managed"] = token.split("|");
        this.ctx?.roster.authenticated(clientID, mode as Mode, "argocd");
        return Promise.resolve({ clientID, mode: mode as Mode });
      },
    } as unknown as Tokens;
  }

  #log(): Log {
    const line = (level: string) => (message: string, fields = {}) =>
      this.events.log(this, level, message, fields);
    return Object.fromEntries(LOG_LEVELS.map((level) => [level, line(level)])) as Log;
  }
}
