/**
 * V8's profiles in the format that `go tool pprof` and its like read. A node of V8's tree of calls becomes one sample whose stack runs
 * from it to the root; functions are told apart by name, file and line.
 */
import { gzipSync } from "node:zlib";
import {
  Function as ProfiledFunction,
  Line,
  Location,
  Profile,
  Sample,
  StringTable,
  ValueType,
} from "pprof-format";

/** Where a function stands; lines count from 0. */
export interface CallFrame {
  functionName: string;
  url: string;
  lineNumber: number;
}

/** `Profiler.Profile` of V8's protocol; times in microseconds. */
export interface CpuProfile {
  nodes: readonly { id: number; callFrame: CallFrame; children?: readonly number[] }[];
  samples?: readonly number[];
  timeDeltas?: readonly number[];
  startTime: number;
  endTime: number;
}

/** A node of `HeapProfiler.SamplingHeapProfile`. */
export interface AllocationNode {
  callFrame: CallFrame;
  /** Bytes that it allocated itself. */
  selfSize: number;
  children: readonly AllocationNode[];
}

/** V8's name for waiting, which takes no processor. */
const IDLE = "(idle)";

/** Processor time by function, with the number of samples. */
export function cpuToPprof(profile: CpuProfile): Uint8Array {
  const builder = new Builder([["samples", "count"], ["cpu", "nanoseconds"]]);
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(profile.nodes.flatMap(({ id, children = [] }) => children.map((c) => [c, id])));
  const spent = new Map<number, { count: number; micros: number }>();
  profile.samples?.forEach((id, i) => {
    const sum = spent.get(id) ?? { count: 0, micros: 0 };
    // The time up to the next sample is this one's.
    const micros = Math.max(0, profile.timeDeltas?.[i + 1] ?? 0);
    spent.set(id, { count: sum.count + 1, micros: sum.micros + micros });
  });
  for (const [id, { count, micros }] of spent) {
    const stack: CallFrame[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const frame = nodes.get(at)?.callFrame;
      if (frame) stack.push(frame);
    }
    if (stack[0]?.functionName === IDLE) continue;
    builder.add(stack, [count, micros * 1_000]);
  }
  return builder.finish((profile.endTime - profile.startTime) * 1_000);
}

/** Allocated bytes by function; `name`: `inuse_space` or `alloc_space`. */
export function heapToPprof(head: AllocationNode, name: string, durationMs: number): Uint8Array {
  const builder = new Builder([[name, "bytes"]]);
  const visit = (node: AllocationNode, above: readonly CallFrame[]) => {
    const stack = [node.callFrame, ...above];
    if (node.selfSize > 0) builder.add(stack, [node.selfSize]);
    for (const child of node.children) visit(child, stack);
  };
  visit(head, []);
  return builder.finish(durationMs * 1e6);
}

class Builder {
  readonly #strings = new StringTable();
  readonly #functions = new Map<string, ProfiledFunction>();
  readonly #locations: Location[] = [];
  readonly #samples: Sample[] = [];
  readonly #types: ValueType[];

  constructor(types: readonly (readonly [type: string, unit: string])[]) {
    this.#types = types.map(([type, unit]) =>
      ValueType.create({ type: this.#strings.dedup(type), unit: this.#strings.dedup(unit) })
    );
  }

  /** @param stack the innermost call first */
  add(stack: readonly CallFrame[], value: number[]): void {
    const called = stack.filter(({ functionName }) => functionName !== "(root)");
    if (called.length === 0) return;
    this.#samples.push(Sample.create({ locationId: called.map((frame) => this.#location(frame)), value }));
  }

  finish(durationNanos: number): Uint8Array {
    const profile = new Profile({
      sampleType: this.#types,
      sample: this.#samples,
      location: this.#locations,
      function: [...this.#functions.values()],
      stringTable: this.#strings,
      timeNanos: BigInt(Date.now()) * 1_000_000n,
      durationNanos: Math.round(durationNanos),
    });
    return gzipSync(profile.encode());
  }

  #location({ functionName, url, lineNumber }: CallFrame): number {
    const key = `${functionName} ${url} ${lineNumber}`;
    const known = this.#functions.get(key);
    if (known) return Number(known.id);
    const id = this.#locations.length + 1;
    const name = this.#strings.dedup(functionName || "(anonymous)");
    const filename = this.#strings.dedup(url.replace(/^file:\/\//, ""));
    const line = lineNumber + 1;
    this.#functions.set(
      key,
      ProfiledFunction.create({ id, name, systemName: name, filename, startLine: line }),
    );
    this.#locations.push(Location.create({ id, line: [Line.create({ functionId: id, line })] }));
    return id;
  }
}
