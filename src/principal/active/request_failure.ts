/** The answer of HTTP where an agent cannot be asked, by the reason. */
import type { RequestFailureKind } from "../ports/requests.ts";

/** When a client may try again, in seconds. */
export const RETRY_S = 1;
const STAND_BY_S = 5;

/** `reason` is for the metrics. */
export const REQUEST_FAILURE: Record<
  RequestFailureKind,
  { code: number; reason: string; retryAfterS?: number }
> = {
  "not connected": { code: 502, reason: "agent_disconnected" },
  "not active": { code: 503, reason: "not_active", retryAfterS: STAND_BY_S },
  busy: { code: 429, reason: "busy", retryAfterS: RETRY_S },
  "no answer": { code: 504, reason: "timeout" },
  unanswered: { code: 502, reason: "no_proxy" },
  left: { code: 503, reason: "agent_disconnected", retryAfterS: RETRY_S },
};
