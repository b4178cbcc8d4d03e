/** An object beyond the bounds that a real API server has, whoever put it there. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Cluster, ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { application, nested } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState } from "../support/principals.ts";

Deno.test({
  ...ON_CLUSTER,
  name:
    "an object 600 levels deep that somebody puts into a real API server is withheld and named, and both sides go on",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const cluster = await Cluster.start(definitionSets()[0]?.[1] ?? []);
      workshop.onClose(() => cluster.stop());
      for (const name of ["argocd", "edge-1"]) await cluster.namespace(name);
      const store = ["--store=kubernetes", `--kubeconfig=${await cluster.kubeconfigFile("admin")}`];
      const active = await workshop.start(
        workshop.settings("primary", 0, ["--insecure-jwt-generate", ...store, "--ha-lease-duration=5s"]),
      );
      await untilState(active, "active");
      const replica = await workshop.start(workshop.settings("replica", active.ports.grpc));
      await untilState(replica, "replicating");
      const path = "/apis/argoproj.io/v1alpha1/namespaces/edge-1/applications";
      const post = async (text: string) => {
        const { code, body } = await cluster.request("POST", path, JSON.parse(text));
        assertEquals(code, 201, JSON.stringify(body).slice(0, 300));
      };
      await post(JSON.stringify(application("edge-1", "turns")));
      const key = (name: string) => `Application/edge-1/${name}`;
      const copied = (name: string) =>
        until(() => replica.core.index.present(key(name)) !== undefined, 20_000, () =>
          `${name} is not copied`, 5);
      await copied("turns");
      await post(nested("deep", 600, "edge-1"));
      const { spec } = JSON.parse(nested("turns", 600, "edge-1")) as { spec: unknown };
      const contentType = "application/merge-patch+json";
      assertEquals((await cluster.request("PATCH", `${path}/turns`, { spec }, { contentType })).code, 200);
      await until(
        () =>
          active.core.index.withheld.size === 2,
        20_000,
        () =>
          "they are not withheld",
        5,
      );
      const { unusable } = active.core.operations.report().concerns;
      for (const name of ["deep", "turns"]) {
        assertStringIncludes(unusable?.examples.join() ?? "", `${key(name)}: the object is nested deeper`);
      }
      await post(JSON.stringify(application("edge-1", "after")));
      await copied("after");
      assertEquals(replica.core.index.present(key("deep")), undefined);
      assert(replica.core.index.present(key("turns")), "an older state stays");
      assertEquals([active.core.model().state, replica.core.model().state], ["active", "replicating"]);
      // It starts again with them.
      await active.stop();
      const again = await workshop.start(
        workshop.settings("primary", 0, ["--insecure-jwt-generate", ...store, "--ha-lease-duration=5s"]),
      );
      await untilState(again, "active", 60_000);
      assertEquals(again.core.index.withheld.size, 2);
      assertEquals((await cluster.request("DELETE", `${path}/deep`)).code, 200);
      await until(
        () =>
          again.core.index.withheld.size === 1,
        20_000,
        () => "it is still withheld",
        5,
      );
    }),
});
