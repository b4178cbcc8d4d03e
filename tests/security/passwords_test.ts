/** A flood of wrong passwords delays the names that it is about, and nobody else. */
import { assert, assertEquals } from "@std/assert";
import bcrypt from "bcryptjs";
import { call, dialPeer } from "../../src/adapters/grpc/dial.ts";
import { authenticationService } from "../../src/adapters/grpc/services.ts";
import { application, startAgent, untilHolds, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, material, untilState } from "../support/principals.ts";

Deno.test(
  "100 wrong passwords for one name and 100 for names that do not exist: another agent gets in and is served",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const file = `${workshop.dir}/users`;
      const hash = bcrypt.hashSync("right", 10);
      Deno.writeTextFileSync(
        file,
        ["edge-1", "edge-2", "edge-3"].map((name) => `${name}:${hash}\n`).join(""),
      );
      const settings = workshop.settings("primary", 0, [
        "--insecure-jwt-generate",
        `--auth=userpass:${file}`,
        "--ha-enabled=false",
      ]);
      const running = await workshop.start(settings);
      await untilState(running, "active");
      const by = (name: string) => ({
        name,
        method: "userpass",
        credentials: { clientid: name, clientsecret: "right" },
      });
      const served = await startAgent(workshop, running, by("edge-2"));
      await untilServed(running, served);
      const client = dialPeer(`127.0.0.1:${running.ports.grpc}`, material(workshop, "agent-1"), 1 << 20);
      workshop.onClose(() => client.close());
      const wrong = (clientid: string) => {
        const request = {
          method: "userpass",
          mode: "managed",
          version: "0",
          credentials: { clientid, clientsecret: "wrong" },
        };
        return call(client, authenticationService.Authenticate, request, 60_000).then(
          () => "let in",
          (error) => error.details,
        );
      };
      const attack = Promise.all(
        Array.from({ length: 100 }, (_, n) => [wrong("edge-1"), wrong(`nobody-${n}`)]).flat(),
      );
      const other = await startAgent(workshop, running, by("edge-3"));
      await untilServed(running, other);
      for (const agent of [served, other]) {
        await running.core.store.write({ op: "put", object: application(agent.name, "a") });
        await untilHolds(agent, "Application", ["a"]);
      }
      const outcomes = await attack;
      assertEquals(outcomes.filter((outcome) => outcome === "let in"), []);
      const putOff = outcomes.filter((outcome) =>
        /too many (passwords wait|calls of this kind)/.test(outcome)
      );
      assert(putOff.length > 100, `${putOff.length} of 200 were put off: ${[...new Set(outcomes)]}`);
      // The name that was attacked is not locked out.
      const attacked = await startAgent(workshop, running, by("edge-1"));
      await untilServed(running, attacked);
    }),
);
