/** A gRPC server of two services that WebSockets reach, without a principal. */
import grpc from "@grpc/grpc-js";
import { versionHandlers } from "../../src/adapters/grpc/authentication.ts";
import {
  createServer,
  listen,
  listenPlaintext,
  RotatingCredentials,
} from "../../src/adapters/grpc/server.ts";
import * as services from "../../src/adapters/grpc/services.ts";
import { PINGS } from "../../src/adapters/grpc/websocket_pings.ts";
import { WebSockets } from "../../src/adapters/grpc/websockets.ts";
import { Connections, Gate } from "../../src/adapters/net/gate.ts";
import { LISTENERS } from "../../src/adapters/net/listener_bounds.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import { encodeEvent } from "../../src/domain/events/cloudevent.ts";

const MAX_MESSAGE_BYTES = 200 * 1024 * 1024;
const TLS = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" } as const;
const silent = () => {};
const NO_LOG = { trace: silent, debug: silent, info: silent, warn: silent, error: silent };

/** An event with so many bytes of payload. */
export function eventOf(bytes: number) {
  return {
    event: encodeEvent({
      type: "create",
      target: "application",
      extensions: {},
      payload: new Uint8Array(bytes),
    }),
  };
}

export interface Bare {
  port: number;
  gate: Gate;
  /** Requests of Subscribe, while they are open. */
  open: Set<grpc.ServerDuplexStream<unknown, unknown>>;
}

export interface WebSocketOptions {
  pings?: typeof PINGS;
  requestMs?: number;
  firstRequestMs?: number;
  tls?: TlsMaterial | undefined;
}

/** A server of two services without a principal; without TLS where there is no material. */
export async function withWebSockets(
  run: (bare: Bare) => Promise<void>,
  { pings = PINGS, requestMs = 15_000, firstRequestMs = 15_000, tls }: WebSocketOptions = {},
): Promise<void> {
  const server = createServer(MAX_MESSAGE_BYTES, { requestMs });
  const open: Bare["open"] = new Set();
  server.addService(services.versionService, versionHandlers());
  server.addService(services.eventStreamService, {
    Subscribe: (call: grpc.ServerDuplexStream<unknown, unknown>) => {
      open.add(call);
      for (const event of ["cancelled", "close"]) call.on(event, () => open.delete(call));
    },
  });
  const webSockets = new WebSockets(MAX_MESSAGE_BYTES, pings);
  const timing = { firstRequestMs, idleMs: 60_000 };
  const bounds = { ...LISTENERS.health, connections: 64 };
  const gate = new Gate(bounds, { suffice: () => true }, NO_LOG, new Connections(), timing);
  const port = tls
    ? await listen(server, "127.0.0.1:0", new RotatingCredentials(tls, TLS, true), gate, webSockets)
    : await listenPlaintext(server, "127.0.0.1:0", gate, webSockets);
  try {
    await run({ port, gate, open });
  } finally {
    webSockets.close();
    server.forceShutdown();
  }
}
