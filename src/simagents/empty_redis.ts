/**
 * Stands in for the Redis of a principal's cluster where none is installed, so that the Redis proxy can be used as it is: it lets everybody
 * in and keeps nothing. It answers only what clients ask by themselves when they connect, read and subscribe.
 */
import { type Frame, FrameReader } from "../domain/redis/frames.ts";
import { shut } from "./shut.ts";

export class EmptyRedis {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.Conn>();

  constructor() {
    void this.#accept();
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  close(): void {
    this.#listener.close();
    for (const connection of this.#connections) shut(connection);
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      connection.setNoDelay(true);
      this.#connections.add(connection);
      void this.#serve(connection).catch(() => {}).finally(() => {
        this.#connections.delete(connection);
        shut(connection);
      });
    }
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    const commands = new FrameReader("*");
    const client = new Client();
    const writer = connection.writable.getWriter();
    for await (const chunk of connection.readable) {
      const replies = [...commands.read(chunk)].flatMap(({ ends }) => ends ? client.reply(ends) : []);
      if (replies.length > 0) await writer.write(new TextEncoder().encode(replies.join("")));
    }
  }
}

/** One client: its version of the protocol, and its subscriptions. */
class Client {
  #protocol = 2;
  readonly #channels = new Set<string>();

  reply({ count, texts: [command = "", ...names] }: Frame): string {
    const given = names.flatMap((name) => name ?? []);
    switch (command.toLowerCase()) {
      case "hello":
        return this.#hello(given[0]);
      case "ping":
        return this.#protocol === 2 && this.#channels.size > 0
          ? `*2\r\n${blob("pong")}${blob("")}`
          : "+PONG\r\n";
      case "get":
        return this.#protocol === 3 ? "_\r\n" : "$-1\r\n";
      case "auth":
      case "client":
      case "select":
      case "set":
        return "+OK\r\n";
      case "subscribe":
      case "unsubscribe":
        // Of a command only the first texts are known.
        if (count === 2 && given[0] !== undefined) return this.#confirm(command.toLowerCase(), given[0]);
    }
    return "-ERR the stand-in for Redis does not serve this\r\n";
  }

  #hello(version: string | undefined): string {
    if (version === "2" || version === "3") this.#protocol = Number(version);
    const begin = this.#protocol === 3 ? "%2" : "*4";
    return `${begin}\r\n${blob("server")}${blob("redis")}${blob("proto")}:${this.#protocol}\r\n`;
  }

  #confirm(kind: string, channel: string): string {
    if (kind === "subscribe") this.#channels.add(channel);
    else this.#channels.delete(channel);
    const begin = this.#protocol === 3 ? ">3" : "*3";
    return `${begin}\r\n${blob(kind)}${blob(channel)}:${this.#channels.size}\r\n`;
  }
}

function blob(text: string): string {
  return `$${new TextEncoder().encode(text).length}\r\n${text}\r\n`;
}
