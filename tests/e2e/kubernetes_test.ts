/** The pair on two real API servers: what is replicated, what is written, and a failover, end to end. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { exampleObjects, generatedApplication } from "../../src/cli/examples.ts";
import { until } from "../../src/cli/processes.ts";
import { SOURCE_UID } from "../../src/resources/object.ts";
import { clusterMissing } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { applyAll, type KubePair, withKubePair } from "../support/kube_pair.ts";
import { runCli } from "../support/processes.ts";

const options = { ignore: clusterMissing() !== undefined, sanitizeOps: false, sanitizeResources: false };

Deno.test({
  ...options,
  name: "kubernetes: the examples replicate",
  fn: () =>
    withKubePair(definitionSets().at(-1)![1], {}, async (pair) => {
      await pair.start();
      await applyAll(pair.clusters.primary, exampleObjects());
      const content = await pair.untilEqual();
      console.log([...content.keys()]);
    }),
});
