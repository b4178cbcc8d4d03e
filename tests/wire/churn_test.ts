/** Many short connections, each closed by its client at once: the principal must live through all of them. */
import { assertEquals } from "@std/assert";
import { call, dialAdmin } from "../../src/adapters/grpc/dial.ts";
import { adminService, operatorService } from "../../src/adapters/grpc/services.ts";
import { withPair } from "../support/processes.ts";

const CONNECTIONS = 1_500;

Deno.test({
  name: `a principal lives through ${CONNECTIONS} connections that end right after their answer`,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: () =>
    withPair(async (pair) => {
      const { primary } = pair;
      await pair.startAlone();
      const versions = [{ key: "AppProject/argocd/none", resourceVersion: "1" }];
      for (let n = 0; n < CONNECTIONS; n++) {
        const client = dialAdmin(primary.admin);
        if (n % 3 === 0) await call(client, adminService.Status, {}, 5_000);
        else await call(client, operatorService.WaitReplicated, { versions, timeoutMs: 5 }, 5_000);
        client.close();
      }
      assertEquals((await primary.healthz()).code, 200);
    }),
});
