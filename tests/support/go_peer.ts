/**
 * The peer in replication, played from its contract (no code of it): a replica with its 4 MiB limit, its order of calls and its habit
 * of asking for everything again, and a primary with its raw inbound events, numbers and confirmations.
 */
import grpc from "@grpc/grpc-js";
import type { replicationapi } from "../../proto/gen.d.ts";
import { encodeEvent } from "../../src/domain/events/cloudevent.ts";
import { call, dialPeer, openStream } from "../../src/adapters/grpc/dial.ts";
import { createServer, listen, RotatingCredentials, unary } from "../../src/adapters/grpc/server.ts";
import { replicationService } from "../../src/adapters/grpc/services.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";

const RECEIVE_LIMIT = 4 * 1024 * 1024;
const TIMEOUT_MS = 20_000;

type Json = Record<string, unknown>;

/** A replica of the peer following a principal. */
export class GoReplica {
  /** Its objects by kind, namespace and name, as JSON text. */
  readonly resources = new Map<string, string>();
  /** The UIDs by which agents know them, where a snapshot said so. */
  readonly uids = new Map<string, string>();
  readonly problems: string[] = [];
  #client: grpc.Client | undefined;
  #stream: grpc.ClientDuplexStream<replicationapi.ReplicationAck, replicationapi.ReplicatedEvent> | undefined;
  last = 0;
  needsReconcile = false;

  constructor(private readonly address: string, private readonly material: TlsMaterial) {}

  /** One cycle's beginning: Subscribe, GetSnapshot on the same connection, apply, first acknowledgement. */
  async connect(): Promise<void> {
    this.#client = dialPeer(this.address, this.material, RECEIVE_LIMIT);
    this.last = 0;
    const stream = openStream(this.#client, replicationService.Subscribe);
    this.#stream = stream;
    stream.on("error", (error: Error) => this.problems.push(error.message));
    const early: replicationapi.ReplicatedEvent[] = [];
    let applied = false;
    stream.on(
      "data",
      (event: replicationapi.ReplicatedEvent) => applied ? this.#event(event) : early.push(event),
    );
    await this.reconcile();
    applied = true;
    for (const event of early) this.#event(event);
    stream.write({ acked_sequence_num: this.last });
  }

  /** Fetches and applies a snapshot, and asks about what it does not name. */
  async reconcile(): Promise<void> {
    const client = this.#client as grpc.Client;
    const request = { since_sequence_num: this.last };
    const snapshot = await call(client, replicationService.GetSnapshot, request, TIMEOUT_MS);
    const named = new Set<string>();
    const take = (resource: replicationapi.Resource) => {
      const key = `${resource.kind}/${resource.namespace}/${resource.name}`;
      named.add(key);
      this.uids.set(key, resource.uid ?? "");
      if (resource.data?.length) this.resources.set(key, new TextDecoder().decode(resource.data));
    };
    for (const resource of snapshot.principal_resources ?? []) take(resource);
    for (const { name = "", resources = [] } of snapshot.agents ?? []) {
      for (const resource of resources) take(resource);
      const missing = [...this.resources.keys()].filter((key) =>
        !named.has(key) && key.startsWith(`Application/${name}/`)
      );
      if (missing.length === 0) continue;
      const { results = [] } = await call(client, replicationService.ConfirmMissingResources, {
        agent_name: name,
        snapshot_sequence_num: snapshot.last_sequence_num ?? 0,
        resources: missing.map((key) => {
          const [kind = "", namespace = "", resource = ""] = key.split("/");
          return { kind, namespace, name: resource };
        }),
      }, TIMEOUT_MS);
      for (const { resource, status } of results) {
        if (resource && status === "deleted") {
          this.resources.delete(`${resource.kind}/${resource.namespace}/${resource.name}`);
        }
      }
    }
    this.last = Math.max(this.last, snapshot.last_sequence_num ?? 0);
    this.needsReconcile = false;
  }

  /** Its check of every 60 s; true if it would fetch a snapshot. */
  async wouldReconcile(): Promise<boolean> {
    const status = await call(this.#client as grpc.Client, replicationService.Status, {}, TIMEOUT_MS);
    return this.needsReconcile || this.last < (status.current_sequence_num ?? 0);
  }

  close(): void {
    this.#stream?.cancel();
    this.#client?.close();
  }

  #event({ event, sequence_num = 0 }: replicationapi.ReplicatedEvent): void {
    if (sequence_num > this.last + 1) this.needsReconcile = true;
    this.last = sequence_num;
    const kinds: Record<string, string> = {
      application: "Application",
      appproject: "AppProject",
      applicationset: "ApplicationSet",
      repository: "Repository",
    };
    const kind = kinds[event?.attributes?.["dataschema"]?.ce_uri ?? ""];
    const object = JSON.parse(new TextDecoder().decode(event?.binary_data ?? new Uint8Array())) as {
      metadata: { name: string; namespace: string };
    };
    const key = `${kind}/${object.metadata.namespace}/${object.metadata.name}`;
    if (event?.type?.endsWith(".delete")) this.resources.delete(key);
    else this.resources.set(key, JSON.stringify(object));
    this.#stream?.write({ acked_sequence_num: this.last });
  }
}

/** A primary of the peer: it serves whether it is active or not, and forwards what it is told to. */
export class GoPrimary {
  readonly agents = new Map<string, replicationapi.Resource[]>();
  /** Resources of no agent. */
  readonly principalResources: replicationapi.Resource[] = [];
  readonly calls = { subscribe: 0, snapshot: 0, confirm: 0, status: 0 };
  /** Its answers about candidates. */
  confirmation = "deleted";
  sequence = 0;
  readonly #server = createServer(200 * 1024 * 1024);
  readonly #streams = new Set<
    grpc.ServerDuplexStream<replicationapi.ReplicationAck, replicationapi.ReplicatedEvent>
  >();
  readonly acks: number[] = [];

  async listen(material: TlsMaterial, port = 0): Promise<number> {
    this.#server.addService(replicationService, {
      Subscribe: (
        stream: grpc.ServerDuplexStream<replicationapi.ReplicationAck, replicationapi.ReplicatedEvent>,
      ) => {
        this.calls.subscribe++;
        this.#streams.add(stream);
        stream.on(
          "data",
          (ack: replicationapi.ReplicationAck) => this.acks.push(ack.acked_sequence_num ?? 0),
        );
        stream.on("close", () => this.#streams.delete(stream));
        stream.on("cancelled", () => this.#streams.delete(stream));
      },
      GetSnapshot: unary<replicationapi.SnapshotRequest, replicationapi.ReplicationSnapshot>(() => {
        this.calls.snapshot++;
        return {
          last_sequence_num: this.sequence,
          principal_resources: this.principalResources,
          agents: [
            { name: "argocd", mode: "autonomous", connected: false, resources: [] },
            ...[...this.agents].map(([name, resources]) => ({
              name,
              mode: "managed",
              connected: true,
              resources,
            })),
          ],
        };
      }),
      Status: unary<replicationapi.StatusRequest, replicationapi.ReplicationStatus>(() => {
        this.calls.status++;
        return { current_sequence_num: this.sequence, connected_replicas: this.#streams.size };
      }),
      ConfirmMissingResources: unary<
        replicationapi.ConfirmMissingResourcesRequest,
        replicationapi.ConfirmMissingResourcesResponse
      >(({ resources = [] }) => {
        this.calls.confirm++;
        return { results: resources.map((resource) => ({ resource, status: this.confirmation })) };
      }),
    });
    return await listen(
      this.#server,
      `127.0.0.1:${port}`,
      new RotatingCredentials(material, { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" }, true),
    );
  }

  /** A resource of an agent in the next snapshot; as Go marshals it, without kind. */
  has(agent: string, name: string, rest: Json = {}): void {
    const data = new TextEncoder().encode(JSON.stringify({ metadata: { name, namespace: agent }, ...rest }));
    const resources = this.agents.get(agent) ?? [];
    resources.push({ kind: "Application", namespace: agent, name, uid: `uid-${name}`, data });
    this.agents.set(agent, resources);
  }

  /** Forwards an event to every replica. */
  forward(direction: string, agent: string, type: string, target: string, object: Json, skip = 0): void {
    this.sequence += 1 + skip;
    const payload = new TextEncoder().encode(JSON.stringify(object));
    for (const stream of this.#streams) {
      stream.write({
        event: encodeEvent({ type, target, extensions: { eventid: "e", resourceid: "r" }, payload }),
        agent_name: agent,
        direction,
        sequence_num: this.sequence,
        processed_at_unix: 1,
      });
    }
  }

  close(): void {
    this.#server.forceShutdown();
  }
}
