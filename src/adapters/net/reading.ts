/**
 * Deno 2.9 goes on reading a TLS connection whose socket is paused, and holds what comes without a bound. The TCP handle beneath the socket
 * stops it. tests/security/terminals_test.ts holds this in place.
 */
import type { Duplex } from "node:stream";

interface Handle {
  _parent?: Handle | null;
  readStop?(): void;
  readStart?(): void;
}

/** Stops and resumes reading a TLS connection. */
export function stopReading(socket: Duplex): void {
  socket.pause();
  beneath(socket)?.readStop?.();
}

export function resumeReading(socket: Duplex): void {
  if (!socket.destroyed) beneath(socket)?.readStart?.();
  socket.resume();
}

function beneath(socket: Duplex): Handle | null | undefined {
  return (socket as { _handle?: Handle | null })._handle?._parent;
}
