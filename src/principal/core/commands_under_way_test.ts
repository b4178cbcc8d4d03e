import { assertEquals, assertNotEquals } from "@std/assert";
import { CommandsUnderWay } from "./commands_under_way.ts";

Deno.test("CommandsUnderWay names the command that came first, as long as it is under way", () => {
  const commands = new CommandsUnderWay();
  assertEquals(commands.fields, {});
  const first = commands.begin("ann");
  const second = commands.begin("bob");
  assertNotEquals(first.request, second.request);
  assertEquals(commands.fields, { operator: "ann", request: first.request });
  commands.ended(first);
  assertEquals(commands.fields, { operator: "bob", request: second.request });
  commands.ended(second);
  assertEquals(commands.fields, {});
});
