/** Objects that are being deleted, on two real API servers: a request on the ACTIVE, drift on the standby. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { generatedApplication } from "../../src/cli/examples.ts";
import { until } from "../support/until.ts";
import type { ApiObject, StoredObject } from "../../src/domain/resources/object.ts";
import { DELETION_REQUESTED } from "../../src/domain/resources/transform.ts";
import { type Cluster, ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { applyAll, type KubePair, withKubePair } from "../support/kube_pair.ts";
import { runCli } from "../support/processes.ts";

const FINALIZER = "resources-finalizer.argocd.argoproj.io";
const pathOf = (name: string) => `/apis/argoproj.io/v1alpha1/namespaces/edge-1/applications/${name}`;
const keyOf = (name: string) => `Application/edge-1/${name}`;

function application(name: string): ApiObject {
  return { ...generatedApplication(0), metadata: { name, namespace: "edge-1", finalizers: [FINALIZER] } };
}

async function get(cluster: Cluster, name: string): Promise<StoredObject | undefined> {
  const { code, body } = await cluster.request("GET", pathOf(name));
  return code === 200 ? body as StoredObject : undefined;
}

function definitions(): Record<string, unknown>[] {
  const [first] = definitionSets();
  return first?.[1] ?? [];
}

/** As `kubectl delete --wait=false`. */
async function remove(cluster: Cluster, name: string): Promise<void> {
  const { code } = await cluster.request("DELETE", pathOf(name));
  assertEquals(code, 200);
  assert((await get(cluster, name))?.metadata.deletionTimestamp, "nothing waits for the finalizer");
}

const ha = async (admin: string, ...args: string[]) => await runCli(["ha", ...args, "-a", admin]);

async function inSync(pair: KubePair): Promise<void> {
  await pair.start();
  await applyAll(pair.clusters.primary, ["a", "b"].map(application));
  await pair.untilEqual(30_000);
}

Deno.test({
  ...ON_CLUSTER,
  name:
    "kubernetes pending deletions: begun on the standby it is ended and repaired at once, and does not fire after a switchover",
  fn: () =>
    withKubePair(definitions(), {}, async (pair) => {
      await inSync(pair);
      const { primary, replica } = pair.clusters;
      const before = await get(replica, "a");
      await remove(replica, "a");
      const repaired = async () => {
        const now = await get(replica, "a");
        return now !== undefined && now.metadata.uid !== before?.metadata.uid &&
          now.metadata.deletionTimestamp === undefined;
      };
      await until(repaired, 20_000, () => `not repaired at once\n${pair.replica.logEnd()}`, 50);
      await pair.untilEqual();
      assertEquals((await get(replica, "a"))?.metadata.finalizers, [FINALIZER]);
      assertMatch(pair.replica.logEnd(200), new RegExp(`another writer changed this copy.*${keyOf("a")}`));
      const moved = await ha(pair.primary.admin, "switchover", "--yes");
      assertEquals(moved.code, 0, moved.stderr);
      for (const cluster of [primary, replica]) {
        assertEquals((await get(cluster, "a"))?.metadata.deletionTimestamp, undefined);
      }
    }),
});

Deno.test({
  ...ON_CLUSTER,
  name:
    "kubernetes pending deletions: in flight when the ACTIVE dies it is a request at the next one, and the restored side does not carry it out",
  fn: () =>
    withKubePair(definitions(), {}, async (pair) => {
      await inSync(pair);
      const { primary, replica } = pair.clusters;
      await remove(primary, "a");
      const requested = async () => (await get(replica, "a"))?.metadata.annotations?.[DELETION_REQUESTED];
      await until(async () => await requested() !== undefined, 20_000, () => pair.replica.logEnd(), 50);
      assertEquals((await get(replica, "a"))?.metadata.deletionTimestamp, undefined);
      await pair.primary.kill("SIGKILL");
      await pair.replica.untilState("disconnected");
      await remove(replica, "b");
      const promoted = await ha(pair.replica.admin, "promote", "--yes");
      assertEquals(promoted.code, 0, promoted.stderr);
      for (const name of ["a", "b"]) {
        const object = await get(replica, name);
        assertEquals([name, object?.metadata.deletionTimestamp, object?.metadata.finalizers], [
          name,
          undefined,
          [FINALIZER],
        ]);
      }
      assertMatch(
        (await ha(pair.replica.admin, "deletions")).stdout,
        new RegExp(`${keyOf("a")} .*requested`),
      );

      pair.primary.start();
      await pair.primary.untilState("replicating");
      const ended = async () => {
        const now = await get(primary, "a");
        return now !== undefined && now.metadata.deletionTimestamp === undefined;
      };
      await until(ended, 40_000, () => `the restored side goes on deleting\n${pair.primary.logEnd()}`, 50);
      const restored = await ha(pair.replica.admin, "deletions", "--restore", "--yes", keyOf("a"));
      assertEquals(restored.code, 0, restored.stderr);
      await until(async () => await requested() === undefined, 20_000, () => "still requested", 50);
    }),
});
