/**
 * Certificate files: read, checked, and read again when they change. A rotation that is broken half-way (a new
 * certificate beside the old key, a truncated file) keeps the last good files and says so.
 */
import { Buffer } from "node:buffer";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { reasonOf } from "../runtime/reason.ts";

/** Certificate, key and CA as PEM. */
export interface TlsMaterial {
  cert: Buffer;
  key: Buffer;
  ca: Buffer;
  /** When the certificate expires, in unix ms. */
  notAfterMs: number;
}

export interface TlsPaths {
  cert: string;
  key: string;
  ca: string;
}

/** Reads and checks the three files. @throws Error naming the flag, the file and the reason */
export function readTls(paths: TlsPaths, nowMs: number): TlsMaterial {
  const cert = readPem(paths.cert, "--tls-cert");
  const key = readPem(paths.key, "--tls-key");
  const ca = readPem(paths.ca, "--root-ca-path");
  const leaf = parse(cert, paths.cert, "--tls-cert");
  parse(ca, paths.ca, "--root-ca-path");
  let matches = false;
  try {
    matches = leaf.checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    throw new Error(`--tls-key "${paths.key}" is not a private key in PEM: ${(error as Error).message}`);
  }
  if (!matches) throw new Error(`--tls-key "${paths.key}" does not belong to --tls-cert "${paths.cert}"`);
  const notAfterMs = Date.parse(leaf.validTo);
  if (notAfterMs <= nowMs) {
    throw new Error(
      `--tls-cert "${paths.cert}" expired at ${new Date(notAfterMs).toISOString()}; issue a new one`,
    );
  }
  return { cert, key, ca, notAfterMs };
}

function readPem(path: string, flag: string): Buffer {
  try {
    return Buffer.from(Deno.readFileSync(path));
  } catch (error) {
    throw new Error(`${flag} "${path}" cannot be read: ${reasonOf(error)}`);
  }
}

function parse(pem: Buffer, path: string, flag: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new Error(`${flag} "${path}" is not a certificate in PEM`);
  }
}

/** Watches the files by content, every `everyMs`; calls back with good new material only. */
export class TlsFiles {
  #current: TlsMaterial;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #listeners = new Set<(material: TlsMaterial) => void>();
  #lastProblem = "";

  constructor(
    private readonly paths: TlsPaths,
    private readonly report: (level: "info" | "warn", message: string) => void,
    everyMs = 2_000,
  ) {
    this.#current = readTls(paths, Date.now());
    this.#timer = setInterval(() => this.#check(), everyMs);
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  get current(): TlsMaterial {
    return this.#current;
  }

  /** Calls `listener` after each rotation. */
  onRotation(listener: (material: TlsMaterial) => void): void {
    this.#listeners.add(listener);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    let next: TlsMaterial;
    try {
      next = readTls(this.paths, 0);
    } catch (error) {
      const problem = (error as Error).message;
      if (problem !== this.#lastProblem) {
        this.report(
          "warn",
          `certificate files changed but cannot be used, keeping the last good ones: ${problem}`,
        );
      }
      this.#lastProblem = problem;
      return;
    }
    this.#lastProblem = "";
    const same = (["cert", "key", "ca"] as const).every((part) => next[part].equals(this.#current[part]));
    if (same) return;
    this.#current = next;
    this.report("info", `certificates reloaded; valid until ${new Date(next.notAfterMs).toISOString()}`);
    for (const listener of this.#listeners) listener(next);
  }
}
