/** The stable names of the log's lines, and who asked for what they tell. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { LOG_EVENTS, type LogEvent } from "../../src/base/log_events.ts";
import { inWorkshop, LOOSE, until, untilState, type Workshop } from "../support/principals.ts";
import { serving } from "../support/agents.ts";

const src = new URL("../../src", import.meta.url).pathname;

function sources(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? sources(`${folder}/${name}`) : name.endsWith(".ts") ? `${folder}/${name}` : []
  );
}

Deno.test("each name of an event stands in the source", () => {
  const text = sources(src).map((path) => Deno.readTextFileSync(path)).join("");
  for (const name of Object.keys(LOG_EVENTS)) {
    assert(text.includes(`event: "${name}"`), `no line has the event ${name}`);
  }
});

/** The fields of the lines of an event. */
const linesOf = ({ logs }: Workshop, event: LogEvent): Record<string, unknown>[] =>
  logs.flatMap((line) => {
    const fields = JSON.parse(/\{.*\}$/s.exec(line)?.[0] ?? "{}");
    return fields.event === event ? [fields] : [];
  });

Deno.test({
  name: "a command, the transition that it causes and its outcome name one request and the operator",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      await running.operations.command("demote", true, "somebody");
      await untilState(running, "syncing");
      await assertRejects(() => running.operations.command("demote", true, "another"));
      const [first, second] = linesOf(workshop, "command");
      assert(first && second);
      assertEquals([first["command"], first["operator"]], ["demote --force", "somebody"]);
      assertEquals([second["operator"], first["request"] === second["request"]], ["another", false]);
      const demoted = linesOf(workshop, "transition").find(({ from }) => from === "active");
      assertEquals([demoted?.["to"], demoted?.["operator"]], ["syncing", "somebody"]);
      assertEquals(demoted?.["request"], first["request"]);
      const [refused] = linesOf(workshop, "command_refused");
      assertEquals([refused?.["operator"], refused?.["request"]], ["another", second["request"]]);
      await until(
        () => linesOf(workshop, "command_outcome").length === 1,
        20_000,
        () => "no outcome is told",
      );
      assertEquals(linesOf(workshop, "command_outcome")[0]?.["request"], second["request"]);
      const started = linesOf(workshop, "transition").find(({ from }) => from === "recovering");
      assertEquals(
        [started?.["to"], "operator" in (started ?? {})],
        ["active", false],
        "nobody asked for that",
      );
    }),
});
