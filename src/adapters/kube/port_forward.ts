/**
 * A port of the principal's pod, forwarded through the API server to a free port on this machine: the way to an admin listener
 * that is bound to loopback, and to nothing else, in another region.
 */
import { createServer, type Server, type Socket } from "node:net";
import type { ApiObject } from "../../domain/resources/object.ts";
import { isRecord } from "../../domain/resources/object.ts";
import { reasonOf } from "../../base/reason.ts";
import { Access } from "./access.ts";
import { ApiFailure } from "./api_failure.ts";
import { loadWebSocketHandler } from "./client_node_internals.ts";
import { DynamicClient } from "./dynamic_client.ts";
import type { AccessOptions } from "./kubeconfig.ts";
import { Transport } from "./transport.ts";

/** The label that the Go project gives a principal's pod. */
export const PRINCIPAL_LABEL = "app.kubernetes.io/name=argocd-agent-principal";

const DATA = 0;
const ERROR = 1;

/** A forwarded port. */
export interface Forward {
  /** `127.0.0.1:PORT` on this machine. */
  address: string;
  /** The other end, e.g. `pod argocd/argocd-agent-principal-0 of context "eu"`. */
  target: string;
  /** Why connections failed, in the API server's or the kubelet's words; empty: none did. */
  problem(): string;
  close(): void;
}

/** Finds the principal's pod and forwards a port to it. @throws Error with one clear line */
export async function forwardToPrincipal(
  options: AccessOptions & { namespace: string; port: number },
): Promise<Forward> {
  const access = Access.load(options);
  const context = `context "${access.context}"`;
  const pod = await principalPod(access, options.namespace, context);
  const path = `/api/v1/namespaces/${options.namespace}/pods/${pod}/portforward?ports=${options.port}`;
  let problem = "";
  const server = createServer((socket: Socket) => {
    socket.on("error", () => {});
    connect(access, path, socket, (text) => problem = text).catch((error) => {
      problem = reasonOf(error);
      socket.destroy();
    });
  });
  const address = await listening(server);
  return {
    address,
    target: `pod ${options.namespace}/${pod} of ${context}`,
    problem: () => problem,
    close: () => server.close(),
  };
}

/**
 * One connection as one WebSocket: channel 0 carries its data, channel 1 an error's text; the first message of each is the port's
 * number (Kubernetes' v4.channel.k8s.io port forwarding).
 */
async function connect(
  access: Access,
  path: string,
  socket: Socket,
  failed: (text: string) => void,
): Promise<void> {
  const opened = new Set<number>();
  const WebSocketHandler = await loadWebSocketHandler();
  const handler = new WebSocketHandler(clusterOf(access) as never);
  const channel = await handler.connect(path, null, (stream, data) => {
    if (!opened.has(stream)) opened.add(stream);
    else if (stream === DATA) socket.write(data);
    else if (stream === ERROR) failed(data.toString("utf8").trim());
    return true;
  }) as unknown as Pick<WebSocket, "close" | "addEventListener">;
  WebSocketHandler.handleStandardInput(channel as never, socket, DATA);
  socket.on("close", () => channel.close());
  channel.addEventListener("close", () => socket.destroy());
}

/** The part of a kubeconfig that client-node's WebSocketHandler reads. */
function clusterOf(access: Access) {
  return {
    getCurrentCluster: () => ({ server: access.server }),
    applyToHTTPSOptions: async (options: Record<string, unknown>) => {
      const { ca, cert, key, headers } = await access.credentials();
      Object.assign(options, { headers, ...(ca ? { ca } : {}), ...(cert ? { cert, key } : {}) });
    },
  };
}

async function principalPod(access: Access, namespace: string, context: string): Promise<string> {
  const transport = new Transport(access, 10_000);
  const client = new DynamicClient(transport);
  try {
    const pods = await client.discovery.resource("v1", "Pod");
    const { items } = await client.list(pods, { namespace, labelSelector: PRINCIPAL_LABEL }, 100, "");
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
