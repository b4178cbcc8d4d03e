/** Whether the certificate at the other end of a connection counts: it is not on the blocklist, and it has not expired. */

/** A certificate is looked at this often at least: clocks jump, and a timer has a longest time. */
const LOOK_MS = 60_000;

/** A certificate that came with a connection. */
export interface SeenCertificate {
  /** Upper-case hex SHA-256; empty: there was none. */
  fingerprint: string;
  notAfterMs: number;
}

/** Why a certificate does not count any more; undefined: it counts. */
export function certificateProblem(
  { fingerprint, notAfterMs }: SeenCertificate,
  blocked: (fingerprint: string) => boolean,
): string | undefined {
  if (blocked(fingerprint)) return "the certificate is on the blocklist";
  if (notAfterMs > Date.now()) return undefined;
  return `the certificate expired at ${new Date(notAfterMs).toISOString()}`;
}

/** When a certificate that counts is to be looked at again, from now. */
export function lookAgainMs({ notAfterMs }: SeenCertificate): number {
  return Math.min(LOOK_MS, Math.max(0, notAfterMs - Date.now()));
}
