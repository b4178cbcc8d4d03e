/**
 * A port of the principal's pod, forwarded through the API server to a free port on this machine: the way to an admin listener
 * that is bound to loopback, and to nothing else, in another region.
 */
import { createServer, type Server, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import type { ApiObject } from "../resources/object.ts";
import { isRecord } from "../resources/object.ts";
import { Access, type AccessOptions } from "./kubernetes_access.ts";
import { ApiFailure, KubeApi } from "./kubernetes_api.ts";
import { Transport } from "./kubernetes_transport.ts";

/** The peer's label of a principal's pod. */
export const PRINCIPAL_LABEL = "app.kubernetes.io/name=argocd-agent-principal";

/** A forwarded port. */
export interface Forward {
  /** `127.0.0.1:PORT` on this machine. */
  address: string;
  /** What is at the other end, e.g. `pod argocd/argocd-agent-principal-0 of context "eu"`. */
  target: string;
  /** Why connections failed, in the API server's or the kubelet's words; empty: none did. */
  problem(): string;
  close(): void;
}

/** Finds the principal's pod and forwards a port to it. @throws StoreError or Error with one clear line */
export async function forwardToPrincipal(
  options: AccessOptions & { namespace: string; port: number },
): Promise<Forward> {
  const access = Access.load(options);
  const context = `context "${access.context}"`;
  const pod = await principalPod(access, options.namespace, context);
  const { PortForward } = await import("@kubernetes/client-node");
  const forward = new PortForward(await access.kubeConfig());
  let problem = "";
  const server = createServer((socket: Socket) => {
    const errors = new PassThrough();
    errors.on("data", (chunk: Uint8Array) => problem = new TextDecoder().decode(chunk).trim());
    socket.on("error", () => {});
    forward.portForward(options.namespace, pod, [options.port], socket, errors, socket).then(
      (connection) => {
        // Without retries it is the WebSocket itself.
        const channel = connection as unknown as Pick<WebSocket, "close" | "addEventListener">;
        socket.on("close", () => channel.close());
        channel.addEventListener("close", () => socket.destroy());
      },
      (error) => {
        problem = (error as { message?: string }).message ?? String(error);
        socket.destroy();
      },
    );
  });
  const address = await listening(server);
  return {
    address,
    target: `pod ${options.namespace}/${pod} of ${context}`,
    problem: () => problem,
    close: () => server.close(),
  };
}

async function principalPod(access: Access, namespace: string, context: string): Promise<string> {
  const transport = new Transport(access, 10_000);
  const api = new KubeApi(transport);
  try {
    const pods = await api.resource("v1", "Pod");
    const { items } = await api.list(pods, { namespace, labelSelector: PRINCIPAL_LABEL }, 100, "");
    const pod = items.find(isRunning) ?? items[0];
    if (pod) return pod.metadata.name;
    throw new Error(
      `no principal pod found with label ${PRINCIPAL_LABEL} in namespace ${namespace} of ${context}; ` +
        "choose another with --principal-context and --principal-namespace, or give -a HOST:PORT",
    );
  } catch (error) {
    if (!(error instanceof ApiFailure)) throw error;
    const advice = error.status === 403
      ? "ask for the rights to list pods and create pods/portforward there"
      : "check the context and the way to its API server";
    throw new Error(
      `cannot look for the principal's pod in ${context}: ${error.message}; ${advice}, or give -a HOST:PORT`,
    );
  } finally {
    transport.close();
  }
}

function isRunning(pod: ApiObject): boolean {
  return isRecord(pod["status"]) && pod["status"]["phase"] === "Running" && !pod.metadata.deletionTimestamp;
}

function listening(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(`127.0.0.1:${(server.address() as { port: number }).port}`));
  });
}
