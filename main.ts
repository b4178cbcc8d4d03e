/** The one executable: everything is chosen by the first argument. */
import { run } from "./src/cli/run.ts";

if ("WorkerGlobalScope" in globalThis) {
  // The single file is its own worker, which is no command.
  await import("./src/adapters/grpc/password_worker.ts");
} else if (import.meta.main) {
  // Exits at once: sockets and timers of libraries must not keep a finished command alive.
  Deno.exit(await run(Deno.args));
}
