/**
 * An Application that runs on a simulated agent's cluster and goes on changing, as far as a page of Argo CD's UI shows it: its Deployment,
 * the resource tree that the cluster's Argo CD keeps in Redis, and the log of its pod.
 */
import { gzipSync } from "node:zlib";
import { CACHE_FORMAT } from "../domain/redis/keys.ts";
import type { SimAgent } from "./agent.ts";

const NAMESPACE = "shop";
const LINE = /^(\S+Z) line (\d+)$/;

/** A line of the pod's log, with its timestamp. */
export interface WorkloadLine {
  at: string;
  n: number;
}

export class Workload {
  readonly #pod: string;
  #changes = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly agent: SimAgent, private readonly name: string) {
    this.#pod = `${name}-0`;
    agent.resources.put("deployments", { metadata: { name, namespace: NAMESPACE } });
    this.change();
  }

  /** Where the resource proxy serves its Deployment and its pod's log. */
  get manifestPath(): string {
    return `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/${this.name}`;
  }

  get logPath(): string {
    return `/api/v1/namespaces/${NAMESPACE}/pods/${this.#pod}/log`;
  }

  /** The key of its resource tree, and the channel that tells of changes, as the principal's Argo CD names them. */
  get treeKey(): string {
    return this.#key("resources-tree", `${this.agent.name}_`, ".gz");
  }

  get channel(): string {
    return this.#key("managed-resources", `${this.agent.name}_`);
  }

  /** Changes every so often until `end`. */
  begin(everyMs: number): void {
    this.#timer = setInterval(() => this.change(), everyMs);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** Changes once: another tree, and one more line. */
  change(): void {
    const n = ++this.#changes;
    const { redis, logs } = this.agent;
    redis.values.set(this.#key("resources-tree", "", ".gz"), gzipSync(JSON.stringify(this.#tree(n))));
    redis.publish(this.#key("managed-resources", ""));
    logs.say(NAMESPACE, this.#pod, `line ${n}`);
  }

  #tree(n: number): unknown {
    const node = (group: string, kind: string, name: string, parent?: { kind: string; name: string }) => ({
      ...{ group, version: "v1", kind, namespace: NAMESPACE, name, uid: `${kind}-${name}` },
      resourceVersion: String(n),
      ...(parent ? { parentRefs: [{ group: "apps", ...parent, namespace: NAMESPACE }] } : {}),
      health: { status: "Healthy" },
    });
    const set = `${this.name}-5d9c7`;
    return {
      nodes: [
        node("apps", "Deployment", this.name),
        node("apps", "ReplicaSet", set, { kind: "Deployment", name: this.name }),
        node("", "Pod", this.#pod, { kind: "ReplicaSet", name: set }),
      ],
    };
  }

  #key(kind: string, instance: string, suffix = ""): string {
    return `app|${kind}|${instance}${this.name}|${CACHE_FORMAT}${suffix}`;
  }
}

/** A line of a workload's log as its reader has it; undefined: it is none, or not whole. */
export function workloadLine(text: string): WorkloadLine | undefined {
  const [, at, n] = LINE.exec(text) ?? [];
  return at === undefined ? undefined : { at, n: Number(n) };
}
