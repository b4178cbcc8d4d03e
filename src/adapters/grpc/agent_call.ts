/** The calls with which agents bring what they were asked for: logs and terminals. */
import grpc from "@grpc/grpc-js";
import { Status, toStatus } from "./status.ts";

/** A call that is cancelled seems to have ended first, for less than this. */
export const CANCELLED_MS = 50;

/** The first message of a call, which names its request, comes within this time. */
export const FIRST_MS = 10_000;

/** A principal that does not serve wants nothing: the agent shall not come again. */
export function unwanted(error: unknown): Status {
  const { code, details } = toStatus(error);
  return new Status(code === grpc.status.UNAVAILABLE ? grpc.status.CANCELLED : code, details);
}
