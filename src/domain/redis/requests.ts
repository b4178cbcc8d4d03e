/** The Go contract's messages about an agent's Redis: what the agent is asked, and what it says. */
import { isShallowJson, parseJson } from "../../base/json.ts";
import type { AgentEvent } from "../events/cloudevent.ts";
import { isRecord } from "../resources/object.ts";

/** A question to an agent. */
export type RedisQuestion =
  | { get: { key: string } }
  | { subscribe: { channel: string } }
  /** Subscriptions of this connection are still wanted. */
  | { ping: Record<never, never> };

/** An agent's message: an answer, or a notice, which it sends by itself. */
export type RedisSaid =
  | { said: "value"; value: Uint8Array }
  | { said: "miss" }
  | { said: "error"; message: string }
  | { said: "subscribed" }
  | { said: "pong" }
  | { said: "notice"; channel: string; connection: string };

/** The largest value that is taken of an agent. The tree of an Application with 5,000 resources has about 1 MB. */
export const MAX_VALUE_BYTES = 32 * 1024 * 1024;
/** The same as base64, and what stands around it. */
const MAX_MESSAGE_BYTES = Math.ceil(MAX_VALUE_BYTES * 4 / 3) + 4_096;
/** Objects in the largest message, and some more. */
const MAX_OBJECTS = 16;
const MAX_TEXT = 1_024;
/** Two UUIDs and the name of a channel. */
const MAX_NOTICE_BYTES = 8_192;

/** The type of a question's event. */
export const REDIS_REQUEST = "redis-request";

/** The payload of a question. @param connection names a subscription: the agent ends it 10 minutes after the last ping that does */
export function redisRequest(uuid: string, connection: string, body: RedisQuestion): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ uuid, connectionUuid: connection, body }));
}

/** Reads an agent's event. An error's message is the agent's own words, not yet fit to be shown. */
export function redisSaid({ payload, cutBytes }: Pick<AgentEvent, "payload" | "cutBytes">): RedisSaid {
  if (cutBytes !== undefined || (payload?.length ?? 0) > MAX_MESSAGE_BYTES) {
    return problem(`the value is larger than ${MAX_VALUE_BYTES} bytes`);
  }
  try {
    const text = new TextDecoder().decode(payload);
    if (isShallowJson(text, MAX_OBJECTS)) return read(parseJson(text)) ?? problem("the answer is not known");
  } catch {
    // The same as a message with too much in it.
  }
  return problem("the answer is malformed");
}

/** Whether an agent's message is a notice, which has the id of the subscription's request and may come before its answer. */
export function isNotice(payload: Uint8Array | undefined): boolean {
  return payload !== undefined && payload.length <= MAX_NOTICE_BYTES &&
    redisSaid({ payload }).said === "notice";
}

function problem(message: string): RedisSaid {
  return { said: "error", message };
}

function read(message: unknown): RedisSaid | undefined {
  if (!isRecord(message) || !isRecord(message["body"])) return undefined;
  const { get, subscribeResponse, pushFromSubscribe, pong } = message["body"];
  if (isRecord(get)) return readGet(get);
  if (isRecord(subscribeResponse)) {
    const error = text(subscribeResponse["error"]);
    return error === "" ? { said: "subscribed" } : problem(error);
  }
  if (isRecord(pushFromSubscribe)) {
    const channel = text(pushFromSubscribe["channelName"]);
    return { said: "notice", channel, connection: text(message["connectionUuid"]) };
  }
  return isRecord(pong) ? { said: "pong" } : undefined;
}

function readGet(get: Record<string, unknown>): RedisSaid {
  const error = text(get["error"]);
  if (error !== "") return problem(error);
  if (get["cacheHit"] !== true) return { said: "miss" };
  const bytes = get["bytes"] ?? "";
  if (typeof bytes !== "string") return problem("the value is no text");
  return { said: "value", value: Uint8Array.fromBase64(bytes) };
}

function text(value: unknown): string {
  return typeof value === "string" ? value.slice(0, MAX_TEXT) : "";
}
