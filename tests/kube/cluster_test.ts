/** The harness itself: a real API server that stores, checks rights, and deletes as Kubernetes does. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { generatedApplication } from "../../src/cli/examples.ts";
import { until } from "../support/until.ts";
import { Cluster, ON_CLUSTER } from "./cluster.ts";
import { definitionSets } from "./crds.ts";

for (const [name, definitions] of definitionSets()) {
  Deno.test({
    name: `a real API server with ${name}: status, foreground deletion, namespaces`,
    ...ON_CLUSTER,
    fn: async () => {
      const cluster = await Cluster.start(definitions);
      try {
        const { body } = await cluster.request("GET", "/version");
        assertStringIncludes(String(body["gitVersion"]), "v1.");
        const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "edge-1" } };
        assertEquals((await cluster.request("POST", "/api/v1/namespaces", namespace)).code, 201);
        const applications = "/apis/argoproj.io/v1alpha1/namespaces/edge-1/applications";
        const object = generatedApplication(0);
        const created = await cluster.request("POST", applications, object);
        assertEquals(created.code, 201, JSON.stringify(created.body));
        assertEquals(
          created.body["status"],
          object["status"],
          "status is part of an Application, not a subresource",
        );
        const foreground = { apiVersion: "v1", kind: "DeleteOptions", propagationPolicy: "Foreground" };
        await cluster.request("DELETE", `${applications}/app-0`, foreground);
        const gone = async (path: string) => (await cluster.request("GET", path)).code === 404;
        await until(
          () => gone(`${applications}/app-0`),
          30_000,
          () => "the garbage collector does not finish",
        );
        await cluster.request("DELETE", "/api/v1/namespaces/edge-1");
        await until(
          () => gone("/api/v1/namespaces/edge-1"),
          30_000,
          () => "the namespace controller does not finish",
        );
        assert((await cluster.kubeconfig()).includes(cluster.server));
      } finally {
        await cluster.stop();
      }
    },
  });
}
