/** Two principals as processes, each on an API server of its own. */
import { keptJson } from "../../src/base/json.ts";
import { initPki } from "../../src/cli/pki.ts";
import { type Side } from "../../src/cli/processes.ts";
import { until } from "./until.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { keyOfObject } from "../../src/domain/resources/keys.ts";
import { kindOf } from "../../src/domain/resources/kinds.ts";
import { wholeScope } from "../../src/domain/resources/scope.ts";
import { replicatedForm } from "../../src/domain/resources/transform.ts";
import { Cluster, type ClusterOptions } from "../kube/cluster.ts";
import { LinkedSides } from "./processes.ts";

export type SideName = "primary" | "replica";
export const SIDES: readonly SideName[] = ["primary", "replica"];

export interface KubePairOptions {
  /** More flags of both sides. */
  flags?: string[];
  /** Namespaces beside `argocd` that both clusters have; default: edge-1, edge-2, edge-3. */
  namespaces?: string[];
  /** The port to reach a side's API server through; default: its own. */
  apiPort?: (side: SideName, cluster: Cluster) => Promise<number | undefined>;
  /** The CRDs of the replica's cluster where they are not the primary's. */
  replicaDefinitions?: Record<string, unknown>[];
  /** Prepares a side's cluster, and says what its principal has of its own. */
  prepare?: (side: SideName, cluster: Cluster, dir: string) => Promise<Partial<Side>>;
  /** The objects of each cluster beside CRDs. */
  cluster?: ClusterOptions;
}

export class KubePair extends LinkedSides {
  private constructor(
    dir: string,
    readonly clusters: Record<SideName, Cluster>,
    own: Record<SideName, Partial<Side>>,
  ) {
    super(dir, own);
  }

  /** Starts both clusters; the principals are not started yet. */
  static async open(
    definitions: Record<string, unknown>[],
    options: KubePairOptions = {},
  ): Promise<KubePair> {
    const dir = Deno.makeTempDirSync({ prefix: "aaha-kube-pair-" });
    await initPki(`${dir}/pki`, { sans: [], agents: 1, days: 1 });
    const start = (served: Record<string, unknown>[]) => Cluster.start(served, options.cluster);
    const theirs = options.replicaDefinitions ?? definitions;
    const [primary, replica] = await Promise.all([start(definitions), start(theirs)]);
    const clusters = { primary, replica };
    const own: Record<SideName, Partial<Side>> = { primary: {}, replica: {} };
    for (const side of SIDES) {
      const cluster = clusters[side];
      for (const name of ["argocd", ...options.namespaces ?? ["edge-1", "edge-2", "edge-3"]]) {
        await cluster.namespace(name);
      }
      const port = await options.apiPort?.(side, cluster);
      const store = [
        `--kubeconfig=${await cluster.kubeconfigFile("admin", port)}`,
        `--data-dir=${dir}/${side}`,
        "--insecure-jwt-generate",
        // A principal that is killed and started again waits for the Lease of the one before.
        "--ha-lease-duration=5s",
        ...options.flags ?? [],
      ];
      own[side] = { store, ...await options.prepare?.(side, cluster, dir) };
    }
    return new KubePair(dir, clusters, own);
  }

  override async close(): Promise<void> {
    await super.close();
    await Promise.all(SIDES.map((side) => this.clusters[side].stop()));
  }

  /** Everything replicated on a side, by key, in the form on which both sides must agree. */
  async content(side: SideName): Promise<Map<string, string>> {
    const store = await this.clusters[side].whole();
    const scope = wholeScope("argocd");
    const found = new Map<string, string>();
    for (const object of await store.list()) {
      const kind = kindOf(object, scope);
      if (kind) found.set(keyOfObject(object), keptJson(replicatedForm(object, kind)));
    }
    return found;
  }

  /** Waits until both clusters hold the same, and `expected` of it where given. */
  async untilEqual(timeoutMs = 30_000, expected?: number): Promise<Map<string, string>> {
    let last: [Map<string, string>, Map<string, string>] = [new Map(), new Map()];
    await until(
      async () => {
        const contents = await Promise.all(SIDES.map((side) => this.content(side).catch(() => new Map())));
        last = contents as typeof last;
        const [a, b] = last;
        return a.size > 0 && a.size === b.size && (expected === undefined || a.size === expected) &&
          [...a].every(([key, text]) => b.get(key) === text);
      },
      timeoutMs,
      () =>
        `the clusters differ: ${
          difference(...last)
        }\n${this.primary.logEnd()}\n---\n${this.replica.logEnd()}`,
      100,
    );
    return last[0];
  }
}

function difference(a: Map<string, string>, b: Map<string, string>): string {
  const keys = [...new Set([...a.keys(), ...b.keys()])].filter((key) => a.get(key) !== b.get(key));
  const shown = keys.slice(0, 3).map((key) =>
    `${key}:\n  ${a.get(key) ?? "absent"}\n  ${b.get(key) ?? "absent"}`
  );
  return `${a.size} and ${b.size} resources, ${keys.length} differ\n${shown.join("\n")}`;
}

/** Writes objects to a cluster as their owner would, a few at a time. @throws Error when one is refused */
export async function applyAll(cluster: Cluster, objects: ApiObject[]): Promise<void> {
  const store = await cluster.whole();
  await Promise.all(objects.map((object) => store.write({ op: "put", object })));
}

/** Deletes objects from a cluster as their owner would, and takes their finalizers off. */
export async function removeAll(cluster: Cluster, objects: ApiObject[]): Promise<void> {
  const store = await cluster.whole();
  await Promise.all(objects.map((object) => store.write({ op: "delete", key: keyOfObject(object) })));
}

export async function withKubePair(
  definitions: Record<string, unknown>[],
  options: KubePairOptions,
  run: (pair: KubePair) => Promise<void>,
): Promise<void> {
  const pair = await KubePair.open(definitions, options);
  try {
    await run(pair);
  } finally {
    await pair.close();
  }
}
