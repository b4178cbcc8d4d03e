import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { confirm, mustAsk, type Seat } from "./ask.ts";
import { CommandError } from "./output.ts";
import type { Arguments } from "./verb.ts";

const typed = (yes: boolean): Arguments => ({
  positionals: [],
  string: () => "",
  boolean: (name) => name === "yes" && yes,
  number: () => 0,
  line: (more) => `argocd-agent-ha ha promote ${more} -a x:1`,
});

function seat(terminal: boolean, answer = ""): Seat & { asked: string[] } {
  const asked: string[] = [];
  return {
    terminal,
    asked,
    ask: (question) => {
      asked.push(question);
      return answer;
    },
  };
}

Deno.test("mustAsk(): --yes is an answer; without a terminal the line to type is the error, with exit code 2", () => {
  assertEquals(mustAsk(typed(true), seat(false)), false);
  assertEquals(mustAsk(typed(false), seat(true)), true);
  const error = thrown(() => mustAsk(typed(false), seat(false)));
  assertStringIncludes(error.message, "ha promote --yes -a x:1");
  assertEquals(error.exitCode, 2);
});

Deno.test("confirm(): y goes ahead, anything else is a cancellation with exit code 1; a name has to be typed whole", () => {
  const printed = silenced(() => {
    confirm(["facts"], "", seat(true, "y"));
    confirm(["facts"], "", seat(true, "YES"));
    confirm(["facts"], "east", seat(true, "east"));
    for (const [answer, name] of [["", ""], ["n", ""], ["yep", ""], ["y", "east"], ["eas", "east"]]) {
      const error = thrown(() => confirm(["facts"], name, seat(true, answer)));
      assertStringIncludes(error.message, "cancelled");
      assertEquals(error.exitCode, 1);
    }
    const forced = seat(true, "east");
    confirm([], "east", forced);
    assertEquals(forced.asked, ['Type this side\'s name, "east", to go ahead: ']);
  });
  assertEquals(printed.includes("facts"), true);
});

function thrown(run: () => void): CommandError {
  try {
    run();
  } catch (error) {
    assert(error instanceof CommandError);
    return error;
  }
  throw new Error("nothing was thrown");
}

function silenced(run: () => void): string {
  const write = Deno.stdout.writeSync;
  let printed = "";
  Deno.stdout.writeSync = (bytes) => {
    printed += new TextDecoder().decode(bytes);
    return bytes.length;
  };
  try {
    run();
  } finally {
    Deno.stdout.writeSync = write;
  }
  return printed;
}
