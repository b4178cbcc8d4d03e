/**
 * The listener of the resource proxy. Its certificates come from files, which have to be there at the start, or from Secrets, for which it
 * waits: a principal serves its agents without them.
 */
import { type OpenDoor, type ResourceProxyDoor, serveResourceProxy } from "./adapters/http/resource_proxy.ts";
import { ClientCertificates } from "./adapters/net/client_certificates.ts";
import type { Gate } from "./adapters/net/gate.ts";
import { Trust } from "./adapters/net/trust.ts";
import type { Expiries } from "./adapters/tls/expiries.ts";
import { TlsWatch } from "./adapters/tls/files.ts";
import { rereadMs, RESOURCE_PROXY_FLAGS, tlsSource } from "./adapters/tls/secrets.ts";
import type { Log } from "./base/log.ts";
import { reasonOf } from "./base/reason.ts";
import type { Subscribe } from "./base/until.ts";
import type { ResourceProxySettings } from "./config/agent_settings.ts";
import type { ResourceProxy } from "./principal/ports/resource_proxy.ts";
import type { Store } from "./principal/ports/store.ts";

/** Secrets that are missing are looked for this often. */
const WAIT_MS = 5_000;

export interface ProxyListenerParts {
  readonly wanted: ResourceProxySettings;
  readonly namespace: string;
  readonly hostname: string;
  readonly tlsVersions: ResourceProxyDoor["tlsVersions"];
  readonly store: Store;
  readonly gate: Gate;
  readonly log: Log;
  /** Is told what the listener waits for. */
  readonly uiNeeds: { note(service: "resource proxy", reason: string): void };
  readonly expiries: Pick<Expiries, "add">;
  readonly blocklist: { has(fingerprint: string): boolean; readonly onChange: Subscribe };
}

export class ProxyListener {
  readonly #certificates: ClientCertificates;
  readonly #cleanups: (() => void)[];
  #tls: TlsWatch | undefined;
  #door: OpenDoor | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #opening: Promise<void> = Promise.resolve();
  #reported = "";
  #closed = false;

  private constructor(private readonly proxy: ResourceProxy, private readonly parts: ProxyListenerParts) {
    const { blocklist, log } = parts;
    this.#certificates = new ClientCertificates({
      blocked: (fingerprint) => blocklist.has(fingerprint),
      graceMs: 0,
      ends: (reason, from) => log.warn("connection ended", { from, reason }),
    });
    this.#cleanups = [blocklist.onChange(() => this.#certificates.recheck())];
  }

  /** Listens, or waits for its Secrets. @throws Error where files cannot be used, or the address is taken */
  static async open(proxy: ResourceProxy, parts: ProxyListenerParts): Promise<ProxyListener> {
    const listener = new ProxyListener(proxy, parts);
    try {
      await listener.#open();
    } catch (error) {
      await listener.close();
      throw error;
    }
    return listener;
  }

  /** 0: it waits. */
  get port(): number {
    return this.#door?.port ?? 0;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#opening;
    for (const cleanup of this.#cleanups) cleanup();
    this.#tls?.close();
    await this.#door?.close();
  }

  async #open(): Promise<void> {
    const tls = this.#tls ?? await this.#readTls();
    if (!tls) return;
    this.#tls = tls;
    this.parts.expiries.add("resource-proxy", tls);
    const { hostname, tlsVersions, gate, wanted } = this.parts;
    const certificates = this.#certificates;
    const door = { hostname, port: wanted.port, tls: tls.current, tlsVersions, certificates, gate };
    this.#door = await serveResourceProxy(this.proxy, door);
    this.parts.uiNeeds.note("resource proxy", "");
    certificates.trust(Trust.of(tls.current.ca));
    tls.onRotation((material) => {
      this.#door?.rotate(material);
      certificates.trust(Trust.of(material.ca));
    });
  }

  /** Undefined: the Secrets cannot be used yet. @throws Error where files cannot be */
  async #readTls(): Promise<TlsWatch | undefined> {
    const { wanted, namespace, store, log } = this.parts;
    const source = tlsSource({ ...wanted, namespace }, store, RESOURCE_PROXY_FLAGS);
    const tell = (level: "info" | "warn", message: string) =>
      log[level](`resource proxy: ${message}`, { event: "certificates" });
    try {
      return await TlsWatch.open(source, tell, rereadMs(wanted.tls.cert, wanted.tls.ca));
    } catch (error) {
      const { cert, ca } = wanted.tls;
      if (cert !== "" && ca !== "") throw error;
      this.#wait(reasonOf(error));
      return undefined;
    }
  }

  /** Tries once more later; each reason is told once. */
  #wait(reason: string): void {
    if (reason !== this.#reported) {
      const why = { reason, otherwise: "--enable-resource-proxy=false" };
      this.parts.uiNeeds.note("resource proxy", reason);
      this.parts.log.warn("the resource proxy waits: Argo CD's UI shows no live resources of agents", why);
    }
    this.#reported = reason;
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#opening = this.#open().then(() => {
        if (this.port > 0) this.parts.log.info("the resource proxy listens", { port: this.port });
      }, (error) => this.#wait(reasonOf(error)));
    }, WAIT_MS);
    Deno.unrefTimer(this.#timer as unknown as number);
  }
}
