/** When the certificates that this process shows, and the authorities that it trusts, expire: read at each scrape, so rotations need no word. */
import { X509Certificate } from "node:crypto";
import type { Rows } from "../../principal/ports/telemetry.ts";
import type { TlsMaterial } from "./files.ts";

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The part of a `TlsWatch` that is read. */
interface Watched {
  readonly current: TlsMaterial;
}

export class Expiries {
  readonly #watched = new Map<string, Watched>();

  /** Adds a certificate and its authorities by a name, e.g. `resource-proxy`. */
  add(name: string, tls: Watched | undefined): void {
    if (tls) this.#watched.set(name, tls);
  }

  /** In unix seconds, by certificate; of a bundle of authorities the first to expire. */
  get rows(): Rows {
    return [...this.#watched].flatMap(([certificate, { current: { cert, ca, notAfterMs } }]): Rows => {
      const own: Rows[number] = [{ certificate }, notAfterMs / 1_000];
      if (ca.equals(cert)) return [own];
      return [own, [{ certificate: `${certificate}-ca` }, firstToExpireMs(ca.toString()) / 1_000]];
    });
  }
}

function firstToExpireMs(bundle: string): number {
  return Math.min(
    ...(bundle.match(BLOCK) ?? []).map((block) => Date.parse(new X509Certificate(block).validTo)),
  );
}
