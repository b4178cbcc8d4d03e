/**
 * One attack on a principal, again and again until it is killed: `attack.ts KIND PKI GRPC-PORT ADMIN-PORT
 * RESOURCE-PROXY-PORT REDIS-PROXY-PORT STORE`. It says "begun" once it runs.
 */
import { Buffer } from "node:buffer";
import net from "node:net";
import { gzipSync } from "node:zlib";
import { call, dialAdmin, dialPeer } from "../src/adapters/grpc/dial.ts";
import * as services from "../src/adapters/grpc/services.ts";
import type { ApiObject } from "../src/domain/resources/object.ts";
import { openSqlite } from "../src/adapters/store/sqlite.ts";
import { SimAgent } from "../src/simagents/agent.ts";
import { issuer } from "../src/simagents/certificates.ts";
import { uiAttacks } from "./attack_ui.ts";
import { flood, frame, rawCall, rawConnection } from "../tests/support/raw_calls.ts";

const MB = 1024 * 1024;
const [kind = "", pki = "", grpc = "", admin = "", resourceProxy = "", redisProxy = "", store = ""] =
  Deno.args;
const [port, adminPort] = [Number(grpc), Number(admin)];
const NAME = "hostile-1";
const material = await (await issuer(pki))(NAME);
const AUTHENTICATE = services.authenticationService.Authenticate.path;

/** Calls, on a new connection each time, with what `write` sends. */
async function calls(
  count: number,
  path: string,
  headers: Record<string, string>,
  write: (stream: ReturnType<typeof rawCall>["stream"]) => void,
): Promise<void> {
  const session = rawConnection(port, material);
  await Promise.all(Array.from({ length: count }, () => {
    const { stream, ended } = rawCall(session, path, headers);
    write(stream);
    return ended;
  }));
  session.destroy();
}

async function token(): Promise<string> {
  const client = dialPeer(`127.0.0.1:${port}`, material, MB);
  const request = { method: "mtls", mode: "managed", version: "0", credentials: {} };
  const { accessToken = "" } = await call(
    client,
    services.authenticationService.Authenticate,
    request,
    10_000,
  );
  client.close();
  return accessToken;
}

/** A password that is not the one of this name. */
async function wrongPassword(client: ReturnType<typeof dialPeer>, clientid: string): Promise<void> {
  const credentials = { clientid, clientsecret: "wrong" };
  const request = { method: "userpass", mode: "managed", version: "0", credentials };
  await call(client, services.authenticationService.Authenticate, request, 30_000);
}

/** Names that a backtracking matcher tries for longer than anybody waits, and the patterns that make it. */
const PATIENT = `${"a".repeat(61)}-1`;
const EVIL = [
  "/^([a-z0-9-]+)+!$/",
  "/^(a|a|[a-z-])*!$/",
  "/^(.*a){60}!$/",
  "+(+([a-z0-9-]))!",
  "!(!(a))*(*(a))!",
];
let patient: SimAgent | undefined;

function evilProject(n: number): ApiObject {
  const pattern = EVIL[n % EVIL.length] ?? "";
  return {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "AppProject",
    metadata: { name: `evil-${n % 20}`, namespace: "argocd" },
    spec: {
      description: String(n),
      destinations: [{ name: "*" }, { name: `!${pattern}` }, { name: pattern, server: `${pattern}${n}` }],
      sourceNamespaces: [pattern, "*"],
    },
  };
}

const bomb = frame(gzipSync(Buffer.alloc(40 * MB)), { compressed: true });
const packed = frame(gzipSync(Buffer.alloc(4 * MB - 100)), { compressed: true });

const ATTACKS: Record<string, () => Promise<void>> = {
  ...uiAttacks({
    ...{ name: NAME, material, grpc: port },
    ...{ resourceProxy: Number(resourceProxy), redisProxy: Number(redisProxy) },
  }),
  silent: async () => {
    const sockets = Array.from({ length: 400 }, () => net.connect(port, "127.0.0.1").on("error", () => {}));
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    for (const socket of sockets) socket.destroy();
  },
  unfinished: () =>
    calls(8, AUTHENTICATE, {}, (stream) => stream.write(frame(Buffer.alloc(64_000), { told: 120 * MB }))),
  packed: () => calls(8, AUTHENTICATE, { "grpc-encoding": "gzip" }, (stream) => stream.end(bomb)),
  packedEvents: async () => {
    const headers = { "grpc-encoding": "gzip", authorization: await token() };
    await calls(4, services.eventStreamService.Push.path, headers, (stream) => stream.end(packed));
  },
  streams: async () => {
    const attack = flood(port, material, services.eventStreamService.Subscribe.path, 9_900);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    attack.end();
  },
  passwords: async () => {
    const client = dialPeer(`127.0.0.1:${port}`, material, MB);
    const names = Array.from({ length: 50 }, (_, n) => ["edge-1", `nobody-${n}`]).flat();
    await Promise.allSettled(names.map((name) => wrongPassword(client, name)));
    client.close();
  },
  patterns: async () => {
    if (!patient) {
      const issued = await (await issuer(pki))(PATIENT);
      const address = () => `127.0.0.1:${port}`;
      patient = new SimAgent({ name: PATIENT, mode: "managed", address, material: issued });
      patient.start();
    }
    const opened = openSqlite(store, { verify: false });
    for (let n = 0; n < 250; n++) {
      await opened.write({ op: "put", object: evilProject(n) });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await opened.close();
  },
  waits: async () => {
    const client = dialAdmin(`127.0.0.1:${adminPort}`);
    const versions = Array.from(
      { length: 20_000 },
      (_, n) => ({ key: `Application/a/${n}`, resourceVersion: "99" }),
    );
    const wait = () =>
      call(client, services.operatorService.WaitReplicated, { versions, timeoutMs: 5_000 }, 9_000);
    await Promise.allSettled(Array.from({ length: 20 }, wait));
    client.close();
  },
};

const attack = ATTACKS[kind];
if (!attack) throw new Error(`"${kind}": must be one of ${Object.keys(ATTACKS).join(", ")}`);
for (let round = 0;; round++) {
  const once = attack().catch(() => new Promise((resolve) => setTimeout(resolve, 50)));
  if (round === 0) console.log("begun");
  await once;
}
