/**
 * Hostile input, from seeds: 20,000 and more against the gRPC services, the admin service, the HTTP listeners and the
 * parsers. Each is answered with an error of its own kind, the process lives, and its memory stays.
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import { duration, parseLine, programOf, yes } from "../../src/cli/verb.ts";
import { parseManifests } from "../../src/cli/manifests.ts";
import { CommandError } from "../../src/cli/output.ts";
import { run } from "../../src/cli/run.ts";
import { decodeEvent } from "../../src/domain/events/cloudevent.ts";
import { dialAdmin, dialPeer } from "../../src/adapters/grpc/dial.ts";
import * as services from "../../src/adapters/grpc/services.ts";
import { keyOf, parseKey } from "../../src/domain/resources/keys.ts";
import { wholeScope } from "../../src/domain/resources/scope.ts";
import { acceptObject } from "../../src/domain/resources/validate.ts";
import { FLAGS } from "../../src/config/flags.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { UsageError } from "../../src/config/usage.ts";
import { checkTls, readPem } from "../../src/adapters/tls/files.ts";
import { type Pair, withPair } from "../support/processes.ts";
import { type Random, seeded } from "../support/random.ts";

const SEED = 20_261_124;
const loose = { sanitizeOps: false, sanitizeResources: false };
const ANY_CODE = new Set(Object.values(grpc.status).filter((code) => typeof code === "number"));

/** Bytes that are noise, or nearly a protobuf message: tags and lengths that lie. */
function message(random: Random): Uint8Array {
  if (random.chance(0.3)) return random.bytes(random.int(200));
  const parts: number[] = [];
  for (let n = random.int(6); n >= 0; n--) {
    parts.push(((1 + random.int(9)) << 3) | random.pick([0, 1, 2, 5]), random.int(128));
    parts.push(...random.bytes(random.int(20)));
  }
  return Uint8Array.from(parts);
}

const raw = (method: { path: string; requestStream: boolean }) => ({
  path: method.path,
  serialize: (bytes: Uint8Array) => Buffer.from(bytes),
  deserialize: (bytes: Buffer) => bytes,
});

/** One raw request; the code it is answered with. */
function send(client: grpc.Client, method: ReturnType<typeof raw>, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve) =>
    client.makeUnaryRequest(method.path, method.serialize, method.deserialize, bytes, {
      deadline: Date.now() + 1_500,
    }, (error) => resolve(error?.code ?? 0))
  );
}

/** One raw stream of a few messages, cancelled half of the time; the code it ends with. */
function stream(client: grpc.Client, method: ReturnType<typeof raw>, random: Random): Promise<number> {
  return new Promise((resolve) => {
    const call = client.makeBidiStreamRequest(method.path, method.serialize, method.deserialize, {
      deadline: Date.now() + 1_500,
    });
    call.on("data", () => {});
    call.on("error", (error: grpc.ServiceError) => resolve(error.code));
    call.on("end", () => resolve(0));
    for (let n = random.int(4); n >= 0; n--) call.write(message(random));
    if (random.chance(0.5)) call.cancel();
    else call.end();
  });
}

async function inBatches(count: number, size: number, one: (n: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < count; from += size) {
    await Promise.all(Array.from({ length: Math.min(size, count - from) }, (_, i) => one(from + i)));
  }
}

async function memory(pair: Pair): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${pair.primary.side.ports.metrics}/metrics`);
  const text = await response.text();
  return Number(/process_resident_memory_bytes (\d+)/.exec(text)?.[1]);
}

async function alive(pair: Pair, before: number, what: string): Promise<void> {
  assertEquals((await pair.primary.healthz()).code, 200, `${what}: the process does not answer any more`);
  const after = await memory(pair);
  const limit = before + 150_000_000;
  assert(after < limit, `${what}: resident memory went from ${before} to ${after}`);
}

Deno.test({
  name:
    "fuzz: 8,000 malformed messages and streams against every gRPC method, 4,000 of them on the admin port",
  ...loose,
  fn: () =>
    withPair(async (pair) => {
      const random = seeded(SEED);
      await pair.startAlone();
      const pki = `${pair.dir}/pki`;
      const read = (name: string) => readPem("pki", `${pki}/${name}`);
      const tls = checkTls({ cert: read("replica.crt"), key: read("replica.key"), ca: read("ca.crt") }, 0);
      const before = await memory(pair);
      const { replicationService, linkService, authenticationService, versionService, eventStreamService } =
        services;
      const public_ = [
        replicationService,
        linkService,
        authenticationService,
        versionService,
        eventStreamService,
      ]
        .flatMap((service) => Object.values(service)).map(raw);
      const private_ = [services.adminService, services.operatorService].flatMap((service) =>
        Object.values(service)
      ).map(raw);
      const main = dialPeer(`127.0.0.1:${pair.primary.side.ports.grpc}`, tls, 1 << 20);
      const admin = dialAdmin(pair.primary.admin);
      await inBatches(4_000, 400, async () => {
        const method = random.pick(public_);
        const code = random.chance(0.5)
          ? await send(main, method, message(random))
          : await stream(main, method, random);
        assert(ANY_CODE.has(code), `${method.path} ended with ${code}`);
      });
      // A promotion or demotion that happens to decode is a legal command; only what cannot be is sent here.
      const harmless = private_.filter((method) => !/Promote|Demote/.test(method.path));
      await inBatches(4_000, 500, async () => {
        const method = random.pick(harmless);
        const code = method.path.endsWith("WaitReplicated") || random.chance(0.7)
          ? await send(admin, method, message(random))
          : await stream(admin, method, random);
        assert(ANY_CODE.has(code), `${method.path} ended with ${code}`);
      });
      main.close();
      admin.close();
      await alive(pair, before, "gRPC");
    }),
});

Deno.test({
  name: "fuzz: 4,000 requests and broken bytes against the HTTP and gRPC ports",
  ...loose,
  fn: () =>
    withPair(async (pair) => {
      const random = seeded(SEED + 1);
      await pair.startAlone();
      const before = await memory(pair);
      const { healthz, metrics, grpc: main, admin } = pair.primary.side.ports;
      const strange = () =>
        Array.from({ length: random.int(30) }, () => random.pick([..."/?&=%.\\:;~<>abc\u00e9"])).join("");
      // One address has 32 connections to the metrics: beyond that the one that is idle longest is cut.
      await inBatches(2_000, 25, async () => {
        const port = random.pick([healthz, metrics]);
        const path = random.chance(0.5)
          ? `/readyz?maxLagMs=${encodeURIComponent(strange())}`
          : `/${encodeURI(strange())}`;
        const method = random.pick(["GET", "POST", "PUT", "DELETE", "OPTIONS"]);
        const body = ["GET"].includes(method)
          ? null
          : random.bytes(random.int(500)) as Uint8Array<ArrayBuffer>;
        const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, body });
        await response.body?.cancel();
        assert([200, 400, 404, 405, 503].includes(response.status), `${method} ${path}: ${response.status}`);
      });
      await inBatches(2_000, 50, async () => {
        const connection = await Deno.connect({
          hostname: "127.0.0.1",
          port: random.pick([healthz, metrics, main, admin]),
        });
        const start = random.pick([
          "",
          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
          "GET / HTTP/1.1\r\n",
          "\x16\x03\x01",
        ]);
        await connection.write(new TextEncoder().encode(start)).catch(() => {});
        await connection.write(random.bytes(random.int(300))).catch(() => {});
        connection.close();
      });
      await alive(pair, before, "HTTP");
    }),
});

Deno.test("fuzz: 4,000 command lines and environments are settings or a usage error", async () => {
  const random = seeded(SEED + 2);
  const words = [
    "",
    "0",
    "-1",
    "true",
    "5m",
    "a,b",
    "mtls:CN=([^,]+)",
    "mtls:(",
    "sqlite:x",
    "host:1",
    "\u0000",
    "🙂",
    "x".repeat(5_000),
  ];
  const verb = {
    name: "verb",
    args: "[a] [b]",
    help: "",
    about: "",
    options: [yes(), duration("--listen-host <DURATION>", "", "1s")],
    examples: [],
    exits: {},
    run: () => Promise.resolve(0),
  };
  for (let n = 0; n < 4_000; n++) {
    const args = Array.from({ length: random.int(12) }, () => {
      const { name } = random.pick(FLAGS);
      return random.pick([
        `--${name}`,
        `--${name}=${random.pick(words)}`,
        `--${name}x`,
        random.pick(words),
        `-${name}`,
      ]);
    });
    try {
      parseSettings(args, () => random.chance(0.1) ? random.pick(words) : undefined);
    } catch (error) {
      assert(error instanceof UsageError, `${JSON.stringify(args)}: ${error}`);
      assert(error.message.length < 11_000);
    }
    try {
      await parseLine(programOf([verb], "", { args, done: () => {} }), ["verb", ...args]);
    } catch (error) {
      assert(error instanceof CommandError, `${JSON.stringify(args)}: ${error}`);
    }
  }
});

Deno.test("fuzz: 6,000 manifests, keys, objects and events are taken or refused, never a crash", () => {
  const random = seeded(SEED + 3);
  const scraps = [
    "apiVersion: v1\n",
    "kind: Secret\n",
    "metadata:\n",
    "  name: a\n",
    "  labels: [1]\n",
    "items:\n",
    "- &a [*a]\n",
    "---\n",
    "!!js/function x\n",
    "{",
    "}",
    "\t",
    "stringData: {a: 1}\n",
    "? :\n",
    "\u0000",
  ];
  const values = [null, 0, "", [], {}, "a/b", { name: 1 }, { name: "x", namespace: "y" }, "__proto__"];
  for (let n = 0; n < 3_000; n++) {
    const text = Array.from({ length: random.int(12) }, () => random.pick(scraps)).join("");
    try {
      parseManifests(text, "fuzz", "argocd");
    } catch (error) {
      assert(error instanceof CommandError, `${JSON.stringify(text)}: ${error}`);
    }
  }
  for (let n = 0; n < 3_000; n++) {
    const key = keyOf(
      random.pick(["Application", "Secret", "../x", ""]),
      random.pick(["ns", "..", ""]),
      random.pick(["a", "a/b", "\u0000"]),
    );
    const object = {
      apiVersion: random.pick(values),
      kind: random.pick(["Secret", "Application", ...values]),
      metadata: random.pick(values),
      spec: random.pick(values),
    };
    const json = random.chance(0.2) ? JSON.stringify(object).slice(random.int(40)) : JSON.stringify(object);
    const verdict = acceptObject(key, json, wholeScope("argocd"));
    if (verdict.ok) assert(parseKey(key));
    const attributes = {
      dataschema: random.pick([{}, { ce_uri: "application" }, { ce_string: "x" }]),
      [String(random.pick(values))]: {},
    };
    const event = decodeEvent({
      type: String(random.pick(values)),
      attributes,
      binary_data: random.bytes(random.int(9)),
    });
    assert("problem" in event || typeof event.type === "string");
  }
});

Deno.test({
  name: "fuzz: 200 whole command lines end with an exit code of the documented four",
  ...loose,
  fn: async () => {
    const random = seeded(SEED + 4);
    const words = [
      "ha",
      "status",
      "store",
      "get",
      "apply",
      "pki",
      "completion",
      "bash",
      "-f",
      "--help",
      "-o",
      "x",
      "-a",
      "127.0.0.1:1",
      "-t",
      "1s",
      "--force",
    ];
    const write = Deno.stdout.writeSync;
    const silence = () => 1_000_000;
    Deno.stdout.writeSync = silence;
    const writeError = Deno.stderr.writeSync;
    Deno.stderr.writeSync = silence;
    try {
      for (let n = 0; n < 200; n++) {
        const args = Array.from({ length: 1 + random.int(5) }, () => random.pick(words));
        const interactive = ["promote", "demote", "init", "watch", "-f"].some((word) => args.includes(word));
        if (interactive) continue;
        assert([0, 1, 2, 3].includes(await run(args)), args.join(" "));
      }
    } finally {
      Deno.stdout.writeSync = write;
      Deno.stderr.writeSync = writeError;
    }
  },
});
