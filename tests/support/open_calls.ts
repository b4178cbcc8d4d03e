/** Calls of every service that stay open, over connections with certificates of a workshop's authority. */
import { Buffer } from "node:buffer";
import { assertEquals, assertMatch } from "@std/assert";
import grpc from "@grpc/grpc-js";
import { call, dialPeer, openServerStream, openStream } from "../../src/adapters/grpc/dial.ts";
import * as services from "../../src/adapters/grpc/services.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import { Authority } from "../../src/adapters/tls/pki.ts";
import { VERSION } from "../../src/base/version.ts";
import type { Running } from "../../src/serve.ts";
import { until, untilState, type Workshop } from "./principals.ts";

const { UNAUTHENTICATED } = grpc.status;
export const MESSAGE_BYTES = 1 << 20;

interface Ended {
  code: number;
  details: string;
}

/** A call that stays open. */
export interface Open {
  service: string;
  ended: Promise<Ended>;
  client: grpc.Client;
}

interface Ending {
  on(event: "error", listener: (error: Ended) => void): unknown;
  on(event: "end" | "data", listener: () => void): unknown;
}

function endOf(stream: Ending): Promise<Ended> {
  return new Promise((resolve) => {
    stream.on("data", () => {});
    stream.on("end", () => setTimeout(() => resolve({ code: 0, details: "ended" }), 100));
    stream.on("error", ({ code, details }) => resolve({ code, details }));
  });
}

/** One call of each service that stays open, over a connection of its own. */
export async function openAll(
  { ports }: Running,
  certificates: Certificates,
): Promise<Open[]> {
  const dialled = (name: keyof Certificates, port: number) =>
    dialPeer(`127.0.0.1:${port}`, certificates[name], MESSAGE_BYTES);
  const open: Open[] = [];
  const add = (service: string, client: grpc.Client, ended: Promise<Ended>) =>
    open.push({ service, client, ended });

  const asking = dialled("agent", ports.grpc);
  const { accessToken = "" } = await call(asking, services.authenticationService.Authenticate, {
    method: "mtls",
    mode: "managed",
    version: VERSION,
  }, 5_000);
  asking.close();
  const authorization = new grpc.Metadata();
  authorization.set("authorization", accessToken);
  const { Subscribe, Push } = services.eventStreamService;

  const pushing = dialled("agent", ports.grpc);
  const push = new Promise<Ended>((resolve) => {
    const { path, requestSerialize, responseDeserialize } = Push;
    const answered = (error: grpc.ServiceError | null) =>
      resolve(error ? { code: error.code, details: error.details } : { code: 0, details: "answered" });
    pushing.makeClientStreamRequest(path, requestSerialize, responseDeserialize, authorization, answered);
  });
  add("EventStream/Push", pushing, push);

  const subscribing = dialled("agent", ports.grpc);
  const { path, requestSerialize, responseDeserialize } = Subscribe;
  const events = subscribing.makeBidiStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    authorization,
  );
  add("EventStream/Subscribe", subscribing, endOf(events));

  for (
    const [service, method] of [
      ["Link/Follow", services.linkService.Follow],
      ["Replication/Subscribe", services.replicationService.Subscribe],
    ] as const
  ) {
    const client = dialled("replica", ports.grpc);
    add(service, client, endOf(openStream(client, method as typeof services.linkService.Follow)));
  }
  const watching = dialled("reader", ports.adminTls);
  const watch = openServerStream(watching, services.operatorService.Watch, { intervalMs: 50 });
  add("Operator/Watch", watching, endOf(watch));
  const waiting = dialled("reader", ports.adminTls);
  const versions = [{ key: "Application/edge-1/never", resourceVersion: "9" }];
  const wait = call(
    waiting,
    services.operatorService.WaitReplicated,
    { versions, timeoutMs: 60_000 },
    60_000,
  );
  const waited = wait.then(() => ({ code: 0, details: "answered" }), ({ code, details }) => ({
    code,
    details,
  }));
  add("Operator/WaitReplicated", waiting, waited);
  return open;
}

/** A principal with an admin listener, ACTIVE. */
export async function served(workshop: Workshop): Promise<Running> {
  const running = await workshop.start(workshop.settings("primary", 0, [
    "--insecure-jwt-generate",
    "--ha-admin-listen=127.0.0.1:0",
    "--ha-admin-readers=reader",
  ]));
  await untilState(running, "active");
  return running;
}

export async function issue(
  workshop: Workshop,
  commonName: string,
  notAfter?: Date,
  by?: Authority,
): Promise<TlsMaterial> {
  const read = (name: string) => Deno.readTextFileSync(`${workshop.dir}/pki/${name}`);
  const authority = by ?? await Authority.load({ cert: read("ca.crt"), key: read("ca.key") }, 1);
  const { cert, key } = await authority.issue({
    commonName,
    sans: [],
    server: false,
    ...(notAfter ? { notAfter } : {}),
  });
  return { cert: Buffer.from(cert), key: Buffer.from(key), ca: Buffer.from(read("ca.crt")), notAfterMs: 0 };
}

/** All of them have ended with this reason. */
export async function assertEnded(open: Open[], reason: RegExp): Promise<void> {
  for (const { service, ended } of open) {
    const { code, details } = await ended;
    assertEquals(code, UNAUTHENTICATED, `${service}: ${details}`);
    assertMatch(details, reason, service);
  }
}

export async function stillOpen(open: Open[]): Promise<void> {
  const first = await Promise.race([
    ...open.map(({ service, ended }) => ended.then(({ details }) => `${service} ended: ${details}`)),
    new Promise<string>((resolve) => setTimeout(() => resolve(""), 300)),
  ]);
  assertEquals(first, "");
}

export type Certificates = Record<"agent" | "replica" | "reader", TlsMaterial>;

export async function certificatesOf(
  workshop: Workshop,
  agent: string,
  notAfter?: Date,
  by?: Authority,
): Promise<Certificates> {
  return {
    agent: await issue(workshop, agent, notAfter, by),
    replica: await issue(workshop, "replica", notAfter, by),
    reader: await issue(workshop, "reader", notAfter, by),
  };
}

/** The connections are closed by the principal, not by their clients. */
export function untilClosed(open: Open[]): Promise<void> {
  const ready = () =>
    open.filter(({ client }) =>
      client.getChannel().getConnectivityState(false) === grpc.connectivityState.READY
    );
  return until(
    () => ready().length === 0,
    5_000,
    () => `connected: ${ready().map(({ service }) => service)}`,
  );
}
