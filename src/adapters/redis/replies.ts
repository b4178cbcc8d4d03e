/** The replies and messages that the proxy itself sends, as bytes of RESP2 and RESP3. */
import { concat } from "@std/bytes/concat";
import { printable } from "../../base/printable.ts";
import type { CacheAnswer } from "../../principal/ports/agent_caches.ts";

/** The protocol that client and Redis have agreed on. */
export type Protocol = 2 | 3;

const MAX_PROBLEM = 500;
const encoder = new TextEncoder();
const LINE_END = encoder.encode("\r\n");

/** The reply to a GET, in parts: a value is not copied. */
export function answerBytes(answer: CacheAnswer, protocol: Protocol): Uint8Array[] {
  if (answer === "miss") return [encoder.encode(protocol === 3 ? "_\r\n" : "$-1\r\n")];
  if ("problem" in answer) {
    return [encoder.encode(`-ERR ${printable(answer.problem).slice(0, MAX_PROBLEM)}\r\n`)];
  }
  return [encoder.encode(`$${answer.value.length}\r\n`), answer.value, LINE_END];
}

/** Argo CD's message that something has changed: an empty one. */
export function messageBytes(channel: string, protocol: Protocol): Uint8Array {
  const name = encoder.encode(channel);
  const head = encoder.encode(`${protocol === 3 ? ">" : "*"}3\r\n$7\r\nmessage\r\n$${name.length}\r\n`);
  return concat([head, name, encoder.encode("\r\n$0\r\n\r\n")]);
}
