import { Cluster, clusterMissing } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { storeContract } from "./store_contract.ts";

let namespaces = 0;

for (const [name, definitions] of definitionSets()) {
  let cluster: Cluster | undefined;
  const options = { ignore: clusterMissing() !== undefined, sanitizeOps: false, sanitizeResources: false };
  Deno.test.afterAll(async () => {
    await cluster?.stop();
    cluster = undefined;
  });
  storeContract(`kubernetes with ${name}`, async () => {
    cluster ??= await Cluster.start(definitions);
    const namespace = await cluster.namespace(`contract-${++namespaces}`);
    const open = () => cluster!.store(namespace);
    const [store, other] = [await open(), await open()];
    return {
      store,
      other,
      namespace,
      close: async () => {
        await store.close();
        await other.close();
      },
    };
  }, options);
}
