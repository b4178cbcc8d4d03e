/**
 * A node's kubelet as far as port forwarding needs one: the API server proxies the CLI's WebSocket to it, and it connects the
 * channels to ports of this machine (the v4.channel.k8s.io protocol: data and error channel a port, each opened by the port's
 * number, little endian).
 */
import { createServer, type Server } from "node:https";
import type { IncomingMessage } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import type { Cluster } from "../kube/cluster.ts";

const PROTOCOL = "v4.channel.k8s.io";

export class FakeKubelet {
  readonly #server: Server;

  private constructor(
    private readonly cluster: Cluster,
    tls: { cert: string; key: string },
    public ports: Record<number, number>,
  ) {
    this.#server = createServer(tls);
    const sockets = new WebSocketServer({ server: this.#server, handleProtocols: () => PROTOCOL });
    sockets.on("connection", (socket: WebSocket, request: IncomingMessage) => {
      const { pathname, searchParams } = new URL(request.url ?? "", "https://kubelet");
      if (pathname.startsWith("/portForward/")) this.#forward(socket, Number(searchParams.get("port")));
      else socket.close();
    });
  }

  /** @param ports which port of this machine stands for which port of the pod */
  static async start(cluster: Cluster, ports: Record<number, number>): Promise<FakeKubelet> {
    const { server, client } = await cluster.standIn();
    client.close();
    const kubelet = new FakeKubelet(cluster, server, ports);
    await new Promise<void>((resolve) => kubelet.#server.listen(0, "127.0.0.1", resolve));
    return kubelet;
  }

  /** Registers this as a node and a running principal's pod on it. */
  async runPod(namespace: string, name: string): Promise<void> {
    const ask = async (method: string, path: string, body: unknown) => {
      const answer = await this.cluster.request(method, path, body);
      if (answer.code >= 300 && answer.code !== 409) {
        throw new Error(`${path}: ${JSON.stringify(answer.body)}`);
      }
      return answer.body;
    };
    await ask("POST", "/api/v1/namespaces", {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: namespace },
    });
    const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } };
    await ask("POST", `/api/v1/namespaces/${namespace}/serviceaccounts`, account);
    const node = await ask("POST", "/api/v1/nodes", {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: "node" },
    });
    await ask("PUT", "/api/v1/nodes/node/status", {
      ...node,
      status: {
        addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
        daemonEndpoints: { kubeletEndpoint: { Port: (this.#server.address() as AddressInfo).port } },
      },
    });
    const pod = await ask("POST", `/api/v1/namespaces/${namespace}/pods`, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, labels: { "app.kubernetes.io/name": "argocd-agent-principal" } },
      spec: { nodeName: "node", containers: [{ name: "principal", image: "none" }] },
    });
    await ask("PUT", `/api/v1/namespaces/${namespace}/pods/${name}/status`, {
      ...pod,
      status: { phase: "Running" },
    });
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #forward(socket: WebSocket, port: number): void {
    const send = (channel: number, data: Uint8Array) => socket.send(new Uint8Array([channel, ...data]));
    const opening = new Uint8Array([port & 0xff, port >> 8]);
    send(0, opening);
    send(1, opening);
    const target = this.ports[port];
    if (target === undefined) {
      send(
        1,
        new TextEncoder().encode(`failed to connect to localhost:${port} inside the pod: connection refused`),
      );
      socket.close();
      return;
    }
    const connection = connect(target, "127.0.0.1");
    socket.on("message", (data: Uint8Array) => connection.write(data.subarray(1)));
    socket.on("close", () => connection.destroy());
    connection.on("data", (data: Uint8Array) => send(0, data));
    connection.on("close", () => socket.close());
    connection.on("error", () => {});
  }
}
