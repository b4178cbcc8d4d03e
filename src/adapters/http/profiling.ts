/**
 * `--pprof-port`: where this process spends its time and memory, for `go tool pprof` and for the developer tools of a browser. A snapshot
 * of the heap holds every secret that the process has; so this listens on the loopback alone, is off by default, and answers no web page.
 */
import v8 from "node:v8";
import { Readable } from "node:stream";
import { type Context, Hono } from "hono";
import { reasonOf } from "../../base/reason.ts";
import { allocations, alone, Busy, cpuProfile } from "./profiler.ts";
import { cpuToPprof, heapToPprof } from "./pprof_format.ts";

const PREFIX = "/debug/pprof";
export const MAX_PROFILE_SECONDS = 300;
/** As in Go, and for allocations, which Go's runtime samples from the start. */
const CPU_SECONDS = 30;
const HEAP_SECONDS = 10;

/** Go's other profiles, and what to look at instead. */
const MISSING: Record<string, string> = {
  goroutine: "Deno has no goroutines; see profile",
  threadcreate: "Deno does not tell which code starts threads",
  block: "JavaScript does not block; see profile",
  mutex: "JavaScript has no mutexes",
  trace: "Deno has no execution trace; see profile, and --otlp-address for spans",
  symbol: "profiles carry their symbols",
  cmdline: "flags may carry passwords; they are in this process's manifest",
};

const INDEX = `profiles of this process

${PREFIX}/profile?seconds=30   processor time (pprof; format=cpuprofile: V8's own, for a browser's developer tools)
${PREFIX}/heap?seconds=10      allocations within that time that are still in use (pprof; format=heapprofile)
${PREFIX}/allocs?seconds=10    all allocations within that time (pprof; format=heapprofile)
${PREFIX}/memory               the heap, its spaces and the process, in bytes (JSON)
${PREFIX}/snapshot             every object (.heapsnapshot); it holds all secrets, and the process stands still meanwhile

not in Deno: ${Object.keys(MISSING).join(", ")}
`;

/** Answers for profiles; the listener sees to it that only the loopback asks. */
export function profilingApp(): Hono {
  const app = new Hono();
  app.get(`${PREFIX}/`, (c) => c.text(INDEX));
  app.get(PREFIX, (c) => c.redirect(`${PREFIX}/`));
  app.get(`${PREFIX}/memory`, (c) =>
    c.json({
      process: Deno.memoryUsage(),
      heap: v8.getHeapStatistics(),
      spaces: v8.getHeapSpaceStatistics(),
    }));
  app.get(`${PREFIX}/profile`, (c) =>
    taken(c, CPU_SECONDS, async (seconds) => {
      const profile = await cpuProfile(seconds, c.req.raw.signal);
      return c.req.query("format") === "cpuprofile"
        ? json(profile, "cpuprofile")
        : pprof(cpuToPprof(profile));
    }));
  for (const [path, type] of [["heap", "inuse_space"], ["allocs", "alloc_space"]] as const) {
    app.get(`${PREFIX}/${path}`, (c) =>
      taken(c, HEAP_SECONDS, async (seconds) => {
        const head = await allocations(seconds, c.req.raw.signal, path === "allocs");
        if (c.req.query("format") === "heapprofile") return json({ head, samples: [] }, "heapprofile");
        return pprof(heapToPprof(head, type, seconds * 1_000));
      }));
  }
  app.get(`${PREFIX}/snapshot`, (c) =>
    taken(c, 1, () => {
      const snapshot = Readable.toWeb(v8.getHeapSnapshot()) as ReadableStream<Uint8Array>;
      return Promise.resolve(file(snapshot, "heapsnapshot"));
    }));
  for (const [name, why] of Object.entries(MISSING)) {
    app.get(`${PREFIX}/${name}`, (c) => c.text(`cannot give ${name}: ${why}\n`, 501));
  }
  app.notFound((c) => c.text(`not found; this port serves ${PREFIX}/\n`, 404));
  return app;
}

/** Takes a profile over the time that is asked for, or says why not. */
async function taken(
  c: Context,
  defaultSeconds: number,
  take: (seconds: number) => Promise<Response>,
): Promise<Response> {
  const given = c.req.query("seconds");
  const seconds = given === undefined ? defaultSeconds : Number(given);
  if (given === "" || !(seconds > 0 && seconds <= MAX_PROFILE_SECONDS)) {
    const bounds = `must be more than 0 and at most ${MAX_PROFILE_SECONDS}`;
    return c.text(`cannot take a profile: seconds="${given?.slice(0, 32)}" ${bounds}\n`, 400);
  }
  try {
    return await alone(() => take(seconds));
  } catch (error) {
    const code = error instanceof Busy ? 409 : error instanceof Deno.errors.NotCapable ? 501 : 500;
    const remedy = code === 409
      ? "; ask when it is over"
      : code === 501
      ? "; start Deno with --allow-sys"
      : "";
    return c.text(`cannot take a profile: ${reasonOf(error)}${remedy}\n`, code);
  }
}

function pprof(bytes: Uint8Array): Response {
  return file(bytes as Uint8Array<ArrayBuffer>, "pb.gz");
}

function json(value: unknown, ending: string): Response {
  return file(JSON.stringify(value), ending);
}

function file(body: BodyInit, ending: string): Response {
  const headers = {
    "content-type": "application/octet-stream",
    "content-disposition": `attachment; filename="argocd-agent-ha.${ending}"`,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  };
  return new Response(body, { headers });
}
