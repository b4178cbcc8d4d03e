/** One side of the pair: a host with a disk, and the principal's process on it, which can be started, paused and killed. */
import { hasSigningKey } from "../../src/adapters/tls/secrets.ts";
import type { Tokens } from "../../src/principal/ports/tokens.ts";
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import type { Caller as AgentCaller } from "../../src/principal/ports/agents.ts";
import type { Mode } from "../../src/domain/resources/roster.ts";
import type { CertificateNames } from "../../src/domain/agents/identity.ts";
import { explain, type Explanation, type Situation } from "../../src/domain/ha/explain.ts";
import { NO_CLUSTER_INFO } from "../../src/principal/ports/cluster_info.ts";
import { SOLE } from "../../src/principal/ports/store_lock.ts";
import { openCore } from "../../src/principal/opening.ts";
import type { Core } from "../../src/principal/principal.ts";
import { type Log, LOG_LEVELS } from "../../src/base/log.ts";
import { parseSettings, type Settings } from "../../src/config/settings.ts";
import { StoreMonitor } from "../../src/principal/core/store_monitor.ts";
import { type Process, process } from "./clock.ts";
import type { Disk } from "./disk.ts";
import { serveAgents } from "./agents.ts";
import type { Network, Server } from "./network.ts";
import { servePeer, SimPeer } from "./peer.ts";

export type SiteName = "a" | "b";

/** A certificate of our CA. */
export function certificateOf(commonName: string): CertificateNames {
  return { subject: [["CN", commonName]], uris: [], fingerprint: commonName.toUpperCase() };
}

/** Few, so that stories of a few Applications have deletions that wait. */
export const GUARD = { count: 2, percent: 20, windowMs: 60_000 };

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
    `--ha-deletion-guard-count=${GUARD.count}`,
    `--ha-deletion-guard-percent=${GUARD.percent}`,
    `--ha-deletion-guard-window=${GUARD.windowMs}ms`,
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
  sent(site: Site, to: AgentCaller, event: AgentEvent): void;
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
    private readonly events: SiteEvents,
  ) {
    this.settings = settingsOf(name);
    this.other = name === "a" ? "b" : "a";
    disk.serves = () => this.serving;
  }

  /** Whether this side serves agents now. */
  get serving(): boolean {
    return this.process.alive && this.core?.activeScope() !== undefined;
  }

  get state(): string {
    if (!this.process.alive) return "dead";
    return this.core?.model().state ?? "starting";
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
    const { core } = this;
    if (!core) throw new Error("not running");
    const situation = await core.situation();
    return { situation, explanation: explain(situation) };
  }

  async #run(me: Process): Promise<void> {
    const log = this.#log();
    const store = this.disk.mount(me);
    const caller = { process: me, from: this.name, certificate: certificateOf(ROLE[this.name]) };
    const core = await openCore({
      settings: this.settings,
      log,
      store,
      tenure: SOLE,
      monitor: new StoreMonitor(store, log, () => {}),
      peer: new SimPeer(this.network, caller, () => this.other),
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
    const server: Server = { process: me, handlers: new Map() };
    servePeer(server.handlers, core.peerService);
    serveAgents(server.handlers, core.admission, (to, event) => this.events.sent(this, to, event));
    return server;
  }

  /** An agent's token is its name and mode: how tokens are made and checked is tried elsewhere, with real keys. */
  #tokens(): Tokens {
    return {
      verifyAccess: (token: string) => {
        const [clientID = "", mode = "managed"] = token.split("|");
        this.core?.roster.authenticated(clientID, mode as Mode, "argocd");
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
