/**
 * Which principal a command is for: the address given with -a; else the principal's pod, through the API server of the
 * kubeconfig's context, as the Go CLI does; where there is no kubeconfig (in the pod itself, on bare metal) this host's
 * loopback.
 */
import { kubeconfigFiles } from "../adapters/kube/kubeconfig_files.ts";
import type { Client } from "../adapters/grpc/dial.ts";
import { DEFAULT_ADDRESS, withAdmin } from "./admin_client.ts";
import type { Arguments } from "./arguments.ts";
import { reasonOf } from "../base/reason.ts";
import type { TlsMaterial } from "../adapters/tls/files.ts";
import { CommandError, EXIT } from "./output.ts";

/** The options that name a principal; give them to `parse`. */
export const TARGET_OPTIONS: Record<string, string> = {
  address: "",
  kubeconfig: "",
  "principal-context": "",
  "principal-namespace": "",
  "tls-ca": "",
  "tls-cert": "",
  "tls-key": "",
};
export const TARGET_USAGE =
  "[-a HOST:PORT [--tls-ca FILE --tls-cert FILE --tls-key FILE] | --kubeconfig FILE --principal-context CONTEXT --principal-namespace NAMESPACE]";

/** The peer serves HAAdmin in its pod on this port, and so do we by default. */
const POD_PORT = 8405;

/** Runs `use` with a client of the principal; `address` is what messages call it. */
export async function withTarget<T>(
  options: Arguments,
  use: (client: Client, address: string) => Promise<T>,
): Promise<T> {
  const given = options.string("address");
  const kubeconfig = options.string("kubeconfig");
  if (given !== "" || kubeconfigFiles(kubeconfig).length === 0) {
    return await withLoopback(given, options, use);
  }
  const { forwardToPrincipal } = await import("../adapters/kube/port_forward.ts");
  const forward = await forwardToPrincipal({
    kubeconfig,
    context: options.string("principal-context") || (Deno.env.get("ARGOCD_AGENT_PRINCIPAL_CONTEXT") ?? ""),
    namespace: options.string("principal-namespace") ||
      (Deno.env.get("ARGOCD_AGENT_PRINCIPAL_NAMESPACE") || "argocd"),
    port: POD_PORT,
  }).catch((error) => {
    throw new CommandError(reasonOf(error));
  });
  try {
    return await withAdmin(forward.address, (client) => use(client, forward.target));
  } catch (error) {
    if (forward.problem() === "") throw error;
    throw new CommandError(
      `cannot forward a port to ${forward.target}: ${forward.problem()}; is the principal started with --ha-enabled there, ` +
        "and may you create pods/portforward? Or give -a HOST:PORT",
    );
  } finally {
    forward.close();
  }
}

async function withLoopback<T>(
  given: string,
  options: Arguments,
  use: (client: Client, address: string) => Promise<T>,
): Promise<T> {
  if (given === "" && options.string("principal-context") !== "") {
    throw new CommandError(
      "--principal-context needs a kubeconfig: give --kubeconfig FILE, set KUBECONFIG, or give -a HOST:PORT",
    );
  }
  const address = given || DEFAULT_ADDRESS;
  return await withAdmin(address, (client) => use(client, address), await materialOf(given, options));
}

/** The credentials for a listener over mTLS; undefined: without TLS. @throws CommandError */
async function materialOf(given: string, options: Arguments): Promise<TlsMaterial | undefined> {
  const [ca, cert, key] = (["tls-ca", "tls-cert", "tls-key"] as const).map((name) => options.string(name));
  if (!ca && !cert && !key) return undefined;
  if (!ca || !cert || !key || given === "") {
    throw new CommandError(
      "--tls-ca, --tls-cert and --tls-key belong together, and to -a HOST:PORT",
      EXIT.usage,
    );
  }
  const { checkTls, readPem } = await import("../adapters/tls/files.ts");
  try {
    const parts = {
      ca: readPem("--tls-ca", ca),
      cert: readPem("--tls-cert", cert),
      key: readPem("--tls-key", key),
    };
    return checkTls(parts, Date.now());
  } catch (error) {
    throw new CommandError(reasonOf(error));
  }
}
