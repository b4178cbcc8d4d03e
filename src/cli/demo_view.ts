/**
 * A person's view of an agent's cluster during the demonstration: a live manifest, read again and again through the resource proxy of the
 * side that stands by, before, during and after the failover.
 */
import { delay } from "@std/async/delay";
import { monotonicMs } from "../base/clock.ts";
import type { TlsMaterial } from "../adapters/tls/files.ts";
import type { SimAgent } from "../simagents/agent.ts";
import { issuer } from "../simagents/certificates.ts";
import { askProxy } from "../simagents/proxy_client.ts";
import { until } from "./processes.ts";

const PATH = "/apis/apps/v1/namespaces/shop/deployments/web";
const PAUSE_MS = 20;
const TIMEOUT_MS = 2_000;
const BOUND_MS = 30_000;

export class LiveView {
  /** Times at which the manifest came. */
  reads = 0;
  #lastAt = 0;
  #open = true;
  #loop: Promise<void> = Promise.resolve();

  private constructor(private readonly port: number, private readonly tls: TlsMaterial) {}

  /** Reads on until `close`, from when the manifest came for the first time. @throws Error where it does not come in time */
  static async open(agent: SimAgent, port: number, pki: string): Promise<LiveView> {
    agent.resources.put("deployments", { metadata: { name: "web", namespace: "shop" } });
    const view = new LiveView(port, await (await issuer(pki))(agent.name));
    view.#loop = view.#read();
    await view.#until(() => view.reads > 0);
    return view;
  }

  /** Waits until the manifest comes after `sinceMs`; how long that was, in ms. */
  async backSince(sinceMs: number): Promise<number> {
    await this.#until(() => this.#lastAt > sinceMs);
    return Math.round(this.#lastAt - sinceMs);
  }

  async close(): Promise<void> {
    this.#open = false;
    await this.#loop;
  }

  #until(holds: () => boolean): Promise<void> {
    return until(holds, BOUND_MS, () => "the live manifest does not come through the resource proxy", 2);
  }

  async #read(): Promise<void> {
    while (this.#open) {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      const answer = await askProxy(this.port, this.tls, PATH, { signal }).catch(() => undefined);
      if (answer?.status === 200) {
        this.reads++;
        this.#lastAt = monotonicMs();
      }
      await delay(PAUSE_MS);
    }
  }
}
