/** The one executable: everything is chosen by the first argument. */
import { run } from "./src/cli/run.ts";

// Exits at once: sockets and timers of libraries must not keep a finished command alive.
if (import.meta.main) Deno.exit(await run(Deno.args));
