/** A principal that steps down in the middle of an adoption: what is being written is waited for, what is not begun yet is refused. */
import { NO_WORK } from "../../src/principal/ports/telemetry.ts";
import { NO_TRACING } from "../../src/principal/ports/tracing.ts";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { SqliteStore } from "../../src/adapters/store/sqlite.ts";
import { openFile } from "../../src/adapters/store/sqlite_file.ts";
import { generatedApplication } from "../../src/cli/examples.ts";
import { StoreMonitor } from "../../src/principal/core/store_monitor.ts";
import { UiNeeds } from "../../src/principal/core/ui_needs.ts";
import { NO_CLUSTER_INFO } from "../../src/principal/ports/cluster_info.ts";
import type { Store } from "../../src/principal/ports/store.ts";
import { SOLE } from "../../src/principal/ports/store_lock.ts";
import { openCore } from "../../src/principal/opening.ts";
import { inWorkshop, LOOSE, until, type Workshop } from "../support/principals.ts";

const KEY = "Application/edge-1/adopted";
const OWNER = "ApplicationSet/edge-1/set";
const ADOPTED = JSON.stringify({
  ...generatedApplication(1),
  metadata: {
    name: "adopted",
    namespace: "edge-1",
    ownerReferences: [{ apiVersion: "argoproj.io/v1alpha1", kind: "ApplicationSet", name: "set" }],
  },
});

/** An ACTIVE principal without a peer, whose store stops at a call that the test names, until it says so. */
async function active(workshop: Workshop, stopsAt: string) {
  const log = { trace: () => {}, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const sqlite = new SqliteStore(openFile(":memory:", { create: true, verify: false }), "a test's", false);
  const reached = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const pass = async (call: string) => {
    if (call !== stopsAt) return;
    reached.resolve();
    await gate.promise;
  };
  const store: Store = {
    get: (key) => pass(`get ${key}`).then(() => sqlite.get(key)),
    write: async (write) => {
      if (write.op === "put") await pass(`put ${write.object.kind}/${write.object.metadata.name}`);
      return await sqlite.write(write);
    },
    list: (kind) => sqlite.list(kind),
    each: (visit) => sqlite.each(visit),
    watch: (signal) => sqlite.watch(signal),
    examine: () => sqlite.examine(),
    status: () => sqlite.status(),
    close: () => sqlite.close(),
  };
  const monitor = new StoreMonitor(store, log, () => {});
  const noPeer = () => {
    throw new Error("no peer");
  };
  const core = await openCore({
    settings: { ...workshop.settings("primary", 0), peerAddress: "" },
    log,
    store,
    tenure: SOLE,
    monitor,
    peer: {
      connect: noPeer,
      healthy: noPeer,
      certificates: () => ({}),
      certificateNotAfterMs: () => 0,
      certificateProblem: () => "",
    },
    hasSigningKey: false,
    history: [],
    processing: { observe: () => {}, forget: () => {} },
    tracing: NO_TRACING,
    tokens: undefined,
    clusterInfo: () => Promise.resolve(NO_CLUSTER_INFO),
    uiNeeds: new UiNeeds(),
    work: NO_WORK,
    certificates: () => [],
  });
  workshop.onClose(async () => {
    gate.resolve();
    await core.stop();
    monitor.stop();
    await store.close();
  });
  core.start();
  await until(() => core.activeScope() !== undefined, 20_000, () => core.model().explanation, 5);
  return { core, sqlite, reached: reached.promise, go: gate.resolve };
}

Deno.test({
  name: "a step-down waits for an adoption that is being written, and refuses the next",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { core, sqlite, reached, go } = await active(workshop, "put Application/adopted");
      const adoption = core.reconciler.take(
        { key: KEY, object: ADOPTED, writtenAtMs: 0, named: true },
        "a person",
      );
      await reached;
      let down = false;
      const stepsDown = core.operations.command("demote", true, "").then(() => down = true);
      await until(() => core.activeScope() === undefined, 20_000, () => "the scope is open", 5);
      assertEquals(down, false);
      go();
      await adoption;
      await stepsDown;
      assert(await sqlite.get(KEY));
      const refused = await core.reconciler.take(
        { key: KEY, object: ADOPTED, writtenAtMs: 0, named: true },
        "a person",
      ).catch(
        String,
      );
      assertStringIncludes(String(refused), "not ACTIVE");
    }),
});

Deno.test({
  name: "an adoption that has not begun to write when its principal steps down writes nothing",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { core, sqlite, reached, go } = await active(workshop, `get ${OWNER}`);
      const adoption = core.reconciler.take(
        { key: KEY, object: ADOPTED, writtenAtMs: 0, named: true },
        "a person",
      ).catch(String);
      await reached;
      await core.operations.command("demote", true, "");
      go();
      assertStringIncludes(String(await adoption), "not ACTIVE");
      assertEquals(await sqlite.get(KEY), undefined);
    }),
});
