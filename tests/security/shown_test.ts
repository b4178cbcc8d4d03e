/** Logs and terminals show what others wrote as text that obeys nobody, and never a Secret's value. */
import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import grpc from "@grpc/grpc-js";
import protobuf from "protobufjs";
// @ts-types="../../proto/gen.d.ts"
import { argocdagentha } from "../../proto/gen.js";
import { parseJson } from "../../src/base/json.ts";
import { printable, printableLines, printableMessage } from "../../src/base/printable.ts";
import { listenPlaintext } from "../../src/adapters/grpc/server.ts";
import * as services from "../../src/adapters/grpc/services.ts";
import { Status } from "../../src/adapters/grpc/status.ts";
import { run } from "../../src/cli/run.ts";
import { parseYaml, yaml } from "../../src/cli/yaml.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { shownForm } from "../../src/domain/resources/fields.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { call, dialPeer } from "../../src/adapters/grpc/dial.ts";
import { VERSION } from "../../src/base/version.ts";
import { serving, startAgent } from "../support/agents.ts";
import { inWorkshop, LOOSE, material, until, untilState } from "../support/principals.ts";

/** Moves the cursor, forges a line, turns the reading direction, hides, and is half a character. */
const EVIL = "a\x1b[2J\x07\r\nERROR forged\x9b31m\u202egnp\u2066\u200b\ufeff\u2028\x7f\ud800z";
/** The part that the wire carries. */
const SENT = EVIL.replace("\ud800", "");
const OBEYED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** The characters of an output that a terminal would obey, but for the ends of its lines. */
function obeyed(output: string): string[] {
  return [...output.matchAll(OBEYED)].map(([found]) => found).filter((found) => found !== "\n");
}

Deno.test("printable() leaves nothing that a terminal obeys, and other scripts as they are", () => {
  assertEquals(printable(EVIL).match(OBEYED), null);
  assertEquals(printable("a\tb\n\x1b"), "a\\tb\\n\\u001b");
  assertEquals(printable("\u{e0041}"), "\\udb40\\udc41");
  assertEquals(printable("naïve Ω שלום 日本 🙂"), "naïve Ω שלום 日本 🙂");
  assertEquals(printableLines("a\nb\r\n"), "a\nb\\r\n");
});

Deno.test("printableMessage() keeps what a message has by default, bytes, and a field named __proto__", () => {
  const { Exposure } = argocdagentha.v1;
  const heard = Exposure.decode(Exposure.encode({ unacknowledged: 0, equalAgoMs: 5 }).finish());
  const shown = printableMessage(heard);
  assertEquals([shown.unacknowledged, shown.equalAgoMs], [0, 5]);
  const odd = JSON.parse(`{"__proto__": ${JSON.stringify(EVIL)}, "list": [${JSON.stringify(EVIL)}]}`);
  assertEquals(JSON.stringify(printableMessage(odd)).match(OBEYED), null);
  assertEquals(Object.hasOwn(printableMessage(odd), "__proto__"), true);
  const bytes = new Uint8Array([27, 7]);
  assertEquals(printableMessage({ bytes }).bytes, bytes);
});

Deno.test("escaped JSON and YAML are the same JSON and YAML", () => {
  const value = { [`k${EVIL}`]: EVIL, list: [EVIL, "plain", "two\nlines"], number: 1 };
  const asJson = printableLines(JSON.stringify(value, null, 2));
  assertEquals(obeyed(asJson), []);
  assertEquals(JSON.parse(asJson), value);
  const wellFormed = JSON.parse(JSON.stringify(value).replaceAll("\\ud800", ""));
  const asYaml = yaml(wellFormed);
  assertEquals(obeyed(asYaml), []);
  assertEquals(parseYaml(asYaml), [wellFormed]);
});

Deno.test("a log line is one line, in text and in JSON, whatever stands in its message and its fields", async () => {
  const script = `import { createLog } from "${new URL("../../src/base/log.ts", import.meta.url)}";
    for (const format of ["text", "json"]) createLog({ level: "info", components: {}, format, details: [] }).info(${
    JSON.stringify(EVIL)
  }, { "version": ${JSON.stringify(EVIL)}, ${JSON.stringify(EVIL)}: 1 });`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", script],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).output();
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
  assertEquals(lines.length, 2, lines.join("\n"));
  assertEquals(obeyed(lines.join("\n")), []);
  assertEquals(JSON.parse(lines[1] ?? "")["version"], EVIL);
});

/** A message of a type in which every text is hostile. */
function hostile(type: protobuf.Type, depth = 0): Record<string, unknown> {
  const one = (field: protobuf.Field): unknown => {
    const { resolvedType } = field;
    if (resolvedType instanceof protobuf.Type) {
      return depth > 5 ? undefined : hostile(resolvedType, depth + 1);
    }
    if (field.type === "string") return SENT;
    if (field.type === "bytes") return new TextEncoder().encode(JSON.stringify({ kind: SENT }));
    return field.type === "bool" ? true : 1;
  };
  return Object.fromEntries(
    type.fieldsArray.flatMap((field) => {
      const value = one(field.resolve());
      return value === undefined ? [] : [[field.name, field.repeated ? [value, value] : value]];
    }),
  );
}

/** The output of a command that runs in this process. */
async function printed(args: string[]): Promise<string> {
  const chunks: number[] = [];
  const streams = [Deno.stdout, Deno.stderr];
  const value = (bytes: Uint8Array) => {
    for (const byte of bytes) chunks.push(byte);
    return bytes.length;
  };
  for (const stream of streams) Object.defineProperty(stream, "writeSync", { value, configurable: true });
  try {
    await run(args);
  } finally {
    for (const stream of streams) delete (stream as Partial<typeof stream>).writeSync;
  }
  return new TextDecoder().decode(new Uint8Array(chunks));
}

Deno.test({
  name:
    "no answer and no refusal of a hostile principal reaches the terminal unescaped, in any field of any command",
  ...LOOSE,
  fn: async () => {
    const file = (name: string) => new URL(`../../proto/${name}.proto`, import.meta.url).pathname;
    const root = await protobuf.load([file("link"), file("haadminapi")]);
    const raw = (method: grpc.MethodDefinition<unknown, unknown>) => ({
      ...method,
      responseSerialize: (bytes: unknown) => bytes as Buffer,
    });
    let refusing = false;
    const server = new grpc.Server();
    const serve = (name: string, methods: Record<string, unknown>) => {
      const definitions: Record<string, grpc.MethodDefinition<unknown, unknown>> = {};
      const handlers: grpc.UntypedServiceImplementation = {};
      const service = root.lookupService(name);
      for (const [call, method] of Object.entries(methods)) {
        const definition = method as grpc.MethodDefinition<unknown, unknown>;
        const type = root.lookupType(service.methods[call]?.responseType ?? "");
        const bytes = () => Buffer.from(type.encode(type.fromObject(hostile(type))).finish());
        definitions[call] = raw(definition);
        const failure = new Status(grpc.status.FAILED_PRECONDITION, SENT);
        handlers[call] = definition.responseStream
          ? (stream: grpc.ServerWritableStream<unknown, Buffer>) => {
            if (refusing) return void stream.emit("error", { code: failure.code, details: SENT });
            stream.write(bytes());
            stream.end();
          }
          : (_: unknown, answer: grpc.sendUnaryData<Buffer>) =>
            refusing ? answer({ code: failure.code, details: SENT }) : answer(null, bytes());
      }
      server.addService(definitions, handlers);
    };
    serve("argocdagentha.v1.Operator", services.operatorService);
    serve("haadminapi.HAAdmin", services.adminService);
    const port = await listenPlaintext(server, "127.0.0.1:0");
    const commands = [
      ["status"],
      ["watch", "--once"],
      ["explain"],
      ["history"],
      ["preflight"],
      ["diff"],
      ["diff", "Application/edge-1/a"],
      ["diff", "--repair", "--all", "--yes"],
      ["reconcile"],
      ["reconcile", "--adopt", "--all", "--yes"],
      ["deletions"],
      ["deletions", "--release", "--all", "--yes"],
      ["drill"],
      ["promote", "--yes"],
      ["demote", "--yes"],
      ["switchover", "--yes"],
      ["forget-agent", "edge-1", "--yes"],
    ];
    const asJson = commands.filter(([name = ""]) =>
      ["status", "explain", "history", "preflight", "diff", "reconcile", "deletions", "drill", "switchover"]
        .includes(name)
    ).map((command) => [...command, "-o", "json"]);
    try {
      let shown = 0;
      for (const refused of [false, true]) {
        refusing = refused;
        for (const command of [...commands, ...asJson]) {
          const output = await printed(["ha", ...command, "-a", `127.0.0.1:${port}`]);
          assertEquals(obeyed(output), [], `${command.join(" ")}: ${output}`);
          assert(!/^ERROR forged/m.test(output), `${command.join(" ")}: ${output}`);
          if (output.includes("\\u001b[2J")) shown++;
        }
      }
      assert(shown > commands.length, `${shown} outputs show what was sent`);
    } finally {
      server.forceShutdown();
    }
  },
});

Deno.test(
  "a name that is cut in the middle of a character is answered, and ends nothing",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const client = dialPeer(`127.0.0.1:${running.ports.grpc}`, material(workshop, "agent-1"), 1 << 20);
      for (let length = 60; length < 66; length++) {
        const request = { method: "mtls", mode: `${"m".repeat(length)}🙂`, version: VERSION };
        const { details, code } = await call(
          client,
          services.authenticationService.Authenticate,
          request,
          5_000,
        )
          .then(() => ({ details: "", code: 0 }), (error) => error);
        assertEquals(code, grpc.status.UNKNOWN);
        assertStringIncludes(details, "unknown or missing operation mode");
      }
      client.close();
    }),
);

const PASSWORD = "hunter2-and-more";
const ENCODED = btoa(PASSWORD);

Deno.test("a Secret's value is shown nowhere in its shown form, wherever tools have put a copy of it", () => {
  const whole = JSON.stringify({ kind: "Secret", data: { password: ENCODED } });
  const secret: ApiObject = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: "a",
      namespace: "argocd",
      labels: { "argocd.argoproj.io/secret-type": "repository" },
      annotations: {
        "kubectl.kubernetes.io/last-applied-configuration": whole,
        "kapp.k14s.io/original": whole,
        "objectset.rio.cattle.io/applied": gzipSync(whole).toString("base64"),
        "a/plain": PASSWORD,
        "a/encoded": ENCODED,
        "a/url": `https://me:${PASSWORD}@git.example.com`,
        "managed-by": "argocd.argoproj.io",
      },
    },
    data: { password: ENCODED, short: btoa("abc") },
    stringData: { token: PASSWORD },
  };
  const shown = shownForm(secret, () => "(not shown)");
  assertEquals(shown.metadata.annotations?.["managed-by"], "argocd.argoproj.io");
  assertEquals(
    Object.values(shown.metadata.annotations ?? {}).filter((text) => text !== "(not shown)"),
    ["argocd.argoproj.io"],
  );
  const text = JSON.stringify(shown);
  for (const value of [PASSWORD, ENCODED, btoa("abc")]) assert(!text.includes(value), text);
  const odd = shownForm({ ...secret, data: ENCODED, stringData: [PASSWORD] }, () => "(not shown)");
  assertEquals([odd["data"], odd["stringData"]], ["(not shown)", "(not shown)"]);
});

Deno.test("the reason why a text is no JSON quotes nothing of it", () => {
  for (
    const text of [
      `{"password":"${PASSWORD}"`,
      `{"password":${PASSWORD}}`,
      `${PASSWORD}`,
      `{"n":12345678901234567890,"password":"${PASSWORD}" x}`,
      `{"password":"${PASSWORD}\n"}`,
    ]
  ) {
    let reason = "";
    try {
      parseJson(text);
    } catch (error) {
      reason = String(error);
    }
    assertStringIncludes(reason, "SyntaxError");
    for (let at = 0; at + 4 <= PASSWORD.length; at++) {
      assert(!reason.includes(PASSWORD.slice(at, at + 4)), reason);
    }
  }
});

Deno.test(
  "neither a header that proves nothing, nor a password, nor a token is in the log",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { settings } = parseSettings([
        "--namespace=argocd",
        "--allowed-namespaces=*",
        `--store=sqlite:${workshop.dir}/simple.db`,
        "--listen-host=127.0.0.1",
        "--insecure-jwt-generate",
        "--insecure-plaintext",
        "--auth=header:x-agent:^id=(.*)$",
      ], () => undefined);
      const running = await workshop.start({ ...settings, listenPort: 0, metricsPort: 0, healthzPort: 0 });
      await untilState(running, "active");
      for (const value of [`Bearer ${PASSWORD}`, `id=${PASSWORD}!`]) {
        await startAgent(workshop, running, {
          name: "edge-1",
          material: undefined,
          method: "header",
          headers: { "x-agent": value },
        });
      }
      const refusals = () => workshop.logs.filter((line) => line.includes("names no agent"));
      await until(() => refusals().length >= 2, 20_000, () => workshop.logs.join("\n"));
      assert(!workshop.logs.join("\n").includes("hunter2"), workshop.logs.join("\n"));
    }),
);
