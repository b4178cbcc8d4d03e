/** The one error of this client: what the API server answered, or that no answer came. */
import { parseJson } from "../../base/json.ts";

/** A request that did not succeed; the message has the API server's own words. */
export class ApiFailure extends Error {
  /** The HTTP method of the request. */
  method = "GET";

  constructor(
    /** The HTTP status; 0: no answer, and the request may have been carried out all the same. */
    readonly status: number,
    message: string,
    /** `NotFound`, `AlreadyExists`, `Expired`, … */
    readonly reason = "",
    /** The kind of resource that the answer is about, e.g. `namespaces`. */
    readonly about = "",
    readonly retryAfterMs = 0,
  ) {
    super(message);
  }

  /** Whether the same request may succeed soon. */
  get passing(): boolean {
    return this.status === 0 || this.status === 401 || this.status === 429 || this.status >= 500;
  }
}

interface Status {
  message?: string;
  reason?: string;
  details?: { kind?: string; retryAfterSeconds?: number };
}

/** The failure that an API server's `Status` describes, as an answer's body or as the object of a watch's ERROR event. */
export function failureOf(action: string, code: number, body: string, headers?: Headers): ApiFailure {
  const { message = "", reason = "", details } = statusOf(body);
  const seconds = Number(headers?.get("retry-after") ?? details?.retryAfterSeconds ?? 0);
  const words = message.slice(0, 2_000) || "no explanation";
  return new ApiFailure(
    code,
    `cannot ${action}: the API server answers ${code}: ${words}`,
    reason,
    details?.kind ?? "",
    Number.isFinite(seconds) ? seconds * 1_000 : 0,
  );
}

function statusOf(body: string): Status {
  try {
    return parseJson(body) as Status | null ?? {};
  } catch {
    return { message: body.slice(0, 500) };
  }
}
