/** gRPC errors, once: what goes out as a status, and what came in as one, in an operator's words. */
import grpc from "@grpc/grpc-js";
import { printable } from "../../base/printable.ts";
import { NotAdmitted, type NotAdmittedKind } from "../../principal/ports/agents.ts";
import { StoreError } from "../../principal/ports/store.ts";
import { ProtocolError } from "../../domain/replication/leader.ts";
import { Refusal, type RefusalKind } from "../../domain/ha/refusal.ts";

/** The gRPC codes, for those who only need their names. */
export const Code = grpc.status;

/** A status to answer with. */
export class Status extends Error {
  constructor(readonly code: grpc.status, message: string) {
    super(message);
  }
}

const REFUSALS: Record<RefusalKind, grpc.status> = {
  state: grpc.status.FAILED_PRECONDITION,
  request: grpc.status.INVALID_ARGUMENT,
  disabled: grpc.status.UNIMPLEMENTED,
  unauthenticated: grpc.status.UNAUTHENTICATED,
  forbidden: grpc.status.PERMISSION_DENIED,
  exhausted: grpc.status.RESOURCE_EXHAUSTED,
  unavailable: grpc.status.UNAVAILABLE,
  timeout: grpc.status.DEADLINE_EXCEEDED,
  failed: grpc.status.INTERNAL,
};

/**
 * The status object that grpc-js sends for any error. Unknown errors do not leak their text. Its text is printable: half a character
 * of a name that was cut cannot be sent, and would end this process.
 */
export function toStatus(error: unknown): { code: grpc.status; details: string } {
  const { code, message } = statusOf(error);
  return { code, details: printable(message) };
}

function statusOf(error: unknown): { code: grpc.status; message: string } {
  if (error instanceof Status) return error;
  if (error instanceof Refusal) return { code: REFUSALS[error.kind], message: error.message };
  if (error instanceof NotAdmitted) return { code: NOT_ADMITTED[error.kind], message: error.message };
  if (error instanceof ProtocolError) return { code: grpc.status.INVALID_ARGUMENT, message: error.message };
  if (error instanceof StoreError) return { code: grpc.status.UNAVAILABLE, message: error.message };
  return { code: grpc.status.INTERNAL, message: "internal error; see the principal's log" };
}

/** A refused agent, in the Go principal's codes. */
const NOT_ADMITTED: Record<NotAdmittedKind, grpc.status> = {
  "unauthenticated": grpc.status.UNAUTHENTICATED,
  "unknown mode": grpc.status.UNKNOWN,
  "version missing": grpc.status.INVALID_ARGUMENT,
  "version mismatch": grpc.status.FAILED_PRECONDITION,
  "unavailable": grpc.status.UNAVAILABLE,
};

/** The codes on which a Go agent reconnects; on any other it spins for ever on the dead stream. */
const SURVIVABLE = [
  grpc.status.OK,
  grpc.status.CANCELLED,
  grpc.status.UNAVAILABLE,
  grpc.status.UNAUTHENTICATED,
];

/** The status of an agent's stream for any error. */
export function survivable(error: unknown): Status {
  const { code, details } = toStatus(error);
  return new Status(SURVIVABLE.includes(code) ? code : grpc.status.UNAVAILABLE, details);
}

/** The code of an error that a call ended with; undefined when it is no gRPC error. */
export function codeOf(error: unknown): grpc.status | undefined {
  const code = (error as { code?: unknown })?.code;
  return typeof code === "number" ? code : undefined;
}

/** Explains an error of a call to `address` in one line. */
export function explainCall(error: unknown, address: string): string {
  const text = (error as { details?: string })?.details || (error as Error)?.message || String(error);
  if (text.startsWith("not ACTIVE")) return `${address} is ${text}`;
  if (/internal client error: .*\b(EPIPE|ECONNRESET)\b/.test(text)) {
    return `the connection to ${address} broke`;
  }
  if (codeOf(error) !== grpc.status.UNAVAILABLE) return text;
  if (/Connection dropped/.test(text)) return `the connection to ${address} broke`;
  if (/ECONNREFUSED|refused/i.test(text)) return `connection refused at ${address}`;
  if (/ENOTFOUND|getaddrinfo|Name resolution|lookup/i.test(text)) return `cannot resolve ${address}`;
  if (
    /CertificateRequired|UnknownIssuer|UnknownCA|BadCertificate|CertificateExpired|certificate/i.test(text)
  ) {
    return `TLS with ${address} failed: ${tlsReason(text)}`;
  }
  if (/Failed to connect|No connection established/.test(text)) {
    return `${address} closed the connection in the TLS handshake; does it trust our certificate (its --root-ca-path, ` +
      "our --tls-cert), and is that still valid?";
  }
  return text.replace(/^14 UNAVAILABLE: /, "").replace(/ Resolution note:.*$/s, "").slice(0, 500);
}

function tlsReason(text: string): string {
  const reason = /Last error: (.*?)(?: \(\d{4}-|\.? Resolution note|$)/s.exec(text)?.[1] ?? text;
  if (/CertificateRequired/.test(reason)) return "it demands a client certificate (--tls-cert, --tls-key)";
  if (/received fatal alert: (UnknownCA|AccessDenied|DecryptError|BadCertificate)/i.test(reason)) {
    return "it does not trust our certificate; both sides need certificates of the CA in --root-ca-path";
  }
  const identity = /its certificate is [^;]*--ha-peer-identity "[^"]*"/.exec(reason)?.[0];
  if (identity) return identity;
  if (/UnknownIssuer|UNABLE_TO_VERIFY|self.signed|issuer/i.test(reason)) {
    return "its certificate is not of our CA (--root-ca-path)";
  }
  if (/expired/i.test(reason)) return `a certificate has expired (${reason.slice(0, 120)})`;
  return reason.slice(0, 300);
}
