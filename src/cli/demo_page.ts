/**
 * A page of Argo CD's UI during the demonstration: a live manifest, the resource tree and the followed log of an agent's Application, all
 * through the side that stands by, before, during and after the failover.
 */
import { Agent } from "node:https";
import { gunzipSync } from "node:zlib";
import { delay } from "@std/async/delay";
import { Coalesced } from "../base/coalesced.ts";
import { type CacheReader, openCacheReader } from "../adapters/redis/cache_reader.ts";
import type { TlsMaterial } from "../adapters/tls/files.ts";
import type { SimAgent } from "../simagents/agent.ts";
import { issuer } from "../simagents/certificates.ts";
import { askProxy } from "../simagents/proxy_client.ts";
import { Workload } from "../simagents/workload.ts";
import { FollowedLog } from "./demo_log.ts";
import { Sightings } from "./demo_sightings.ts";
import type { Ports } from "./processes.ts";

const PAUSE_MS = 20;
const CHANGE_MS = 50;
const TIMEOUT_MS = 2_000;
const APPLICATION = "shop";

/** How one part of the page fared. */
export interface PartSeen {
  /** Reads of the manifest or of a changed tree, or lines of the log. */
  count: number;
  /** The longest time between two of them. */
  interruptedMs: number;
}

/** How the page fared. */
export interface PageSeen {
  manifest: PartSeen;
  tree: PartSeen;
  /** `missing`: lines that did not come although later ones did. */
  log: PartSeen & { missing: number };
}

export class DemoPage {
  readonly #manifest = new Sightings("live manifest");
  readonly #tree = new Sightings("resource tree");
  readonly #lines = new Sightings("followed log");
  readonly #connections = new Agent({ keepAlive: true });
  readonly #readingTree = new Coalesced(() => this.#readTree());
  readonly #workload: Workload;
  #cache: CacheReader | undefined;
  #log: FollowedLog | undefined;
  #treeText = "";
  #open = true;
  #readingManifest: Promise<void> = Promise.resolve();

  private constructor(
    agent: SimAgent,
    private readonly ports: Ports,
    private readonly tls: TlsMaterial,
  ) {
    this.#workload = new Workload(agent, APPLICATION);
  }

  /** Opens the page of an agent's Application at a side. @throws Error where a part of it does not come in time */
  static async open(agent: SimAgent, ports: Ports, pki: string): Promise<DemoPage> {
    const page = new DemoPage(agent, ports, await (await issuer(pki))(agent.name));
    page.#read();
    await page.backSince(0);
    return page;
  }

  get seen(): PageSeen {
    const part = ({ count, interruptedMs }: Sightings) => ({ count, interruptedMs });
    return {
      manifest: part(this.#manifest),
      tree: part(this.#tree),
      log: { ...part(this.#lines), missing: this.#log?.missing ?? 0 },
    };
  }

  /** Waits until everything on it has come after `sinceMs`; how long that was, in ms. */
  async backSince(sinceMs: number): Promise<number> {
    const parts = [this.#manifest, this.#tree, this.#lines];
    return Math.max(...await Promise.all(parts.map((part) => part.after(sinceMs))));
  }

  async close(): Promise<void> {
    this.#open = false;
    this.#workload.end();
    this.#cache?.close();
    await this.#log?.close();
    await this.#readingManifest;
    this.#connections.destroy();
  }

  #read(): void {
    const { channel, logPath } = this.#workload;
    const { redisProxy, resourceProxy } = this.ports;
    this.#workload.begin(CHANGE_MS);
    this.#log = new FollowedLog(resourceProxy, this.tls, logPath, this.#lines);
    this.#readingManifest = this.#readManifest();
    this.#cache = openCacheReader(redisProxy, channel, () => void this.#readingTree.request());
  }

  async #readManifest(): Promise<void> {
    while (this.#open) {
      const asking = { signal: AbortSignal.timeout(TIMEOUT_MS), connections: this.#connections };
      const answer = await askProxy(this.ports.resourceProxy, this.tls, this.#workload.manifestPath, asking)
        .catch(() => undefined);
      if (answer?.status === 200) this.#manifest.add();
      await delay(PAUSE_MS);
    }
  }

  /** The tree is read whenever it has changed, as Argo CD does. */
  async #readTree(): Promise<void> {
    const value = await this.#cache?.get(this.#workload.treeKey).catch(() => undefined);
    const text = value && new TextDecoder().decode(gunzipSync(value));
    if (!text || text === this.#treeText) return;
    this.#treeText = text;
    this.#tree.add();
  }
}
