/** The trace that a change or request belongs to, as W3C Trace Context writes it: in CloudEvents, gRPC metadata and HTTP headers alike. */
export interface TraceContext {
  /** The span that whoever reads this continues. */
  readonly traceparent: string;
  /** Notes of tracers. */
  readonly tracestate?: string;
}

/** Version 00; a later version may have more behind its flags. No part is all zeros. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-|$)/;
const MAX_TRACEPARENT = 64;
/** Longer notes are left out: the trace goes on without them. */
const MAX_TRACESTATE = 512;

/** The trace that somebody names; undefined: none, or nothing that can be one. */
export function traceOf(
  { traceparent, tracestate }: { traceparent?: unknown; tracestate?: unknown },
): TraceContext | undefined {
  if (typeof traceparent !== "string" || traceparent.length > MAX_TRACEPARENT) return undefined;
  if (!TRACEPARENT.test(traceparent)) return undefined;
  const noted = typeof tracestate === "string" && tracestate !== "" && tracestate.length <= MAX_TRACESTATE &&
    /^[\x20-\x7e]+$/.test(tracestate);
  return noted ? { traceparent, tracestate } : { traceparent };
}
