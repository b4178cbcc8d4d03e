import { assert, assertEquals } from "@std/assert";
import type { TerminalInput } from "./terminal.ts";
import { closeCodeOf, inputOf, messageOf, type Protocol, protocolOf } from "./terminal_channels.ts";
import {
  terminalFailure,
  terminalPayload,
  terminalRefusal,
  type TerminalRequest,
  terminalRequestOf,
  terminalUrl,
} from "./terminal_request.ts";

const EXEC = "/api/v1/namespaces/shop/pods/web-0.a/exec?";
const bytes = (...parts: (number | string)[]) =>
  new Uint8Array(
    parts.flatMap((part) => typeof part === "string" ? [...new TextEncoder().encode(part)] : [part]),
  );
const text = (message: Uint8Array) => new TextDecoder().decode(message.subarray(1));
const V4: Protocol = "v4.channel.k8s.io";
const V5: Protocol = "v5.channel.k8s.io";

Deno.test("terminalRequestOf() takes the names and every word of the command, and terminalUrl() gives them back", () => {
  const url =
    `${EXEC}command=sh&command=-c&command=echo+a%26b&container=main&stdin=true&stdout=true&tty=true`;
  const request = terminalRequestOf(url) as TerminalRequest;
  assertEquals(request, {
    namespace: "shop",
    podName: "web-0.a",
    containerName: "main",
    command: ["sh", "-c", "echo a&b"],
    tty: true,
    stdin: true,
  });
  assertEquals(terminalRequestOf(terminalUrl(request)), request);
  const plain = terminalRequestOf(`${EXEC}command=ls`) as TerminalRequest;
  assertEquals([plain.tty, plain.stdin, plain.containerName], [false, false, ""]);
  assertEquals(terminalRequestOf(terminalUrl(plain)), plain);
  const payload = JSON.parse(new TextDecoder().decode(terminalPayload("id", plain)));
  assertEquals(payload, {
    ...{ uuid: "id", namespace: "shop", podName: "web-0.a", containerName: "", command: ["ls"] },
    ...{ tty: false, stdin: true, stdout: true, stderr: true },
  });
});

Deno.test("terminalRequestOf() takes no names that are none, and no other path", () => {
  for (
    const url of [
      "/api/v1/namespaces/shop/pods/web/attach?command=sh",
      "/apis/apps/v1/namespaces/shop/pods/web/exec?command=sh",
      "/api/v1/pods/web/exec?command=sh",
      "/api/v1/namespaces/a.b/pods/web/exec?command=sh",
      "/api/v1/namespaces/shop/pods/We/exec?command=sh",
      "/api/v1/namespaces/shop/pods/../exec?command=sh",
      "/api/v1/namespaces/shop/pods/a%2fb/exec?command=sh",
      "/api/v1/namespaces/shop/pods/web/exec",
      "/api/v1/namespaces/shop/pods/web/exec?command=",
      "/api/v1/namespaces/shop/pods/web/exec?command=sh&command=a%00b",
      "/api/v1/namespaces/shop/pods/web/exec?command=sh&container=../main",
    ]
  ) assert("problem" in terminalRequestOf(url), url);
});

Deno.test("inputOf() reads the channels of both protocols, and what means nothing means nothing", () => {
  const cases: [message: Uint8Array, protocol: Protocol, input: TerminalInput | undefined][] = [
    [bytes(0, "ls\n"), V4, { do: "type", data: bytes("ls\n") }],
    [bytes(0, 255, 0), V5, { do: "type", data: bytes(255, 0) }],
    [bytes(4, '{"Width":132,"Height":50}'), V5, { do: "resize", cols: 132, rows: 50 }],
    [bytes(255, 0), V5, { do: "close" }],
    [bytes(255, 0), V4, undefined],
    [bytes(255, 1), V5, undefined],
    [bytes(255), V5, undefined],
    [bytes(0), V5, undefined],
    [bytes(), V5, undefined],
    [bytes(1, "x"), V5, undefined],
    [bytes(4), V5, undefined],
    [bytes(4, "{"), V5, undefined],
    [bytes(4, "[1,2]"), V5, undefined],
    [bytes(4, '{"Width":0,"Height":0}'), V5, undefined],
    [bytes(4, '{"Width":1.5,"Height":70000}'), V5, undefined],
    [bytes(4, `{"Width":1,"Height":1,"x":"${"y".repeat(2_000)}"}`), V5, undefined],
    [bytes(0, '{"operation":"resize","cols":1,"rows":1}'), V5, {
      do: "type",
      data: bytes('{"operation":"resize","cols":1,"rows":1}'),
    }],
  ];
  for (const [message, protocol, input] of cases) {
    assertEquals(inputOf(message, protocol), input, text(message));
  }
});

Deno.test("messageOf() tells an end as clients of Kubernetes read it", () => {
  assertEquals(messageOf({ show: bytes("hello") }), bytes(1, "hello"));
  const request = terminalRequestOf(`${EXEC}command=sh`) as TerminalRequest;
  const ends = {
    done: { how: "done", message: "" },
    exited: terminalFailure("edge-1", request, "command terminated with exit code 130"),
    missing: terminalFailure("edge-1", request, 'exec: "bash": executable file not found in $PATH'),
    lost: { how: "lost", message: "gone" },
  } as const;
  const told = Object.values(ends).map((end) => {
    const message = messageOf({ end });
    assertEquals(message[0], 3);
    const { status, reason, details, message: why } = JSON.parse(text(message));
    return { status, reason, cause: details?.causes?.[0], why, close: closeCodeOf(end) };
  });
  const about = 'terminal in pod "web-0.a" in namespace "shop" at agent "edge-1"';
  const failed = { status: "Failure", reason: "InternalError", cause: undefined };
  assertEquals(told, [
    { status: "Success", reason: undefined, cause: undefined, why: undefined, close: 1000 },
    {
      ...{ status: "Failure", reason: "NonZeroExitCode", cause: { reason: "ExitCode", message: "130" } },
      ...{ why: "command terminated with exit code 130", close: 1000 },
    },
    { ...failed, why: `${about}: exec: "bash": executable file not found in $PATH`, close: 1000 },
    { ...failed, why: "gone", close: 1001 },
  ]);
});

Deno.test("protocolOf() prefers the newest, and terminalRefusal() the managed agents", () => {
  assertEquals(protocolOf([V4, V5]), V5);
  assertEquals(protocolOf(["channel.k8s.io", V4]), V4);
  assertEquals(protocolOf(["base64.channel.k8s.io"]), undefined);
  assertEquals(terminalRefusal("a", "managed"), undefined);
  assertEquals([terminalRefusal("a", "autonomous")?.status, terminalRefusal("a", undefined)?.status], [
    400,
    502,
  ]);
});
