/** Calls to a principal's admin listener, with errors that say what to check. */
import {
  call,
  type Client,
  dialAdmin,
  dialPeer,
  type Method,
  operatorMetadata,
  printableAnswers,
} from "../adapters/grpc/dial.ts";
import { Code, codeOf } from "../adapters/grpc/status.ts";
import type { TlsMaterial } from "../adapters/tls/files.ts";
import { CommandError } from "./output.ts";

/** Where the admin listener is when nothing else is said. */
export const DEFAULT_ADDRESS = "127.0.0.1:8405";

const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

/** Runs `use` with a client, over mTLS where `material` is given, and closes it; what it hears may go to a terminal. */
export async function withAdmin<T>(
  address: string,
  use: (client: Client) => Promise<T>,
  material?: TlsMaterial,
): Promise<T> {
  const client = material
    ? dialPeer(address, material, MAX_MESSAGE_BYTES, undefined, [printableAnswers])
    : dialAdmin(address, [printableAnswers]);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** The principal does not know a call: it is of another release, or the Go principal. */
export class UnknownCall extends CommandError {}

/** One call; `action` is the Go CLI's prefix of the error (`failed to get HA status`, `promote failed`). */
export async function adminCall<Q, S>(
  client: Client,
  method: Method<Q, S>,
  request: Q,
  options: { address: string; timeoutMs: number; action: string; force?: boolean },
): Promise<S> {
  try {
    const metadata = operatorMetadata(operatorName(), options.force);
    return await call(client, method, request, options.timeoutMs, metadata);
  } catch (error) {
    throw adminError(error, options);
  }
}

/** The operator's name, as the system gives it. */
export function operatorName(): string {
  const user = Deno.env.get("SUDO_USER") ?? Deno.env.get("USER") ?? Deno.env.get("LOGNAME") ?? "";
  return `${user || "somebody"}@${Deno.hostname()}`;
}

/** The error of a call in the CLI's words. */
export function adminError(
  error: unknown,
  { address, action }: { address: string; action: string },
): CommandError {
  const code = codeOf(error);
  const details = (error as { details?: string }).details ?? String(error);
  if (code === Code.UNAVAILABLE && !/ECONNREFUSED|ENOTFOUND|timed out/.test(details)) {
    return new CommandError(
      `${action}: ${address} hangs up: ${details}. A listener of --ha-admin-listen wants --tls-ca, --tls-cert and --tls-key, of a CA ` +
        "that it trusts; the one on loopback wants none of them",
    );
  }
  if (code === Code.UNAVAILABLE) {
    return new CommandError(
      `${action}: nothing answers at ${address}. Is the principal running with --ha-enabled on this host (the admin ` +
        "listener is loopback only), and is its --ha-admin-port the one you gave with -a?",
    );
  }
  if (code === Code.DEADLINE_EXCEEDED) {
    return new CommandError(
      `${action}: ${address} did not answer in time; try a longer -t, and look at the principal's log`,
    );
  }
  if (code === Code.UNIMPLEMENTED) {
    return new UnknownCall(
      `${action}: ${address} does not know this call; is it another release, or the Go principal?`,
    );
  }
  return new CommandError(`${action}: ${details}`);
}
