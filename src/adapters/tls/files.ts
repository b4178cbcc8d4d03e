/**
 * Reads and checks certificates, and rereads them in case they changed. The source is PEM in files, or in the Secrets that
 * the Go tools make (`secrets.ts`). A half-finished rotation (a new certificate beside the old key, a truncated file)
 * keeps the last good ones and logs the fault.
 */
import { Buffer } from "node:buffer";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { reasonOf } from "../../base/reason.ts";
import { Reread } from "./reread.ts";

/** Certificate, key and CA as PEM. */
export interface TlsMaterial {
  cert: Buffer;
  key: Buffer;
  ca: Buffer;
  /** When the certificate expires, in unix ms. */
  notAfterMs: number;
}

/** A PEM text and its name for an operator, e.g. `--tls-cert "/etc/tls/tls.crt"`. */
export interface Pem {
  text: Buffer;
  from: string;
}

/** The three parts of a TLS identity. */
export type TlsParts = Record<"cert" | "key" | "ca", Pem>;

/** Reads the present three parts. */
export type TlsSource = () => Promise<TlsParts>;

/** Checks that the parts belong together and are valid. @throws Error naming the part and the reason */
export function checkTls({ cert, key, ca }: TlsParts, nowMs: number): TlsMaterial {
  const leaf = parse(cert);
  parse(ca);
  let matches = false;
  try {
    matches = leaf.checkPrivateKey(createPrivateKey(key.text));
  } catch (error) {
    throw new Error(`${key.from} is not a private key in PEM: ${reasonOf(error)}`);
  }
  if (!matches) throw new Error(`${key.from} does not belong to ${cert.from}`);
  const notAfterMs = Date.parse(leaf.validTo);
  if (notAfterMs <= nowMs) {
    throw new Error(`${cert.from} expired at ${new Date(notAfterMs).toISOString()}; issue a new one`);
  }
  return { cert: cert.text, key: key.text, ca: ca.text, notAfterMs };
}

/** Reads the file of a flag. @throws Error naming both */
export function readPem(flag: string, path: string): Pem {
  const from = `${flag} "${path}"`;
  try {
    return { text: Buffer.from(Deno.readFileSync(path)), from };
  } catch (error) {
    throw new Error(`${from} cannot be read: ${reasonOf(error)}`);
  }
}

function parse({ text, from }: Pem): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch {
    throw new Error(`${from} is not a certificate in PEM`);
  }
}

/** Rereads a source every `everyMs`; calls back with good new material only. */
export class TlsWatch {
  private constructor(
    private readonly source: Reread<TlsMaterial>,
    report: (level: "info" | "warn", message: string) => void,
  ) {
    source.onChange(({ notAfterMs }) =>
      report("info", `certificates reloaded; valid until ${new Date(notAfterMs).toISOString()}`)
    );
  }

  /** Reads the source once. @throws Error if its parts cannot be used */
  static async open(
    source: TlsSource,
    report: (level: "info" | "warn", message: string) => void,
    everyMs = 2_000,
  ): Promise<TlsWatch> {
    let validAtMs = Date.now();
    const read = async () => checkTls(await source(), validAtMs);
    const kept = "certificates changed but cannot be used, keeping the last good ones";
    const same = (a: TlsMaterial, b: TlsMaterial) =>
      (["cert", "key", "ca"] as const).every((part) => a[part].equals(b[part]));
    const reread = await Reread.open(read, {
      everyMs,
      same,
      unusable: (problem) => report("warn", `${kept}: ${problem}`),
    });
    // An expired certificate is better than none: only a start refuses it.
    validAtMs = 0;
    return new TlsWatch(reread, report);
  }

  get current(): TlsMaterial {
    return this.source.current;
  }

  /** Calls `listener` after each rotation. */
  onRotation(listener: (material: TlsMaterial) => void): void {
    this.source.onChange(listener);
  }

  close(): void {
    this.source.close();
  }
}
