/** Calls of other identities at a principal's port, with certificates of the workshop's CA. */
import { Buffer } from "node:buffer";
import type grpc from "@grpc/grpc-js";
import { call, dialPeer } from "../../src/adapters/grpc/dial.ts";
import { codeOf } from "../../src/adapters/grpc/status.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import { Authority, type LeafOptions } from "../../src/adapters/tls/pki.ts";
import { material, type Workshop } from "./principals.ts";

/** A certificate of the workshop's CA. */
export async function certificateFor(
  workshop: Workshop,
  commonName: string,
  options: Partial<LeafOptions> = {},
): Promise<TlsMaterial> {
  const pem = (name: string) => Deno.readTextFileSync(`${workshop.dir}/pki/${name}`);
  const authority = await Authority.load({ cert: pem("ca.crt"), key: pem("ca.key") }, 1);
  const leaf = await authority.issue({ commonName, sans: [], server: false, ...options });
  return { ...material(workshop, "primary"), cert: Buffer.from(leaf.cert), key: Buffer.from(leaf.key) };
}

/** How a call ended; code 0: it was answered. */
export interface Outcome<S> {
  code: number;
  details: string;
  answer: S | undefined;
}

/** Makes one call with a certificate. */
export async function attempt<Q, S>(
  port: number,
  tls: TlsMaterial,
  method: grpc.MethodDefinition<Q, S>,
  request: Q,
): Promise<Outcome<S>> {
  const client = dialPeer(`127.0.0.1:${port}`, tls, 1 << 22);
  try {
    return { code: 0, details: "", answer: await call(client, method, request, 5_000) };
  } catch (error) {
    return { code: codeOf(error) ?? -1, details: (error as { details: string }).details, answer: undefined };
  } finally {
    client.close();
  }
}
