/** A replication client that is not the peer reads, and moves nothing. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import grpc from "@grpc/grpc-js";
import { linkService } from "../../src/adapters/grpc/services.ts";
import type { Running } from "../../src/serve.ts";
import { attempt, certificateFor } from "../support/doors.ts";
import { inWorkshop, LOOSE, material, until, untilState, type Workshop } from "../support/principals.ts";

const LISTED = "--ha-allowed-replication-clients=primary,replica,dr";
const { Ask, Inventory, Prepare, Prove, Repair, TakeOver } = linkService;

/** A pair with a third identity that may read. */
async function pair(workshop: Workshop, flags: string[] = ["--ha-peer-identity=replica"]) {
  const primary = await workshop.start(workshop.settings("primary", 0, [LISTED, ...flags]));
  await untilState(primary, "active");
  const settings = workshop.settings("replica", primary.ports.grpc, [LISTED]);
  const replica = await workshop.start(settings);
  await untilState(replica, "replicating");
  return { primary, replica, reader: await certificateFor(workshop, "dr") };
}

const role = ({ core }: Running) => [core.model().state, core.model().memory.epoch];

Deno.test({
  name: "one Ask with the next epoch, or with epoch 100, from a reader has no effect, whatever uid it copies",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, reader } = await pair(workshop);
      const before = role(primary);
      for (const epoch of [2, 100, 2 ** 52]) {
        for (const uid of ["made-up", replica.core.uid, primary.core.uid]) {
          const standing = { uid, state: "active", epoch, namespace: "argocd" };
          const { code, answer } = await attempt(primary.ports.grpc, reader, Ask, { standing });
          assertEquals([code, answer?.standing?.state], [0, "active"]);
        }
      }
      assertEquals(role(primary), before);
      assertEquals([...primary.core.replicas].map(({ identity }) => identity), ["replica"]);
    }),
});

Deno.test({
  name: "Prepare, TakeOver, Prove and Repair with a copied standing of the leader are refused to a reader",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, reader } = await pair(workshop);
      const before = role(replica);
      const standing = primary.core.standing();
      const denied = {
        code: grpc.status.PERMISSION_DENIED,
        details: 'identity "dr" may read, and is not the peer "primary"',
        answer: undefined,
      };
      // Its replica takes the certificate at its peer's address for the peer.
      const { grpc: port } = replica.ports;
      assertEquals(await attempt(port, reader, Prepare, { standing, who: "x" }), denied);
      assertEquals(await attempt(port, reader, TakeOver, { standing, epoch: 2 }), denied);
      assertEquals(await attempt(port, reader, Prove, {}), denied);
      assertEquals(await attempt(port, reader, Repair, { keys: ["Application/a/b"] }), denied);
      assertEquals((await attempt(port, reader, Inventory, {})).code, 0);
      assertEquals(role(replica), before);
      const own = await attempt(port, material(workshop, "primary"), Prepare, {
        standing,
        who: "an operator",
      });
      assertEquals([own.code, own.answer?.promisedEpoch], [0, 2]);
    }),
});

Deno.test({
  name: "an epoch far above is not believed, from the peer either, and both status and metric say so",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary } = await pair(workshop);
      const standing = { uid: "x", state: "active", epoch: 1_002, namespace: "argocd" };
      const tls = material(workshop, "replica");
      await attempt(primary.ports.grpc, tls, Ask, { standing });
      assertEquals(role(primary), ["active", 1]);
      const { concerns } = await attempt(primary.ports.grpc, tls, Ask, {}).then(({ answer }) =>
        answer?.condition ?? {}
      );
      const [concern] = (concerns ?? []).filter(({ name }) => name === "peerEpoch");
      assertStringIncludes(concern?.examples?.[0] ?? "", "epoch 1,002 is not believed");
      await until(
        () => workshop.logs.some((line) => line.includes("the peer's word is not believed")),
        20_000,
        () => "the log is silent",
      );
      await attempt(primary.ports.grpc, tls, Ask, { standing: { ...standing, epoch: 1_001 } });
      await untilState(primary, "syncing").catch(() => untilState(primary, "disconnected"));
    }),
});

Deno.test({
  name: "a server at the peer's address with another identity than --ha-peer-identity is not followed",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(workshop.settings("primary", 0));
      await untilState(primary, "active");
      const flags = [LISTED, "--ha-peer-identity=dr"];
      const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc, flags));
      const words = 'its certificate is of "primary", not of --ha-peer-identity "dr"';
      await until(
        () => replica.core.model().explanation.includes(words),
        20_000,
        () => replica.core.model().explanation,
      );
    }),
});

Deno.test({
  name: "a reader's acknowledgements make no change of the ACTIVE's safe",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(
        workshop.settings("primary", 0, [LISTED, "--ha-peer-identity=replica"]),
      );
      await untilState(primary, "active");
      const tls = await certificateFor(workshop, "dr", { sans: ["127.0.0.1"], server: true });
      Deno.writeTextFileSync(`${workshop.dir}/pki/dr.crt`, tls.cert.toString());
      Deno.writeTextFileSync(`${workshop.dir}/pki/dr.key`, tls.key.toString());
      const settings = workshop.settings("replica", primary.ports.grpc, [
        `--tls-cert=${workshop.dir}/pki/dr.crt`,
        `--tls-key=${workshop.dir}/pki/dr.key`,
      ]);
      const reader = await workshop.start(settings);
      await untilState(reader, "replicating");
      const [session] = primary.core.replicas;
      assertEquals([session?.identity, session?.counts, session?.standing?.uid], ["dr", false, ""]);
      assertEquals(primary.core.replicas.haveApplied(0), false);
      assertEquals(primary.core.exposure.now().replicas, 0);
    }),
});
