/** One side of the pair: a host with a disk, and the principal's process on it, which can be started, paused and killed. */
import { NO_WORK } from "../../src/principal/ports/telemetry.ts";
import { NO_TRACING } from "../../src/principal/ports/tracing.ts";
import { hasSigningKey } from "../../src/adapters/tls/secrets.ts";
import type { Tokens } from "../../src/principal/ports/tokens.ts";
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import type { Caller as AgentCaller } from "../../src/principal/ports/agents.ts";
import type { Mode } from "../../src/domain/resources/roster.ts";
import type { CertificateNames } from "../../src/domain/agents/identity.ts";
import { explain, type Explanation } from "../../src/domain/ha/explain.ts";
import type { Situation } from "../../src/domain/ha/situation.ts";
import { UiNeeds } from "../../src/principal/core/ui_needs.ts";
import { NO_CLUSTER_INFO } from "../../src/principal/ports/cluster_info.ts";
import { LeaseLock } from "../../src/adapters/store/lease.ts";
import { Refusal } from "../../src/domain/ha/refusal.ts";
import { runTenures } from "../../src/principal/core/tenures.ts";
import { SOLE, type Tenure } from "../../src/principal/ports/store_lock.ts";
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

/** The flags that say which part of a cluster is a side's. */
export const PARTS = {
  everything: ["--allowed-namespaces=*"],
  "one namespace": ["--allowed-namespaces=agent-1"],
  "one team": ["--allowed-namespaces=*", "--label-selector=team=a"],
} as const;
export type Part = keyof typeof PARTS;

export function settingsOf(name: SiteName, part: Part = "everything"): Settings {
  const { settings } = parseSettings([
    "--namespace=argocd",
    ...PARTS[part],
    "--auth=mtls:CN=([^,]+)",
    "--store=sqlite:simulated.db",
    "--tls-cert=simulated",
    "--tls-key=simulated",
    "--root-ca-path=simulated",
    "--ha-enabled",
    `--ha-deletion-guard-count=${GUARD.count}`,
    `--ha-deletion-guard-percent=${GUARD.percent}`,
    `--ha-deletion-guard-window=${GUARD.windowMs}ms`,
    "--ha-allowed-replication-clients=primary,replica,reader",
    `--ha-peer-identity=${ROLE[name === "a" ? "b" : "a"]}`,
    `--ha-preferred-role=${ROLE[name]}`,
    `--ha-peer-address=${name === "a" ? "b" : "a"}.example:8443`,
  ], () => undefined);
  return settings;
}

/** Short, so that a story sees many tenures. */
const LEASE_MS = 6_000;

/** The events that a site reports to the checkers. */
export interface SiteEvents {
  /** @param by the process; by default the one that acts */
  log(site: Site, level: string, message: string, fields: Record<string, unknown>, by?: string): void;
  opened(site: Site, core: Core): void;
  sent(site: Site, to: AgentCaller, event: AgentEvent): void;
  /** A side's process is gone, or acts no longer. */
  died(site: Site): void;
}

export class Site {
  process: Process = { ...process("none"), alive: false };
  core: Core | undefined;
  starts = 0;
  /** Whether a second process may run here; then each asks for the lock on the disk. */
  contended = false;
  /** The last process of each identity. */
  readonly #processes = new Map<string, Process>();
  /** The processes that have opened the store, until they have ended or lost the lock. */
  readonly acting = new Map<Process, { core: Core; identity: string }>();
  /** The part of its cluster that its flags make its own, from the next start of a process. */
  part: Part = "everything";
  readonly other: SiteName;

  constructor(
    readonly name: SiteName,
    private readonly network: Network,
    readonly disk: Disk,
    private readonly events: SiteEvents,
  ) {
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

  /** Starts the principal's process where none runs. */
  start(): void {
    if (this.process.alive) return;
    const main = this.#processes.get(this.name);
    this.core = undefined;
    this.process = main?.alive ? main : this.#launch(this.name);
  }

  /** Starts a second process on the same disk, as an operator's mistake or a pod that hangs in Terminating does. */
  startSecond(): void {
    const identity = `${this.name}-second`;
    if (!this.#processes.get(identity)?.alive) this.#launch(identity);
  }

  /** Ends every process but the one that acts, or acts next. */
  endOthers(): void {
    for (const one of this.#processes.values()) {
      if (one !== this.process) this.#kill(one);
    }
  }

  #launch(identity: string): Process {
    const { skewMs, drift } = this.process;
    const me = { ...process(`${this.name}${++this.starts}`), skewMs, drift };
    this.#processes.set(identity, me);
    this.network.clock.schedule(me, 1, () => void this.#run(me, identity), "start");
    return me;
  }

  kill(): void {
    if (!this.process.alive) return;
    this.#kill(this.process);
    this.core = undefined;
    this.events.died(this);
    this.network.servers.delete(this.name);
  }

  #kill(process: Process): void {
    process.alive = false;
    this.acting.delete(process);
    this.network.died(process);
  }

  /** The answer of `ha explain` here. @throws Refusal if no principal acts here */
  async explain(): Promise<{ situation: Situation; explanation: Explanation }> {
    const { core } = this;
    if (!core) throw new Refusal("not running", "unavailable");
    const situation = await core.situation();
    return { situation, explanation: explain(situation) };
  }

  async #run(me: Process, identity: string): Promise<void> {
    if (!this.contended) return await this.#act(me, identity, SOLE);
    const lock = new LeaseLock(this.disk.leases(me), { identity, name: identity, pid: 1 }, LEASE_MS);
    const act = async (tenure: Tenure, ended: AbortSignal) => {
      await this.#act(me, identity, tenure, ended);
      const core = this.acting.get(me)?.core;
      return async (reason: Error) => {
        this.acting.delete(me);
        if (this.process === me) {
          this.core = undefined;
          this.network.servers.delete(this.name);
          this.events.died(this);
        }
        this.events.log(this, "info", `stops acting: ${reason.message}`, {}, me.name);
        await core?.rest(reason.message);
        await core?.stop();
      };
    };
    await runTenures(lock, { wait: () => {}, act }, new AbortController().signal);
  }

  async #act(
    me: Process,
    identity: string,
    tenure: Pick<Tenure, "holds">,
    ended?: AbortSignal,
  ): Promise<void> {
    const log = this.#log(me);
    const settings = settingsOf(this.name, this.part);
    const store = this.disk.mount(me, identity, tenure);
    const caller = { process: me, from: this.name, certificate: certificateOf(ROLE[this.name]) };
    const core = await openCore({
      settings,
      log,
      store,
      tenure,
      monitor: new StoreMonitor(store, log, () => {}, ended),
      peer: new SimPeer(this.network, caller, () => this.other),
      hasSigningKey: hasSigningKey(settings),
      history: [],
      processing: { observe: () => {}, forget: () => {} },
      work: NO_WORK,
      tracing: NO_TRACING,
      certificates: () => [],
      tokens: this.#tokens(),
      clusterInfo: () => Promise.resolve(NO_CLUSTER_INFO),
      uiNeeds: new UiNeeds(),
    });
    if (!this.contended && me !== this.process) return;
    this.process = me;
    this.core = core;
    this.acting.set(me, { core, identity });
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

  #log(me: Process): Log {
    const line = (level: string) => (message: string, fields = {}) =>
      this.events.log(this, level, message, fields, me.name);
    return Object.fromEntries(LOG_LEVELS.map((level) => [level, line(level)])) as Log;
  }
}
