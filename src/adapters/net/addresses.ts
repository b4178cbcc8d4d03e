/** Addresses: all of this machine to listen on, and the source for which a bound counts. */
import { connect, createServer, isIPv6, type Server } from "node:net";

const IPV4 = "0.0.0.0";
const IPV6 = "::";
const PROBE_MS = 2_000;

/** The address at which a listener has IPv4 and IPv6, or IPv4 alone where this machine has no other, or keeps the two apart. */
export async function everyAddress(): Promise<string> {
  const server = createServer((socket) => socket.destroy());
  try {
    await new Promise<void>((resolve, reject) =>
      server.once("error", reject).listen(0, IPV6, () => resolve())
    );
    return await hears(server, "127.0.0.1") ? IPV6 : IPV4;
  } catch {
    return IPV4;
  } finally {
    server.close();
  }
}

/** `host:port`, with an IPv6 address in brackets. */
export function hostPort(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * The source of a connection, for bounds: an IPv4 address, in whatever form, or the network of 64 bits of an IPv6 address, of which one
 * host has all.
 */
export function sourceOf(address: string): string {
  const mapped = /^::ffff:([0-9.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address;
  const [head = "", tail = ""] = address.replace(/%.*$/, "").split("::");
  const [left, right] = [head, tail].map((part) => part.split(":").filter(Boolean)) as [string[], string[]];
  const zeros = Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0");
  return `${[...left, ...zeros, ...right].slice(0, 4).join(":")}::/64`;
}

function hears(server: Server, host: string): Promise<boolean> {
  const { port } = server.address() as { port: number };
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: PROBE_MS });
    const told = (heard: boolean) => {
      resolve(heard);
      socket.destroy();
    };
    socket.once("connect", () => told(true)).once("error", () => told(false)).once(
      "timeout",
      () => told(false),
    );
  });
}
