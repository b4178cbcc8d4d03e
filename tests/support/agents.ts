/** Simulated agents with certificates of a workshop's CA. */
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Running } from "../../src/serve.ts";
import { SimAgent, type SimOptions } from "../../src/simagents/agent.ts";
import { issuer } from "../../src/simagents/certificates.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import { until } from "./until.ts";
import { untilState, type Workshop } from "./principals.ts";

/** A principal without a peer, ACTIVE, whose tokens are signed with a key of its own. */
export async function serving(workshop: Workshop, flags: string[] = []): Promise<Running> {
  const running = await workshop.start(
    workshop.settings("primary", 0, ["--insecure-jwt-generate", ...flags]),
  );
  await untilState(running, "active");
  return running;
}

/** A certificate of this name by the CA of a folder of `pki init`. */
export async function certificateFor(pki: string, commonName: string): Promise<TlsMaterial> {
  return await (await issuer(pki))(commonName);
}

/** Starts an agent; it is stopped at the workshop's end. */
export async function startAgent(
  workshop: { dir: string; onClose(cleanup: () => Promise<void>): void },
  to: Running | (() => string),
  { prepare, ...options }: Partial<SimOptions> & { name: string; prepare?: (agent: SimAgent) => void },
): Promise<SimAgent> {
  const agent = new SimAgent({
    mode: "managed",
    address: typeof to === "function" ? to : () => `127.0.0.1:${to.ports.grpc}`,
    material: await certificateFor(`${workshop.dir}/pki`, options.name),
    ...options,
  });
  workshop.onClose(() => agent.stop());
  prepare?.(agent);
  agent.start();
  return agent;
}

/** Waits until a principal serves an agent's stream: the agent itself knows only that it has asked for one. */
export function untilServed(running: Running, agent: SimAgent): Promise<void> {
  return until(
    () => agent.connected && running.core.fleet.agent(agent.name)?.stream !== undefined,
    10_000,
    () => `agent ${agent.name} is not served: ${agent.seen.ends.slice(-3)}`,
    5,
  );
}

/** Waits until an agent holds exactly these names of a kind. */
export function untilHolds(
  agent: SimAgent,
  kind: string,
  names: string[],
  timeoutMs = 10_000,
): Promise<void> {
  const has = () => agent.cluster.list(kind).map(({ metadata }) => metadata.name).sort().join();
  return until(
    () => has() === [...names].sort().join(),
    timeoutMs,
    () => `agent ${agent.name} has ${kind} "${has()}", not "${names}"; ${JSON.stringify(agent.seen)}`,
    5,
  );
}

/** An Application of an agent. */
export function application(agent: string, name: string, rest: Record<string, unknown> = {}): ApiObject {
  return {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "Application",
    metadata: { name, namespace: agent },
    spec: {
      project: "default",
      source: { repoURL: "https://git.example.com/a.git", path: name, targetRevision: "main" },
      destination: { name: agent, namespace: "default" },
    },
    ...rest,
  };
}

/** An Application's text whose Helm values are arrays in arrays. */
export function nested(name: string, depth: number, namespace = "auto-1"): string {
  const object = application(namespace, name, {
    spec: {
      project: "default",
      source: {
        repoURL: "https://git.example.com/a.git",
        path: "a",
        helm: { valuesObject: { deep: "HERE" } },
      },
      destination: { name: namespace, namespace: "default" },
    },
  });
  return JSON.stringify(object).replace('"HERE"', "[".repeat(depth) + "]".repeat(depth));
}

/** A project that every agent of a pattern may use. */
export function project(name: string, agents: string): ApiObject {
  return {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "AppProject",
    metadata: { name, namespace: "argocd" },
    spec: {
      sourceRepos: ["*"],
      destinations: [{ name: agents, namespace: "*", server: "*" }],
      sourceNamespaces: [agents],
      roles: [{ name: "admin", policies: [`p, proj:${name}:admin, applications, *, ${name}/*, allow`] }],
    },
  };
}

/** A Secret or ConfigMap of the principal's namespace. */
export function repository(name: string, ofProject: string): ApiObject {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "argocd", labels: { "argocd.argoproj.io/secret-type": "repository" } },
    data: { project: btoa(ofProject), url: btoa(`https://git.example.com/${name}.git`) },
  };
}
