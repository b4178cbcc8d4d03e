/**
 * Which principal a command is for: the address given with -a; a side named in the file of sides; else the principal's pod, through the API
 * server of the kubeconfig's context, as the Go CLI does; where there is no kubeconfig (in the pod itself, on bare metal) this host's
 * loopback.
 */
import { Option } from "commander";
import { kubeconfigFiles } from "../adapters/kube/kubeconfig_files.ts";
import type { Client } from "../adapters/grpc/dial.ts";
import type { TlsMaterial } from "../adapters/tls/files.ts";
import { reasonOf } from "../base/reason.ts";
import { DEFAULT_ADDRESS, withAdmin } from "./admin_client.ts";
import { CommandError, EXIT } from "./output.ts";
import { type Side, sideNamed } from "./sides.ts";
import type { Arguments } from "./verb.ts";

const GROUP = "Which principal (default: its pod in the current context; without a kubeconfig " +
  `${DEFAULT_ADDRESS}):`;

/** Where a principal is, by the names of the options. */
export interface Target {
  address: string;
  kubeconfig: string;
  context: string;
  namespace: string;
  tls: { ca: string; cert: string; key: string };
}

/** The options that name a principal. */
export function targetOptions(): Option[] {
  const option = (flags: string, help: string) => new Option(flags, help).helpGroup(GROUP);
  return [
    option("-a, --address <HOST:PORT>", "its admin listener"),
    option(
      "--side <NAME>",
      "a side of the file of sides, ~/.config/argocd-agent-ha/sides.yaml [ARGOCD_AGENT_HA_SIDES]",
    ).conflicts(["address", "principalContext"]),
    option("--kubeconfig <FILE>", "default: $KUBECONFIG, then ~/.kube/config"),
    option("--principal-context <CONTEXT>", "a context of the kubeconfig [ARGOCD_AGENT_PRINCIPAL_CONTEXT]"),
    option("--principal-namespace <NAMESPACE>", "default: argocd [ARGOCD_AGENT_PRINCIPAL_NAMESPACE]"),
    option("--tls-ca <FILE>", "for a listener of --ha-admin-listen: the CA of its certificate"),
    option("--tls-cert <FILE>", "our certificate"),
    option("--tls-key <FILE>", "its key"),
  ];
}

/** The principal that a line names. @throws CommandError where its side or its files are not there */
export async function targetOf(args: Arguments): Promise<Target> {
  const named = args.string("side");
  if (named !== "") return targetOfSide(await sideNamed(named));
  const [ca, cert, key] = ["tls-ca", "tls-cert", "tls-key"].map((name) => args.string(name));
  return {
    address: args.string("address"),
    kubeconfig: args.string("kubeconfig"),
    context: args.string("principal-context") || (Deno.env.get("ARGOCD_AGENT_PRINCIPAL_CONTEXT") ?? ""),
    namespace: args.string("principal-namespace") ||
      (Deno.env.get("ARGOCD_AGENT_PRINCIPAL_NAMESPACE") || "argocd"),
    tls: { ca: ca ?? "", cert: cert ?? "", key: key ?? "" },
  };
}

/** The options of a line that name its principal, as they were typed. */
export function targetWords(args: Arguments): string[] {
  return targetOptions().flatMap((option) => {
    const value = args.string(option.name());
    return value === "" ? [] : [option.short ?? `--${option.name()}`, value];
  });
}

/** A side of the file of sides. */
export function targetOfSide(side: Side): Target {
  return {
    address: side.address ?? "",
    kubeconfig: side.kubeconfig ?? "",
    context: side["principal-context"] ?? "",
    namespace: side["principal-namespace"] ?? "argocd",
    tls: { ca: side["tls-ca"] ?? "", cert: side["tls-cert"] ?? "", key: side["tls-key"] ?? "" },
  };
}

/** The reason why options of a target do not go together; empty: they do. */
export function targetProblem(args: Arguments): string {
  const given = ["tls-ca", "tls-cert", "tls-key"].filter((name) => args.string(name) !== "").length;
  if (given > 0 && (given < 3 || args.string("address") === "")) {
    return "--tls-ca, --tls-cert and --tls-key belong together, and to -a HOST:PORT";
  }
  return "";
}

/** The peer serves HAAdmin in its pod on this port, and so do we by default. */
const POD_PORT = 8405;

/** Runs `use` with a client of the principal that a line names; `address` is what messages call it. */
export async function withTarget<T>(
  args: Arguments,
  use: (client: Client, address: string) => Promise<T>,
): Promise<T> {
  return await reach(await targetOf(args), use);
}

/** Runs `use` with a client of a principal. */
export async function reach<T>(
  target: Target,
  use: (client: Client, address: string) => Promise<T>,
): Promise<T> {
  const { address, kubeconfig, context, namespace } = target;
  if (address !== "" || kubeconfigFiles(kubeconfig).length === 0) return await withLoopback(target, use);
  const { forwardToPrincipal } = await import("../adapters/kube/port_forward.ts");
  const forward = await forwardToPrincipal({ kubeconfig, context, namespace, port: POD_PORT }).catch(
    (error) => {
      throw new CommandError(reasonOf(error));
    },
  );
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
  target: Target,
  use: (client: Client, address: string) => Promise<T>,
): Promise<T> {
  if (target.address === "" && target.context !== "") {
    throw new CommandError(
      "--principal-context needs a kubeconfig: give --kubeconfig FILE, set KUBECONFIG, or give -a HOST:PORT",
    );
  }
  const address = target.address || DEFAULT_ADDRESS;
  return await withAdmin(address, (client) => use(client, address), await materialOf(target));
}

/** The credentials for a listener over mTLS; undefined: without TLS. @throws CommandError */
async function materialOf({ tls }: Target): Promise<TlsMaterial | undefined> {
  if (!tls.ca) return undefined;
  const { checkTls, readPem } = await import("../adapters/tls/files.ts");
  try {
    const parts = {
      ca: readPem("--tls-ca", tls.ca),
      cert: readPem("--tls-cert", tls.cert),
      key: readPem("--tls-key", tls.key),
    };
    return checkTls(parts, Date.now());
  } catch (error) {
    throw new CommandError(reasonOf(error), EXIT.usage);
  }
}
