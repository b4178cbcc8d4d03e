/**
 * Stands between a principal and its API server and does what overloaded ones do: 429 with Retry-After, 5xx, answers that get lost
 * after the write was carried out; and it may show another time than the primary's cluster has. Speaks HTTP/2 on both sides.
 */
import type { Cluster } from "../kube/cluster.ts";

/** The fate of a request. `lost`: it is carried out, and its answer is an error. */
export type Fate = "pass" | "too many" | "broken" | "lost";

const SECONDS = /"creationTimestamp":"([^"]+)"/g;

export class ApiProxy {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #upstream: Deno.HttpClient;
  /** Decides about each request. */
  fate: (method: string, path: string) => Fate = () => "pass";
  /** How far this cluster's clock is off, in ms. */
  skewMs = 0;
  readonly counts: Record<Fate, number> = { pass: 0, "too many": 0, broken: 0, lost: 0 };

  private constructor(
    private readonly target: string,
    tls: { cert: string; key: string },
    upstream: Deno.HttpClient,
  ) {
    this.#upstream = upstream;
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {}, ...tls },
      (request) => this.#answer(request),
    );
  }

  static async of(cluster: Cluster): Promise<ApiProxy> {
    const { server, client } = await cluster.standIn();
    return new ApiProxy(cluster.server, server, client);
  }

  get port(): number {
    return this.#server.addr.port;
  }

  async close(): Promise<void> {
    await this.#server.shutdown();
    this.#upstream.close();
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const fate = this.fate(request.method, pathname);
    this.counts[fate]++;
    if (fate === "too many") return status(429, "slow down", { "Retry-After": "1" });
    if (fate === "broken") return status(500, "broken");
    const headers = new Headers(request.headers);
    headers.delete("host");
    const body = await request.text();
    const answer = await fetch(this.target + pathname + search, {
      client: this.#upstream,
      method: request.method,
      headers,
      ...(body === "" ? {} : { body }),
    }).catch(() => undefined);
    if (!answer) return status(503, "no upstream");
    if (fate === "lost") {
      await answer.body?.cancel();
      return status(504, "timed out");
    }
    if (this.skewMs === 0 || search.includes("watch=1")) return new Response(answer.body, answer);
    const text = (await answer.text()).replace(SECONDS, (_, time: string) => {
      const shifted = new Date(Date.parse(time) + this.skewMs).toISOString().replace(/\.\d+Z$/, "Z");
      return `"creationTimestamp":"${shifted}"`;
    });
    return new Response(text, { status: answer.status, headers: { "Content-Type": "application/json" } });
  }
}

function status(code: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ kind: "Status", apiVersion: "v1", status: "Failure", message, code }, {
    status: code,
    headers,
  });
}
