/**
 * HTTP/2 to one API server: every request and every watch of a principal shares one connection.
 *
 * A connection that died without a word (half-open) would be used for ever: the caller that notices silence calls `renew`, and later
 * requests go over a new connection. Credentials are read after `CREDENTIALS_MS`, and at once after a 401.
 */
import { onAbort } from "../../base/abort.ts";
import { monotonicMs } from "../../base/clock.ts";
import { type ApiRequestCounting, type ApiRequestMeter, UNCOUNTED } from "../../principal/ports/telemetry.ts";
import type { Access, Credentials } from "./access.ts";

/** Credentials are used this long before their files are read once more. */
const CREDENTIALS_MS = 10_000;
/** A request that is not answered by then has failed; whether it was carried out is not known. */
const REQUEST_MS = 30_000;

/** An answer, read to its end. */
export interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

export class Transport {
  #client: Deno.HttpClient | undefined;
  #credentials: Credentials | undefined;
  #reading: Promise<Credentials> | undefined;
  #readAtMs = 0;
  #first: Promise<void> | undefined;
  readonly #closing = new AbortController();

  /** Counts the requests to this API server. */
  readonly meter: ApiRequestMeter;

  constructor(
    private readonly access: Access,
    private readonly requestMs = REQUEST_MS,
    counting: ApiRequestCounting = UNCOUNTED,
  ) {
    this.meter = counting.of(access.server.replace(/^https?:\/\//, ""));
  }

  get server(): string {
    return this.access.server;
  }

  /** Sends one request. The answer's body is not read yet. */
  async fetch(path: string, init: RequestInit): Promise<Response> {
    const credentials = await this.#current();
    this.#closing.signal.throwIfAborted();
    // Until the first answer it is not known that HTTP/2 is spoken, and each request would open a connection of its own.
    const first = this.#first ? undefined : Promise.withResolvers<void>();
    if (first) this.#first = first.promise;
    else await this.#first;
    const { method = "GET" } = init;
    const sentAtMs = monotonicMs();
    let code = "<error>";
    try {
      const client = this.#client ??= this.#open(credentials);
      const headers = { ...credentials.headers, ...init.headers };
      const response = await fetch(this.access.server + path, { ...init, client, headers });
      code = String(response.status);
      if (response.status === 401) this.#reading = undefined;
      return response;
    } finally {
      this.meter.answered(method, code, (monotonicMs() - sentAtMs) / 1_000);
      first?.resolve();
    }
  }

  /**
   * Sends one request and reads its answer.
   * @throws DOMException TimeoutError after `requestMs`, AbortError when the connection is closed; it may have been carried out
   */
  async send(
    method: string,
    path: string,
    body?: unknown,
    contentType = "application/json",
  ): Promise<Answer> {
    const given = Promise.withResolvers<never>();
    const ending = new AbortController();
    const giveUp = (reason: unknown) => {
      given.reject(reason);
      ending.abort();
    };
    const timer = setTimeout(() => {
      giveUp(new DOMException(`no answer within ${this.requestMs} ms`, "TimeoutError"));
      this.renew();
    }, this.requestMs);
    const unlisten = onAbort(this.#closing.signal, giveUp);
    const init = {
      method,
      signal: ending.signal,
      headers: { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": contentType }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    };
    try {
      return await Promise.race([this.#exchange(path, init), given.promise]);
    } finally {
      unlisten();
      clearTimeout(timer);
    }
  }

  /** Requests from now on use a new connection. */
  renew(): void {
    this.#first = undefined;
    this.#client?.close();
    this.#client = undefined;
  }

  /** Ends the connection, and every request that waits for its answer. */
  close(): void {
    this.#closing.abort(new DOMException("the connection is closed", "AbortError"));
    this.renew();
  }

  async #exchange(path: string, init: RequestInit): Promise<Answer> {
    const response = await this.fetch(path, init);
    return { status: response.status, headers: response.headers, text: await response.text() };
  }

  /** The credentials of now, read once for all that wait for them: an exec plugin is a process. */
  #current(): Promise<Credentials> {
    if (!this.#reading || monotonicMs() - this.#readAtMs > CREDENTIALS_MS) {
      this.#readAtMs = monotonicMs();
      this.#reading = this.#read().catch((error) => {
        this.#reading = undefined;
        throw error;
      });
    }
    return this.#reading;
  }

  async #read(): Promise<Credentials> {
    const next = await this.access.credentials();
    const same = (["ca", "cert", "key"] as const).every((part) => next[part] === this.#credentials?.[part]);
    this.#credentials = next;
    if (!same) this.renew();
    return next;
  }

  #open({ ca, cert, key }: Credentials): Deno.HttpClient {
    return Deno.createHttpClient({
      ...(ca ? { caCerts: [ca] } : {}),
      ...(cert && key ? { cert, key } : {}),
      ...(this.access.proxyUrl ? { proxy: { url: this.access.proxyUrl } } : {}),
      poolMaxIdlePerHost: 1,
    });
  }
}
