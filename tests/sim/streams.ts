/** The two ends of a simulated stream, with what the production code uses of grpc-js'. */
import type { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import grpc from "@grpc/grpc-js";
import type { Connection, Peer } from "./network.ts";

/** An error as grpc-js gives it to a client. */
export function failure(code: grpc.status, details: string): Error {
  return Object.assign(new Error(`${code} ${details}`), { code, details });
}

/** The client's end, as grpc-js gives it. */
export class ClientStream extends EventEmitter {
  #cancelled = false;

  constructor(
    private readonly connection: Connection,
    private readonly encode: (message: unknown) => Buffer,
    decode: (bytes: Buffer) => unknown,
  ) {
    super();
    connection.toClient = (bytes) => this.emit("data", decode(bytes));
    connection.onDrain.client = () => this.emit("drain");
    connection.ended = (code, details) => {
      if (this.#cancelled) return;
      if (code === grpc.status.OK) this.emit("end");
      else this.emit("error", failure(code, details));
      this.emit("status", { code, details });
    };
  }

  write(message: unknown): boolean {
    return this.#cancelled || this.connection.send("server", this.encode(message));
  }

  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.connection.cancel();
    setTimeout(() => this.emit("status", { code: grpc.status.CANCELLED, details: "Cancelled on client" }));
  }

  pause(): void {}
  resume(): void {}
}

/** The server's end, as grpc-js gives it. */
export class ServerStream extends EventEmitter {
  readonly metadata: grpc.Metadata;
  cancelled = false;
  #over = false;
  #paused = false;
  #waiting: unknown[] = [];

  constructor(
    private readonly connection: Connection,
    private readonly definition: grpc.MethodDefinition<unknown, unknown>,
    readonly request?: unknown,
  ) {
    super();
    this.metadata = connection.metadata;
    connection.toServer = (bytes) => this.#take(definition.requestDeserialize(bytes));
    connection.onDrain.server = () => this.emit("drain");
    connection.onLost = () => {
      this.cancelled = true;
      this.emit("cancelled");
      this.emit("close");
    };
    super.on("error", (status: { code: grpc.status; details: string }) => {
      if (this.#over) return;
      this.#over = true;
      this.connection.status(status.code, status.details);
    });
  }

  getAuthContext(): Peer {
    return this.connection.client.peer;
  }

  write(message: unknown): boolean {
    if (this.#over || this.cancelled) return true;
    return this.connection.send("client", this.definition.responseSerialize(message));
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.connection.status(grpc.status.OK, "");
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    for (const message of this.#waiting.splice(0)) this.#take(message);
  }

  #take(message: unknown): void {
    if (this.#paused) this.#waiting.push(message);
    else this.emit("data", message);
  }
}
