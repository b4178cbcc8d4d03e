/** No call of a peer writes into an ACTIVE; its own operator has it fetch what the peer keeps. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import grpc from "@grpc/grpc-js";
import { linkService } from "../../src/adapters/grpc/services.ts";
import { SECRET_TYPE } from "../../src/domain/resources/kinds.ts";
import { application } from "../support/agents.ts";
import { attempt, certificateFor } from "../support/doors.ts";
import { inWorkshop, LOOSE, material, until, untilState } from "../support/principals.ts";

const { Adopt, Kept, Settled } = linkService;
const LISTED = "--ha-allowed-replication-clients=primary,replica,dr";

const encoded = (object: unknown) => new TextEncoder().encode(JSON.stringify(object));
const secret = (name: string, type?: string) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace: "argocd", ...(type ? { labels: { [SECRET_TYPE]: type } } : {}) },
  data: { key: btoa("forged") },
});
/** Planted into an ACTIVE once: keys, the list of blocked certificates, another agent's Application, a repository. */
const PLANTED = [
  secret("argocd-secret"),
  secret("argocd-agent-jwt", "repository"),
  secret("repo", "repository"),
  {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "argocd-agent-tls-blocklist", namespace: "argocd" },
    data: {},
  },
  application("edge-2", "planted"),
];

Deno.test({
  name:
    "Adopt writes nothing into the ACTIVE, from an agent, a reader or the peer, and says what to run instead",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(
        workshop.settings("primary", 0, [LISTED, "--ha-peer-identity=replica"]),
      );
      await untilState(primary, "active");
      const { store } = primary.core;
      const blocked = { ...PLANTED[3], data: { AA: "stolen" } } as never;
      await store.write({ op: "put", object: blocked });
      const before = await store.list();
      const callers = [
        [material(workshop, "agent-1"), grpc.status.PERMISSION_DENIED, "not in allowed replication clients"],
        [await certificateFor(workshop, "dr"), grpc.status.PERMISSION_DENIED, 'is not the peer "replica"'],
        [
          material(workshop, "replica"),
          grpc.status.FAILED_PRECONDITION,
          "argocd-agent-ha ha reconcile --adopt KEY",
        ],
      ] as const;
      for (const [tls, code, words] of callers) {
        for (const object of PLANTED) {
          const { kind, metadata: { namespace, name } } = object;
          const request = { key: `${kind}/${namespace}/${name}`, object: encoded(object), who: "x" };
          const got = await attempt(primary.ports.grpc, tls, Adopt, request);
          assertEquals(got.code, code);
          assertStringIncludes(got.details, words);
        }
      }
      assertEquals(await store.list(), before);
      for (const method of [Kept, Settled] as grpc.MethodDefinition<object, object>[]) {
        const got = await attempt(primary.ports.grpc, material(workshop, "replica"), method, {});
        assertEquals([got.code, got.details.includes("this principal is ACTIVE")], [9, true]);
      }
    }),
});

Deno.test({
  name: "a replica tells what it keeps to its peer only, and forgets it at the peer's word only",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(
        workshop.settings("primary", 0, [LISTED, "--ha-peer-identity=replica"]),
      );
      await untilState(primary, "active");
      const replica = await workshop.start(
        workshop.settings("replica", primary.ports.grpc, [LISTED, "--ha-peer-identity=primary"]),
      );
      await untilState(replica, "replicating");
      const key = "Application/edge-1/a";
      const write = { op: "put", object: application("edge-1", "a") } as const;
      await primary.core.store.write(write);
      const copied = () => replica.core.index.present(key) !== undefined;
      await until(copied, 20_000, () => "it is not replicated");
      await primary.core.store.write({ op: "delete", key });
      const kept = () => replica.core.peerService.kept([key]);
      await until(async () => (await kept()).length > 0, 20_000, () => "it is not kept");
      const [state] = await kept();
      assertEquals([state?.key, state?.reason], [key, "deleted"]);
      const states = [{ key, digest: new Uint8Array() }];
      const reader = await certificateFor(workshop, "dr");
      for (
        const [method, request] of [[Kept, {}], [Settled, { states }]] as [
          grpc.MethodDefinition<object, object>,
          object,
        ][]
      ) {
        const got = await attempt(replica.ports.grpc, reader, method, request);
        assertEquals(got.code, grpc.status.PERMISSION_DENIED);
      }
      const peer = await attempt(replica.ports.grpc, material(workshop, "primary"), Kept, { keys: [key] });
      assertEquals(peer.answer?.states?.map((one) => one.key), [key]);
    }),
});
