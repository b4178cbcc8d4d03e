/** Failures as the Kubernetes API tells them: a Status object, which clients print to people. */

/** An answer over HTTP. */
export interface HttpAnswer {
  status: number;
  /** JSON text; empty: none. */
  body: string;
  /** When to try again. */
  retryAfterS?: number;
}

const REASONS = new Map<number, string>([
  [400, "BadRequest"],
  [401, "Unauthorized"],
  [403, "Forbidden"],
  [404, "NotFound"],
  [405, "MethodNotAllowed"],
  [409, "Conflict"],
  [410, "Gone"],
  [413, "RequestEntityTooLarge"],
  [415, "UnsupportedMediaType"],
  [422, "Invalid"],
  [429, "TooManyRequests"],
  [500, "InternalError"],
  [503, "ServiceUnavailable"],
  [504, "Timeout"],
]);

/** The object that a failure is about. */
export interface Details {
  name?: string;
  group?: string;
  kind?: string;
}

/** Something was done, of which there is nothing to show; as JSON text. */
export function success(): string {
  return JSON.stringify({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Success" });
}

/** A failure. `retryAfterS` says when to try again, where that may help. */
export function failure(
  code: number,
  message: string,
  { details = {}, retryAfterS }: { details?: Details; retryAfterS?: number } = {},
): HttpAnswer {
  const known = Object.fromEntries(Object.entries(details).filter(([, value]) => value !== ""));
  const body = JSON.stringify({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason: REASONS.get(code) ?? "",
    details: { ...known, ...(retryAfterS === undefined ? {} : { retryAfterSeconds: retryAfterS }) },
    code,
  });
  return { status: code, body, ...(retryAfterS === undefined ? {} : { retryAfterS }) };
}
