/**
 * One address for agents, as a GSLB gives it: a TCP front that hands each new connection to the principal whose `/healthz` answers 200,
 * and cuts those of a principal that no longer does, as a DNS change and a health-checking balancer together would.
 */
import { delay } from "@std/async/delay";
import { shut } from "./shut.ts";

const LOOK_MS = 50;
const ANSWER_MS = 1_000;

export interface Backend {
  grpc: number;
  healthz: number;
}

export class Front {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Map<Deno.Conn, Backend>();
  #target: Backend | undefined;
  #closed = false;
  readonly #watching: Promise<void>;

  constructor(private readonly backends: () => readonly Backend[]) {
    this.#watching = this.#watch();
    void this.#accept();
  }

  get address(): string {
    return `127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#listener.close();
    for (const connection of this.#connections.keys()) shut(connection);
    await this.#watching;
  }

  async #watch(): Promise<void> {
    while (!this.#closed) {
      const backends = this.backends();
      const healthy = await Promise.all(backends.map(isHealthy));
      const target = backends.find((_, n) => healthy[n]) ??
        backends.find((one, n) => one === this.#target && healthy[n] === undefined);
      if (target !== this.#target) {
        this.#target = target;
        for (const [connection, backend] of this.#connections) if (backend !== target) shut(connection);
      }
      await delay(LOOK_MS);
    }
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      const target = this.#target;
      if (!target) shut(client);
      else this.#join(client, target).catch(() => shut(client));
    }
  }

  async #join(client: Deno.TcpConn, backend: Backend): Promise<void> {
    const server = await Deno.connect({ hostname: "127.0.0.1", port: backend.grpc });
    for (const one of [client, server]) {
      one.setNoDelay(true);
      this.#connections.set(one, backend);
    }
    await Promise.race([client.readable.pipeTo(server.writable), server.readable.pipeTo(client.writable)])
      .catch(() => {});
    for (const one of [client, server]) {
      this.#connections.delete(one);
      shut(one);
    }
  }
}

/** Undefined: it has not answered in time, which on a busy machine says nothing where no other is healthy. */
async function isHealthy({ healthz }: Backend): Promise<boolean | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${healthz}/healthz`, {
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    await response.body?.cancel();
    return response.status === 200;
  } catch (error) {
    return error instanceof DOMException && error.name === "TimeoutError" ? undefined : false;
  }
}
