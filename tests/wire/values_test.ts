/** A replica whose store keeps something else than it was sent: what came out otherwise is held and named, and nothing loops. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { generatedApplication } from "../../src/cli/examples.ts";
import { type ApiObject, SOURCE_UID } from "../../src/domain/resources/object.ts";
import { annotationBytes, LAST_APPLIED, MAX_ANNOTATION_BYTES } from "../../src/domain/resources/transform.ts";
import type { Running } from "../../src/serve.ts";
import {
  inWorkshop,
  LOOSE,
  Proxy,
  until,
  untilEqual,
  untilState,
  type Workshop,
} from "../support/principals.ts";

const put = (running: Running, object: ApiObject) => running.core.store.write({ op: "put", object });
/** Longer than three heartbeats that differ, and the stream that is opened after them. */
const DRIFT_MS = 5_000;

async function pair(workshop: Workshop, flags: string[] = []) {
  const toReplica = new Proxy(0);
  workshop.onClose(() => toReplica.close());
  const primary = await workshop.start(workshop.settings("primary", toReplica.port, flags));
  const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc, flags));
  toReplica.targetPort = replica.ports.grpc;
  await untilState(primary, "active");
  await untilState(replica, "replicating");
  return { primary, replica };
}

/** The store keeps what `mutate` makes of each Application, as an admission webhook or an older definition would. */
function keeping({ core: { store } }: Running, mutate: (object: ApiObject) => ApiObject) {
  const write = store.write.bind(store);
  const seen = { active: true, writes: 0 };
  store.write = (one) => {
    if (one.op === "delete" || one.object.kind !== "Application" || !seen.active) return write(one);
    seen.writes++;
    return write({ ...one, object: mutate(one.object) });
  };
  return seen;
}

const withSpec = (object: ApiObject, fields: Record<string, unknown>): ApiObject => ({
  ...object,
  spec: { ...object["spec"] as object, ...fields },
});

for (const flags of [[], ["--ha-plain-contract"]]) {
  Deno.test({
    name: `a field that a replica's API server drops is held with its path${
      flags.length > 0 ? " in the plain contract" : ", is no drift"
    }, and applied once it is kept`,
    ...LOOSE,
    fn: () =>
      inWorkshop(async (workshop) => {
        const { primary, replica } = await pair(workshop, flags);
        const seen = keeping(replica, (object) => {
          const { info: _, ...spec } = object["spec"] as Record<string, unknown>;
          return { ...object, spec };
        });
        const dropped = withSpec(generatedApplication(0), { info: [{ name: "a", value: "b" }] });
        await put(primary, dropped);
        await put(primary, generatedApplication(1));
        const { following } = replica.core;
        await until(
          () => following.heldTotal === 1 && replica.core.index.size === 2,
          20_000,
          () => "not held",
        );
        assertStringIncludes(
          following.held[0]?.reason ?? "",
          "it drops spec.info (its CustomResourceDefinition",
        );
        if (flags.length === 0) {
          const [session] = primary.core.replicas;
          assert((session?.appliedRevision ?? 0) < primary.core.index.head, "acknowledged what is not there");
          const lines = workshop.logs.length;
          const writes = seen.writes;
          await new Promise((resolve) => setTimeout(resolve, DRIFT_MS));
          assertEquals(replica.core.model().state, "replicating");
          const since = workshop.logs.slice(lines).filter((line) => /differs|not following/.test(line));
          assertEquals(since, [], "a held key is no drift");
          assert(seen.writes - writes <= 2, `${seen.writes - writes} writes in ${DRIFT_MS} ms`);
        }
        seen.active = false;
        await untilEqual(primary, replica, 20_000);
        await until(() => following.heldTotal === 0, 20_000, () => "it is held still");
      }),
  });
}

Deno.test({
  name:
    "what a webhook adds and changes is named, but not its value; the state that was overwritten is no loss",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      keeping(replica, (object) => ({
        ...withSpec(object, { project: "hidden" }),
        metadata: { ...object.metadata, labels: { ...object.metadata.labels, "a/b": "hidden" } },
      }));
      await put(primary, generatedApplication(0));
      const reason = () => replica.core.following.held[0]?.reason ?? "";
      await until(() => reason() !== "", 20_000, () => "not held");
      assertMatch(
        reason(),
        /it adds metadata\.labels.* \(a default .*\); it changes spec\.project \(an admission webhook\)/,
      );
      assert(!reason().includes("hidden"), reason());
      assertEquals(replica.core.kept.waiting, []);
    }),
});

Deno.test({
  name:
    "annotations that leave no room for ours: kubectl's notes stay behind, anything else is held and says by how much",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      const annotated = (n: number, annotations: Record<string, string>) => {
        const object = generatedApplication(n);
        return { ...object, metadata: { ...object.metadata, annotations } };
      };
      const full = "x".repeat(MAX_ANNOTATION_BYTES - 60);
      await put(primary, annotated(0, { [LAST_APPLIED]: full, mine: "kept" }));
      await put(primary, annotated(1, { [LAST_APPLIED]: "{}" }));
      await untilEqual(primary, replica);
      await until(() => replica.core.index.size === 2, 20_000, () => "they do not come");
      const at = async (n: number) =>
        (await replica.core.store.get(`Application/edge-${n + 1}/app-${n}`))?.metadata.annotations ?? {};
      const [first, second] = [await at(0), await at(1)];
      assertEquals([first[LAST_APPLIED], first["mine"], typeof first[SOURCE_UID]], [
        undefined,
        "kept",
        "string",
      ]);
      assertEquals(second[LAST_APPLIED], "{}");
      await put(primary, annotated(2, { mine: full }));
      await until(() => replica.core.following.heldTotal === 1, 20_000, () => "not held");
      const needed = annotationBytes({ ...first, mine: full });
      assertStringIncludes(
        replica.core.following.held[0]?.reason ?? "",
        `its annotations and the one that keeps its identity have ${needed} bytes, 262144 are allowed`,
      );
    }),
});
