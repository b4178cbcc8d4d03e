/** `agent-sim`: simulated agents against a running principal, for load and for drills. */
import { monotonicMs } from "../base/clock.ts";
import { reasonOf } from "../base/reason.ts";
import { delay } from "@std/async/delay";
import { connectOverWebSockets } from "../adapters/grpc/agent_client.ts";
import type { Misbehaviour } from "../simagents/misbehaviour.ts";
import { Crowd } from "../simagents/crowd.ts";
import { CommandError, EXIT, print } from "./output.ts";
import type { Arguments } from "./verb.ts";

const REPORT_MS = 1_000;

const MISBEHAVIOURS = new Map<string, Misbehaviour>([
  ["never-acks", { neverAcks: true }],
  ["deaf", { deaf: true }],
  ["restless", { restless: true }],
  ["floods", { floods: true }],
]);

export async function agentSim(options: Arguments): Promise<number> {
  const [address, pki] = [options.string("address"), options.string("pki")];
  const name = (prefix: string) => (_: unknown, n: number) => `${prefix}${n + 1}`;
  const prefix = options.string("prefix");
  const crowd = await Crowd.make({
    pki,
    address: () => address,
    managed: Array.from({ length: options.number("count") }, name(prefix)),
    autonomous: Array.from(
      { length: options.number("autonomous") },
      name(`${prefix}auto-`),
    ),
    ...(options.boolean("websocket") ? { connect: connectOverWebSockets } : {}),
  }).catch((error) => {
    throw new CommandError(
      `cannot make certificates by "${pki}/ca.crt" and ca.key: ${reasonOf(error)}`,
    );
  });
  misbehave(crowd, options.string("misbehave"));
  crowd.start();
  await reportUntil(crowd, options.number("for"));
  await crowd.stop();
  return EXIT.ok;
}

function misbehave(crowd: Crowd, name: string): void {
  const how = MISBEHAVIOURS.get(name);
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
