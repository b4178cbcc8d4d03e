/** The one executable: everything is chosen by the first argument. */
import { run } from "./src/cli/run.ts";

if (import.meta.main) Deno.exitCode = await run(Deno.args);
