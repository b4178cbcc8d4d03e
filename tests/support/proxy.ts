/** Principals whose resource proxy listens, with an agent behind it. */
import { type Asking, askProxy } from "../../src/simagents/proxy_client.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import type { Running } from "../../src/serve.ts";
import { certificateFor, serving, startAgent, untilServed } from "./agents.ts";
import type { Workshop } from "./principals.ts";

/** An object that the agent of `served` has. */
export const WEB = "/apis/apps/v1/namespaces/shop/deployments/web";

/** The flags of a resource proxy with the certificates of a workshop, on a free port. */
export function proxyFlags({ dir }: Workshop, name = "primary"): string[] {
  return [
    "--resource-proxy-port=0",
    `--resource-proxy-cert-path=${dir}/pki/${name}.crt`,
    `--resource-proxy-key-path=${dir}/pki/${name}.key`,
    `--resource-proxy-ca-path=${dir}/pki/ca.crt`,
  ];
}

export interface Served {
  running: Running;
  agent: SimAgent;
  /** Asks as the caller whose certificate has the agent's name. */
  ask(path: string, asking?: Asking): ReturnType<typeof askProxy>;
}

/** A principal with its proxy, and an agent with a deployment. */
export async function served(workshop: Workshop, flags: string[] = []): Promise<Served> {
  const running = await serving(workshop, [...proxyFlags(workshop), ...flags]);
  const agent = await startAgent(workshop, running, { name: "edge-1" });
  await untilServed(running, agent);
  agent.resources.put("deployments", { metadata: { name: "web", namespace: "shop" }, spec: { replicas: 1 } });
  const tls = await certificateFor(`${workshop.dir}/pki`, "edge-1");
  return { running, agent, ask: (path, asking) => askProxy(running.ports.resourceProxy, tls, path, asking) };
}
