/**
 * The question before a change. A command looks first and asks then: the facts that the operator needs stand above the question. `--force`
 * does not skip it; without a terminal only `--yes` does.
 */
import { CommandError, EXIT, print } from "./output.ts";
import type { Arguments } from "./verb.ts";

/** Where the operator sits. */
export interface Seat {
  /** Whether there is an operator to ask. */
  terminal: boolean;
  /** Reads a line; empty at the end of the input. */
  ask(question: string): string;
}

export const SEAT: Seat = {
  get terminal() {
    return Deno.stdin.isTerminal();
  },
  ask: (question) => {
    Deno.stdout.writeSync(new TextEncoder().encode(question));
    const buffer = new Uint8Array(256);
    const read = Deno.stdin.readSync(buffer) ?? 0;
    return new TextDecoder().decode(buffer.subarray(0, read)).trim();
  },
};

/** Whether the operator must be asked. @throws CommandError with the line to type where nobody can be */
export function mustAsk(args: Arguments, seat: Seat = SEAT): boolean {
  if (args.boolean("yes")) return false;
  if (seat.terminal) return true;
  throw new CommandError(
    `cannot ask whether to go ahead: standard input is no terminal; look first (ha explain), then type: ${
      args.line("--yes")
    }`,
    EXIT.usage,
  );
}

/** Asks below the facts; `name`: the word that the operator has to type instead of y. @throws CommandError where it is not given */
export function confirm(facts: readonly string[], name = "", seat: Seat = SEAT): void {
  print([...facts, ""].join("\n"));
  const answer = seat.ask(
    name === "" ? "Proceed? [y/N]: " : `Type this side's name, "${name}", to go ahead: `,
  );
  if (name === "" ? /^y(es)?$/i.test(answer) : answer === name) return;
  throw new CommandError("cancelled: nothing was changed");
}
