/** Flags that narrow or widen what replicates: what comes newly into scope, or leaves it, is neither deleted nor overwritten unseen. */
import { assertEquals } from "@std/assert";
import { GoPrimary } from "../support/go_peer.ts";
import { inWorkshop, LOOSE, material, until, untilEqual, untilState } from "../support/principals.ts";
import {
  DIMENSIONS,
  embedded,
  fill,
  keyOfMade,
  made,
  narrowedAtActive,
  ORDERS,
  RestartedPair,
  revisionOf,
  widened,
} from "../support/scope.ts";

const FLAGS = Object.keys(DIMENSIONS) as (keyof typeof DIMENSIONS)[];

for (const flag of FLAGS) {
  const { narrow, wide, within, outside } = DIMENSIONS[flag];
  for (const order of ORDERS) {
    Deno.test(
      `${flag} is widened at the ${order.join(", then at the ")}: what comes into scope is kept`,
      LOOSE,
      () =>
        inWorkshop(async (workshop) => {
          const [both, own] = [outside("both", "replica"), outside("own", "replica")];
          await fill(workshop, "primary", [within("app", "1"), outside("both", "primary")]);
          await fill(workshop, "replica", [both, own]);
          await widened(new RestartedPair(workshop), flag, order, { both, own });
        }),
    );
  }

  Deno.test(
    `${flag} is narrowed at the leader: its copies stay, and are the leader's when it is widened again`,
    LOOSE,
    () =>
      inWorkshop(async (workshop) => {
        const [stays, leaves] = [within("app", "1"), outside("leaves", "1")];
        await fill(workshop, "primary", [stays, leaves]);
        const pair = new RestartedPair(workshop);
        await pair.start("primary", wide);
        const { core, operations } = await pair.start("replica", wide);
        await pair.untilReplicating();
        await untilEqual(pair.of("primary"), pair.of("replica"));
        assertEquals(await revisionOf(pair.of("replica"), leaves), "1");

        await pair.start("primary", narrow);
        await pair.untilReplicating();
        await until(() => core.foreign.keys.length === 1, 20_000, () => `foreign are ${core.foreign.keys}`);
        assertEquals(await revisionOf(pair.of("replica"), leaves), "1");

        await pair.start("primary", wide);
        await pair.untilReplicating();
        await until(() => core.foreign.keys.length === 0, 20_000, () => `foreign are ${core.foreign.keys}`);
        await untilEqual(pair.of("primary"), pair.of("replica"));
        assertEquals((await operations.losses()).losses, []);
      }),
  );
}

Deno.test(
  "--allowed-namespaces is widened on a follower of a Go primary: what comes into scope is kept, though it confirms that it is gone",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const primary = new GoPrimary();
      const port = await primary.listen(material(workshop, "primary"));
      workshop.onClose(() => primary.close());
      const spec = (targetRevision: string) => ({
        project: "p",
        destination: { name: "edge-2" },
        source: { repoURL: "https://git.example/a.git", path: ".", targetRevision },
      });
      primary.has("edge-2", "both", { spec: spec("primary") });
      const [both, own] = [made("edge-2", "both", "replica", "a"), made("edge-2", "own", "replica", "a")];
      await fill(workshop, "replica", [both, own]);
      const narrow = await workshop.start(
        workshop.settings("replica", port, ["--allowed-namespaces=edge-1"]),
      );
      await untilState(narrow, "replicating");
      assertEquals(await revisionOf(narrow, own), "replica");
      await narrow.stop();
      const wide = await workshop.start(workshop.settings("replica", port));
      await untilState(wide, "replicating");
      await until(
        async () => await revisionOf(wide, both) === "primary",
        20_000,
        () => "the leader's object has not come",
      );
      await until(
        () => wide.core.foreign.keys.join() === keyOfMade(own),
        20_000,
        () => `foreign are ${wide.core.foreign.keys}`,
      );
      assertEquals(await revisionOf(wide, own), "replica");
      const { losses } = await wide.operations.losses();
      assertEquals(losses.map(({ key, reason }) => [key, reason]), [
        [keyOfMade(both), "overwritten"],
        [keyOfMade(own), "foreign"],
      ]);
    }),
);

for (const flag of FLAGS) {
  Deno.test(
    `${flag} is narrowed at the ACTIVE: an agent keeps what it leaves out, and has it as before when it is widened again`,
    LOOSE,
    () => inWorkshop((workshop) => narrowedAtActive(workshop, flag, embedded(workshop))),
  );
}
