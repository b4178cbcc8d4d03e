/** Flags that widen or narrow what replicates, on real API servers: what comes into scope, or leaves it, is neither deleted nor overwritten unseen. */
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { Cluster, ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { applyAll, removeAll } from "../support/kube_pair.ts";
import { inWorkshop } from "../support/principals.ts";
import { DIMENSIONS, narrowedAtActive, RestartedPair, type Side, widened } from "../support/scope.ts";

const [[set, definitions]] = definitionSets() as [[string, Record<string, unknown>[]]];

Deno.test({
  name: `--label-selector is widened at the replica, then at the primary, on API servers (${set})`,
  ...ON_CLUSTER,
  fn: () =>
    inWorkshop(async (workshop) => {
      const clusters = {
        primary: await Cluster.start(definitions),
        replica: await Cluster.start(definitions),
      };
      workshop.onClose(async () => {
        await Promise.all(Object.values(clusters).map((cluster) => cluster.stop()));
      });
      const files = { primary: "", replica: "" };
      for (const side of ["primary", "replica"] as const) {
        for (const name of ["argocd", "edge-1", "edge-2"]) await clusters[side].namespace(name);
        files[side] = await clusters[side].kubeconfigFile();
      }
      const { within, outside } = DIMENSIONS["--label-selector"];
      const [both, own] = [outside("both", "replica"), outside("own", "replica")];
      await applyAll(clusters.primary, [within("app", "1"), outside("both", "primary")]);
      await applyAll(clusters.replica, [both, own]);
      const storeOf = (side: Side) => [
        "--store=kubernetes",
        `--kubeconfig=${files[side]}`,
        `--data-dir=${workshop.dir}/${side}`,
        "--insecure-jwt-generate",
      ];
      await widened(new RestartedPair(workshop, storeOf), "--label-selector", ["replica", "primary"], {
        both,
        own,
      });
    }),
});

Deno.test({
  name:
    `--label-selector is narrowed at the ACTIVE on an API server, whose watch then lacks what an agent keeps (${set})`,
  ...ON_CLUSTER,
  fn: () =>
    inWorkshop(async (workshop) => {
      const cluster = await Cluster.start(definitions);
      workshop.onClose(() => cluster.stop());
      for (const name of ["argocd", "edge-1"]) await cluster.namespace(name);
      const stopped = {
        fill: (objects: readonly ApiObject[]) => applyAll(cluster, [...objects]),
        remove: (objects: readonly ApiObject[]) => removeAll(cluster, [...objects]),
      };
      await narrowedAtActive(workshop, "--label-selector", stopped, [
        "--store=kubernetes",
        `--kubeconfig=${await cluster.kubeconfigFile()}`,
        `--data-dir=${workshop.dir}/primary`,
      ]);
    }),
});
