/** A request for a terminal as an agent takes it: a program in a container of a pod. Names that are none are refused here. */
import { isDnsLabel, isDnsSubdomain } from "../resources/keys.ts";
import type { Mode } from "../resources/roster.ts";
import { parseTarget, type Target } from "./path.ts";
import { failure, type HttpAnswer } from "./status.ts";
import type { TerminalEnd } from "./terminal.ts";

export interface TerminalRequest {
  namespace: string;
  podName: string;
  /** Empty: the pod's only container, or its default one. */
  containerName: string;
  /** The program and its arguments. */
  command: string[];
  tty: boolean;
  /** Whether its user types. */
  stdin: boolean;
}

/** Whether a path is that of a terminal. */
export function isTerminal({ parts }: Target): boolean {
  return parts.group === "" && parts.resource === "pods" && parts.subresource === "exec";
}

/** The request in a URL, or why there is none. */
export function terminalRequestOf(url: string): TerminalRequest | { problem: string } {
  const target = parseTarget(url);
  if (!target || !isTerminal(target)) return { problem: "it is not the path of a terminal" };
  const { namespace, name: podName } = target.parts;
  const containerName = target.params["container"] ?? "";
  const command = new URLSearchParams(url.slice(url.indexOf("?"))).getAll("command");
  if (!isDnsLabel(namespace) || !isDnsSubdomain(podName)) {
    return { problem: "it names no pod in a namespace" };
  }
  if (containerName !== "" && !isDnsLabel(containerName)) return { problem: "it names no container" };
  if ((command[0] ?? "") === "" || command.some((word) => word.includes("\0"))) {
    return { problem: "it names no command" };
  }
  const asked = (name: string) => ["true", "1"].includes(target.params[name] ?? "");
  return { namespace, podName, containerName, command, tty: asked("tty"), stdin: asked("stdin") };
}

/** The path and query of a request. */
export function terminalUrl({ namespace, podName, containerName, command, tty, stdin }: TerminalRequest) {
  const query = new URLSearchParams([
    ...command.map((word) => ["command", word]),
    ...(containerName === "" ? [] : [["container", containerName]]),
    ...[["stdin", String(stdin)], ["tty", String(tty)]],
  ]);
  return `/api/v1/namespaces/${namespace}/pods/${podName}/exec?${query}`;
}

/** The payload of the request's event. An agent opens all three streams; to a user who does not type, the input ends at once. */
export function terminalPayload(
  uuid: string,
  { namespace, podName, containerName, command, tty }: TerminalRequest,
): Uint8Array {
  const streams = { tty, stdin: true, stdout: true, stderr: true };
  return new TextEncoder().encode(
    JSON.stringify({ uuid, namespace, podName, containerName, command, ...streams }),
  );
}

/** Why an agent of this mode is asked for no terminal; undefined: it is. */
export function terminalRefusal(agent: string, mode: Mode | undefined): HttpAnswer | undefined {
  const about = `cannot open a terminal at agent "${agent}"`;
  if (mode === undefined) return failure(502, `${about}: it is not connected`);
  return mode === "managed"
    ? undefined
    : failure(400, `${about}: it is ${mode}; terminals are for managed agents`);
}

/** client-go's words for a program's own code. */
const EXIT_CODE = /^command terminated with exit code (\d{1,3})$/;

/** The end of a terminal, by an agent's error. */
export function terminalFailure(
  agent: string,
  { namespace, podName }: TerminalRequest,
  error: string,
): TerminalEnd {
  const code = Number(EXIT_CODE.exec(error)?.[1] ?? 0);
  if (code > 0) return { how: "failed", message: error, exitCode: code };
  const about = `terminal in pod "${podName}" in namespace "${namespace}" at agent "${agent}"`;
  return { how: "failed", message: `${about}: ${error}` };
}
