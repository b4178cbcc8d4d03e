/** A controller that writes on the standby: named with the command that stops it, and no obstacle to a switchover. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { generatedApplication } from "../../src/cli/examples.ts";
import type { Running } from "../../src/serve.ts";
import { runCli } from "../support/processes.ts";
import { inWorkshop, LOOSE, Proxy, until, untilEqual, untilState } from "../support/principals.ts";

const COPIES = 20;
/** As an application controller does whose view of an Application differs from what is written back. */
const FLAP_MS = 700;

const ha = (side: Running, ...args: string[]) =>
  runCli(["ha", ...args, "-a", `127.0.0.1:${side.ports.admin}`]);

Deno.test(
  "statuses that another writer changes all the time on the standby are named, end no stream and block no switchover",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const toReplica = new Proxy(0);
      workshop.onClose(() => toReplica.close());
      const primary = await workshop.served(workshop.settings("primary", toReplica.port));
      await untilState(primary, "active");
      const objects = Array.from({ length: COPIES }, (_, n) => generatedApplication(n));
      await Promise.all(objects.map((object) => primary.core.store.write({ op: "put", object })));
      const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc));
      toReplica.targetPort = replica.ports.grpc;
      await untilState(replica, "replicating");
      await untilEqual(primary, replica);

      let n = 0;
      const { store } = replica.core;
      const flap = () =>
        Promise.all(objects.map(async ({ kind, metadata }) => {
          const copy = await store.get(`${kind}/${metadata.namespace}/${metadata.name}`);
          if (copy) {
            await store.write({ op: "put", object: { ...copy, status: { flapping: n++ } } }).catch(() => {});
          }
        }));
      const flapping = setInterval(flap, FLAP_MS);
      workshop.onClose(() => clearInterval(flapping));
      const named = `an unknown writer changed ${COPIES} copies`;
      await until(
        async () => (await ha(replica, "status")).stdout.includes(named),
        20_000,
        () => `the writer is not named: ${JSON.stringify(replica.core.copies.writerLines)}`,
        100,
      );
      const { code, stdout } = await ha(primary, "preflight");
      assertEquals(code, 1);
      assertStringIncludes(stdout, "NOT OK  writers peer");
      assertStringIncludes(stdout, "-o yaml --show-managed-fields");
      assert(
        workshop.logs.some((line) => line.includes("another writer keeps changing copies here")),
        "the log does not say it",
      );
      const reconnects = replica.core.counters.total("reconnects");
      for (let moves = 0; moves < 3; moves++) {
        const { code, stdout, stderr } = await ha(primary, "switchover", "--yes");
        assertEquals(code, 0, `${stdout}${stderr}`);
        assertStringIncludes(stdout, "lost           0 acknowledged changes");
        if (moves < 2) {
          assertEquals((await ha(replica, "switchover", "--yes")).code, 0);
          await untilState(replica, "replicating");
        }
      }
      assert(replica.core.counters.total("reconnects") - reconnects <= 6, "streams end for the drift's sake");
      clearInterval(flapping);
      await untilEqual(primary, replica);
    }),
);
