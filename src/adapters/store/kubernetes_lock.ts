/**
 * The lock on a cluster: Lease `argocd-agent-ha-lock` in the principal's namespace. Its requests have a connection and a time limit of
 * their own, so that neither a burst of writes nor a silent connection keeps it from being renewed.
 */
import type { Holder } from "../../domain/ha/state.ts";
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import { isRecord } from "../../domain/resources/object.ts";
import type { StoreLock } from "../../principal/ports/store_lock.ts";
import type { ApiRequestCounting } from "../../principal/ports/telemetry.ts";
import { Access } from "../kube/access.ts";
import { ApiFailure } from "../kube/api_failure.ts";
import { DynamicClient } from "../kube/dynamic_client.ts";
import type { AccessOptions } from "../kube/kubeconfig.ts";
import { Transport } from "../kube/transport.ts";
import { storeError } from "./kubernetes_errors.ts";
import { LEASE_NAME, LEASES as RESOURCE } from "./kubernetes_kinds.ts";
import { onlyAt } from "./kubernetes_patch.ts";
import {
  type Candidate,
  LeaseConflict,
  LeaseLock,
  type LeaseRecord,
  type Leases,
  type SeenLease,
} from "./lease.ts";

/** Of a lease's duration: two requests fit into the time for a renewal. */
const REQUEST_WITHIN = 1 / 3;

export interface LockOptions extends AccessOptions {
  /** The principal's namespace. */
  namespace: string;
  leaseMs: number;
  /** Two processes with one pod, host and pid cannot live at a time; empty: this process is nobody's successor. */
  podUid: string;
  /** Counts the requests; default: they are not counted. */
  requests?: ApiRequestCounting;
}

/** The lock on the cluster that these options name. @throws StoreError */
export function kubernetesLock(options: LockOptions): StoreLock {
  const { namespace, leaseMs, podUid } = options;
  try {
    const transport = new Transport(Access.load(options), leaseMs * REQUEST_WITHIN, options.requests);
    return new LeaseLock(new KubernetesLeases(transport, namespace), candidate(podUid), leaseMs);
  } catch (error) {
    throw storeError(error);
  }
}

/** Names of pods and hosts have no underscore. */
function candidate(podUid: string): Candidate {
  const [name, pid] = [Deno.hostname(), Deno.pid];
  return { name, pid, identity: `${name}_${pid}_${podUid || crypto.randomUUID()}` };
}

class KubernetesLeases implements Leases {
  readonly #client: DynamicClient;

  constructor(private readonly transport: Transport, private readonly namespace: string) {
    this.#client = new DynamicClient(transport);
  }

  async read(): Promise<SeenLease | undefined> {
    const lease = await this.#client.get(RESOURCE, this.namespace, LEASE_NAME);
    return lease && seen(lease);
  }

  async write(record: LeaseRecord, over: SeenLease | undefined): Promise<SeenLease> {
    const spec = specOf(record);
    try {
      if (!over) return seen(await this.#client.create(RESOURCE, leaseOf(this.namespace, spec)));
      const at = onlyAt({ metadata: { resourceVersion: over.version } } as StoredObject);
      const patch = [...at, { op: "add", path: "/spec", value: spec } as const];
      return seen(await this.#client.patch(RESOURCE, this.namespace, LEASE_NAME, patch));
    } catch (error) {
      const status = error instanceof ApiFailure ? error.status : 0;
      throw status === 409 || status === 404 && over ? new LeaseConflict() : error;
    }
  }

  close(): void {
    this.transport.close();
  }
}

function leaseOf(namespace: string, spec: unknown): ApiObject {
  const { apiVersion, kind } = RESOURCE;
  return { apiVersion, kind, metadata: { name: LEASE_NAME, namespace }, spec };
}

function specOf({ identity, holder, durationMs, transitions }: LeaseRecord): Record<string, unknown> {
  return {
    holderIdentity: identity,
    leaseDurationSeconds: Math.ceil(durationMs / 1_000),
    acquireTime: microTime(holder.sinceMs),
    renewTime: microTime(Date.now()),
    leaseTransitions: transitions,
  };
}

function seen({ metadata, spec }: StoredObject): SeenLease {
  const { holderIdentity, leaseDurationSeconds, acquireTime, leaseTransitions } = isRecord(spec) ? spec : {};
  const identity = String(holderIdentity ?? "");
  return {
    identity,
    holder: holderOf(identity, Date.parse(String(acquireTime)) || 0),
    durationMs: Number(leaseDurationSeconds ?? 0) * 1_000,
    transitions: Number(leaseTransitions ?? 0),
    version: metadata.resourceVersion,
  };
}

function holderOf(identity: string, sinceMs: number): Holder {
  const [name = "", pid] = identity.split("_");
  return { name, pid: Number(pid) || 0, sinceMs };
}

function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}
