/** `agent-sim`: simulated agents against a running principal, for load and for drills. */
import { monotonicMs } from "../base/clock.ts";
import { reasonOf } from "../base/reason.ts";
import { delay } from "@std/async/delay";
import type { Misbehaviour } from "../simagents/agent.ts";
import { Crowd } from "../simagents/crowd.ts";
import { parseDuration } from "../config/settings.ts";
import { durationOption, parse, wholeOption } from "./arguments.ts";
import { CommandError, EXIT, print } from "./output.ts";

const USAGE =
  "argocd-agent-ha agent-sim --address HOST:PORT --pki DIR [--prefix edge-] [--count N] [--autonomous N] " +
  "[--misbehave never-acks|deaf|restless|floods] [--for DURATION]";
const MAX_AGENTS = 10_000;
const REPORT_MS = 1_000;

const MISBEHAVIOURS: Record<string, Misbehaviour> = {
  "never-acks": { neverAcks: true },
  deaf: { deaf: true },
  restless: { restless: true },
  floods: { floods: true },
};

export async function agentSim(args: string[]): Promise<number> {
  const options = parse(args, {
    strings: {
      address: "",
      pki: "",
      prefix: "edge-",
      count: "1",
      autonomous: "0",
      misbehave: "",
      for: "24h",
    },
    positionals: [0, 0],
    usage: USAGE,
    about:
      "DIR is a folder of pki init; agents are named PREFIX1, PREFIX2, …, autonomous ones PREFIXauto-1, …\n" +
      "One line of JSON a second says how they are.",
  });
  const [address, pki] = [options.string("address"), options.string("pki")];
  if (address === "" || pki === "") {
    throw new CommandError(`--address and --pki are needed\nUsage: ${USAGE}`, EXIT.usage);
  }
  const name = (prefix: string) => (_: unknown, n: number) => `${prefix}${n + 1}`;
  const prefix = options.string("prefix");
  const crowd = await Crowd.make({
    pki,
    address: () => address,
    managed: Array.from({ length: wholeOption(options, "count", MAX_AGENTS) }, name(prefix)),
    autonomous: Array.from(
      { length: wholeOption(options, "autonomous", MAX_AGENTS) },
      name(`${prefix}auto-`),
    ),
  }).catch((error) => {
    throw new CommandError(
      `cannot make certificates by "${pki}/ca.crt" and ca.key: ${reasonOf(error)}`,
    );
  });
  misbehave(crowd, options.string("misbehave"));
  crowd.start();
  await reportUntil(crowd, durationOption(options, "for", parseDuration));
  await crowd.stop();
  return EXIT.ok;
}

function misbehave(crowd: Crowd, name: string): void {
  if (name === "") return;
  const how = Object.hasOwn(MISBEHAVIOURS, name) ? MISBEHAVIOURS[name] : undefined;
  if (!how) {
    const known = Object.keys(MISBEHAVIOURS).join(", ");
    throw new CommandError(`--misbehave "${name}": must be one of ${known}`, EXIT.usage);
  }
  for (const agent of crowd.all) Object.assign(agent.misbehaviour, how);
}

/** Reports until a signal, or for `limitMs`. */
async function reportUntil(crowd: Crowd, limitMs: number): Promise<void> {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  const startedAt = monotonicMs();
  while (!stopping.signal.aborted && monotonicMs() - startedAt < limitMs) {
    await delay(REPORT_MS, { signal: stopping.signal }).catch(() => {});
    const sum = (of: (agent: typeof crowd.all[number]) => number) =>
      crowd.all.reduce((total, agent) => total + of(agent), 0);
    print(JSON.stringify({
      agents: crowd.all.length,
      connected: crowd.connected,
      applications: sum(({ cluster }) => cluster.list("Application").length),
      eventsReceived: sum(({ seen }) => seen.events),
      eventsWaiting: sum(({ outbox }) => outbox.pending),
      streams: sum(({ seen }) => seen.connects),
      madeAnew: crowd.recreated,
      lastEnd: crowd.all.map(({ seen }) => seen.ends.at(-1)).find(Boolean) ?? "",
    }));
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, stop);
}
