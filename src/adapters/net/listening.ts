/** Opens and closes the servers of this process: they are guarded by a gate, and no connection of theirs ends them. */
import type { Server as HttpServer } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { reasonOf } from "../../base/reason.ts";
import { hostPort } from "./addresses.ts";
import type { Gate } from "./gate.ts";

/** The versions of TLS that a server speaks. */
export interface TlsVersions {
  minVersion: "TLSv1.2" | "TLSv1.3";
  maxVersion: "TLSv1.2" | "TLSv1.3";
}

/** For the operator who reads that the address is taken. */
export interface ListenerWords {
  purpose?: string;
  remedy?: string;
}

/** Lets a server listen; its port. @throws Error where the address is taken */
export function listen(
  server: Server,
  { hostname, port }: { hostname: string; port: number },
  gate: Gate,
  { purpose = "", remedy = "" }: ListenerWords = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      const reason = `${reasonOf(error)}${remedy}`;
      reject(new Error(`cannot listen on ${hostPort(hostname, port)}${purpose}: ${reason}`));
    });
    server.listen(port, hostname, () => {
      // A connection that cannot be accepted, and a handshake that fails, end nothing.
      server.on("error", () => {});
      gate.guard(server);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Ends an HTTP server with its connections. */
export function closeHttp(server: Pick<HttpServer, "close" | "closeAllConnections">): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
