/** `principal`: runs until SIGTERM or SIGINT. */
import { reasonOf } from "../base/reason.ts";
import { createLog } from "../base/log.ts";
import { envOf } from "../config/flag.ts";
import { FLAGS } from "../config/flags.ts";
import { parseSettings } from "../config/settings.ts";
import { CIPHER_SUITES } from "../config/tls_settings.ts";
import { UsageError } from "../config/usage.ts";
import { CommandError, EXIT, print } from "./output.ts";
import { giveUp, unused } from "./permissions.ts";

/** After this long a shutdown no longer waits for anything. */
const SHUTDOWN_LIMIT_MS = 4_500;

export async function principal(args: string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    print(principalUsage());
    return EXIT.ok;
  }
  if (asksForSuites(args)) {
    for (const [version, suites] of Object.entries(CIPHER_SUITES)) print(`${version}: ${suites.join(" ")}`);
    return EXIT.ok;
  }
  const { settings, warnings, notes } = parsed(args);
  const log = createLog(settings.log);
  for (const warning of warnings) log.warn(warning);
  for (const note of notes) log.info(note);
  await giveUp(unused(settings));
  // Help and a wrong flag need nothing of what a principal runs on.
  const { startPrincipal } = await import("../serve.ts");
  const running = await startPrincipal(settings, log).catch((error) => {
    throw new CommandError(`cannot start: ${reasonOf(error)}`, EXIT.usage);
  });
  const signalled = Promise.withResolvers<string>();
  const handlers = (["SIGTERM", "SIGINT"] as const).map((name) => {
    const handler = () => signalled.resolve(name);
    Deno.addSignalListener(name, handler);
    return () => Deno.removeSignalListener(name, handler);
  });
  let exitCode: number = EXIT.ok;
  try {
    const signal = await Promise.race([signalled.promise, running.failed]);
    log.info(`${signal}: closing streams and stopping`);
  } catch (error) {
    log.error(`stopping: ${reasonOf(error)}`);
    exitCode = EXIT.failed;
  }
  const limit = setTimeout(() => Deno.exit(exitCode), SHUTDOWN_LIMIT_MS);
  await running.stop();
  clearTimeout(limit);
  for (const remove of handlers) remove();
  log.info("stopped", { event: "principal_stopped" });
  // Sockets of grpc-js may keep the event loop alive a little longer.
  Deno.exit(exitCode);
}

/** As with the Go principal: the value `list` asks what there is. */
function asksForSuites(args: readonly string[]): boolean {
  return args.some((arg, i) =>
    arg === "--tls-ciphersuites=list" || (arg === "--tls-ciphersuites" && args[i + 1] === "list")
  );
}

function parsed(args: string[]) {
  try {
    return parseSettings(args, (name) => Deno.env.get(name));
  } catch (error) {
    if (error instanceof UsageError) throw new CommandError(error.message, EXIT.usage);
    throw error;
  }
}

/** The help of `principal`, from the table of flags. */
export function principalUsage(): string {
  const lines = FLAGS.map((flag) => {
    const value = flag.type === "bool" ? "" : ` ${flag.type.toUpperCase()}`;
    const fallback = flag.default === "" ? "" : ` (default ${flag.default})`;
    return `  --${flag.name}${value}\n      ${flag.help}${fallback} [${envOf(flag)}]`;
  });
  return ["Usage: argocd-agent-ha principal [FLAGS]", "", ...lines].join("\n");
}
