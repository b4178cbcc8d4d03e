/** V8's own profilers in this process, through its inspector's protocol. One works at a time; each ends early when its asker is gone. */
import { Session } from "node:inspector";
import { abortable } from "@std/async/abortable";
import { delay } from "@std/async/delay";
import type { AllocationNode, CpuProfile } from "./pprof_format.ts";

/** As Go's profiler: a hundred samples a second. */
const SAMPLE_EVERY_MICROS = 10_000;
/** Bytes between two samples of allocations, on average. */
const SAMPLE_EVERY_BYTES = 32 * 1024;

/** Another profile is being taken. */
export class Busy extends Error {}

let busy = false;

/** Lets one profile be taken at a time. @throws Busy */
export async function alone<T>(act: () => Promise<T>): Promise<T> {
  if (busy) throw new Busy("another profile is being taken");
  busy = true;
  try {
    return await act();
  } finally {
    busy = false;
  }
}

/** Processor time over a while. @throws Error, also where Deno does not permit its inspector */
export function cpuProfile(seconds: number, gone: AbortSignal): Promise<CpuProfile> {
  return inspected(async (post) => {
    await post("Profiler.enable");
    await post("Profiler.setSamplingInterval", { interval: SAMPLE_EVERY_MICROS });
    await post("Profiler.start");
    await over(seconds, gone);
    return (await post("Profiler.stop") as { profile: CpuProfile }).profile;
  });
}

/** Allocations over a while: those that are still in use, or with `collected` all. @throws Error as `cpuProfile` */
export function allocations(seconds: number, gone: AbortSignal, collected: boolean): Promise<AllocationNode> {
  return inspected(async (post) => {
    await post("HeapProfiler.enable");
    await post("HeapProfiler.startSampling", {
      samplingInterval: SAMPLE_EVERY_BYTES,
      includeObjectsCollectedByMajorGC: collected,
      includeObjectsCollectedByMinorGC: collected,
    });
    await over(seconds, gone);
    return (await post("HeapProfiler.stopSampling") as { profile: { head: AllocationNode } }).profile.head;
  });
}

type Post = (method: string, params?: object) => Promise<unknown>;

async function inspected<T>(act: (post: Post) => Promise<T>): Promise<T> {
  const session = new Session();
  session.connect();
  try {
    return await act((method, params = {}) =>
      new Promise((resolve, reject) =>
        session.post(method, params, (error, result) => error ? reject(error) : resolve(result))
      )
    );
  } finally {
    session.disconnect();
  }
}

async function over(seconds: number, gone: AbortSignal): Promise<void> {
  await abortable(delay(seconds * 1_000, { signal: gone }), gone);
}
