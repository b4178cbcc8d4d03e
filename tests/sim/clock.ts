/**
 * Simulated time. The production code runs as it is: in a process of the simulator's own, the clock, the timers, the random numbers
 * and the random UUIDs that it finds are these. Between two events everything that is ready runs (all microtasks); so the order of
 * events is the only order there is, and one seed makes it.
 *
 * Every timer belongs to the process whose event was running when it was set. Killing a process drops its timers: what it was waiting
 * for never comes, which is all that a kill -9 is to code that waits.
 */
import { setImmediate } from "node:timers";
import { BinaryHeap } from "@std/data-structures/binary-heap";
import { type Random, seeded } from "../support/random.ts";

/** Something that runs, can be paused and can be killed. */
export interface Process {
  readonly name: string;
  alive: boolean;
  /** Its events wait. */
  paused: boolean;
  /** The offset of its wall clock, in ms. */
  skewMs: number;
  /** How much faster than time it goes since then. */
  drift: { rate: number; sinceMs: number };
}

interface Scheduled {
  atMs: number;
  order: number;
  process: Process;
  run(): void;
  label: string;
  cancelled: boolean;
}

/** The real ones, which the simulator itself measures with. */
export const REAL = { now: performance.now.bind(performance), immediate: setImmediate };

/** 2026-01-01: where simulated wall clocks start. */
const START_MS = Date.UTC(2026, 0, 1);
const FNV = { offset: 0x811c9dc5, prime: 0x01000193 };

export function process(name: string): Process {
  return { name, alive: true, paused: false, skewMs: 0, drift: { rate: 0, sinceMs: 0 } };
}

export class Clock {
  /** Since the start, in ms. */
  nowMs = 0;
  steps = 0;
  readonly random: Random;
  /** A digest of the events' order and times, which a second run must reproduce. */
  fingerprint = FNV.offset;
  #order = 0;
  #current: Process;
  readonly #queue = new BinaryHeap<Scheduled>((a, b) => a.atMs - b.atMs || a.order - b.order);
  /** How each is cancelled. */
  readonly #timers = new Map<number, () => void>();
  /** Events that wait for paused processes. */
  readonly #waiting = new Map<Process, Scheduled[]>();
  #timerId = 1_000_000_000;
  /** Called before an event runs; it may kill the process, whose event then does not. */
  onEvent: ((process: Process, label: string) => void) | undefined;
  readonly nobody = process("simulator");

  constructor(readonly seed: number) {
    this.random = seeded(seed);
    this.#current = this.nobody;
  }

  /** Whose event runs now. */
  get current(): Process {
    return this.#current;
  }

  /** Runs `run` as a process's after `inMs`; dropped where that process is dead by then. */
  schedule(process: Process, inMs: number, run: () => void, label: string): () => void {
    const scheduled = {
      atMs: this.nowMs + Math.max(0, inMs),
      order: this.#order++,
      process,
      run,
      label,
      cancelled: false,
    };
    this.#queue.push(scheduled);
    return () => scheduled.cancelled = true;
  }

  /** Stops a process (SIGSTOP); what comes for it waits. */
  pause(process: Process): void {
    process.paused = true;
  }

  /** Lets it go on (SIGCONT): what waited comes now, in its order. */
  resume(process: Process): void {
    process.paused = false;
    for (const scheduled of this.#waiting.get(process) ?? []) {
      scheduled.atMs = this.nowMs;
      this.#queue.push(scheduled);
    }
    this.#waiting.delete(process);
  }

  /** Runs something now as a process's. */
  as<T>(process: Process, run: () => T): T {
    const before = this.#current;
    this.#current = process;
    try {
      return run();
    } finally {
      this.#current = before;
    }
  }

  /** Runs the next event; false: there is none. */
  async step(): Promise<boolean> {
    for (let next = this.#queue.pop(); next; next = this.#queue.pop()) {
      if (next.cancelled || !next.process.alive) continue;
      if (next.process.paused) {
        const waiting = this.#waiting.get(next.process) ?? [];
        this.#waiting.set(next.process, waiting);
        waiting.push(next);
        continue;
      }
      this.nowMs = Math.max(this.nowMs, next.atMs);
      this.onEvent?.(next.process, next.label);
      if (!next.process.alive) continue;
      if (next.process !== this.nobody) this.steps++;
      this.#note(`${this.nowMs} ${next.process.name} ${next.label}`);
      this.#current = next.process;
      next.run();
      await new Promise<void>((resolve) => REAL.immediate(resolve));
      this.#current = this.nobody;
      return true;
    }
    return false;
  }

  /** Takes a line into the fingerprint (FNV-1a). */
  #note(text: string): void {
    let hash = this.fingerprint;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV.prime);
    this.fingerprint = hash >>> 0;
  }

  /** A timer as the runtime's, of the process that runs now. */
  setTimer(run: () => void, ms: number, repeat: boolean): number {
    const id = this.#timerId++;
    const process = this.#current;
    const everyMs = Math.max(repeat ? 1 : 0, Number(ms) || 0);
    const arm = () =>
      this.#timers.set(
        id,
        this.schedule(process, everyMs, () => {
          if (repeat) arm();
          else this.#timers.delete(id);
          run();
        }, repeat ? `every ${everyMs}` : "timer"),
      );
    arm();
    return id;
  }

  clearTimer(id: unknown): void {
    this.#timers.get(Number(id))?.();
    this.#timers.delete(Number(id));
  }

  /** The wall clock of the process that runs now, in unix ms. */
  wallMs(): number {
    const { skewMs, drift } = this.#current;
    return Math.floor(START_MS + this.nowMs + skewMs + drift.rate * (this.nowMs - drift.sinceMs));
  }

  uuid(): string {
    const hex = [...this.random.bytes(16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${
      hex.slice(20)
    }`;
  }
}

let running: Clock | undefined;
let installed = false;

/** From now on the production code finds this clock, in the whole of this JavaScript process. */
export function useClock(clock: Clock): void {
  running = clock;
  if (installed) return;
  installed = true;
  const RealDate = Date;
  const now = () => (running as Clock).wallMs();
  class SimDate extends RealDate {
    constructor(...given: [] | [string | number | Date]) {
      super(given.length === 0 ? now() : given[0] as number);
    }
    static override now = now;
  }
  const timer = (repeat: boolean) => (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
    (running as Clock).setTimer(() => run(...args), ms, repeat);
  const clear = (id: unknown) => (running as Clock).clearTimer(id);
  Object.assign(globalThis, {
    Date: SimDate,
    setTimeout: timer(false),
    setInterval: timer(true),
    clearTimeout: clear,
    clearInterval: clear,
  });
  Object.defineProperty(performance, "now", { value: () => (running as Clock).nowMs });
  Object.defineProperty(Math, "random", { value: () => (running as Clock).random.next() });
  Object.defineProperty(crypto, "randomUUID", { value: () => (running as Clock).uuid() });
  Object.defineProperty(Deno, "unrefTimer", { value: () => {} });
  Object.defineProperty(Deno, "osUptime", { value: () => Math.floor((running as Clock).nowMs / 1_000) });
  Object.defineProperty(AbortSignal, "timeout", {
    value: (ms: number) => {
      const controller = new AbortController();
      const error = () => new DOMException("Signal timed out.", "TimeoutError");
      (running as Clock).setTimer(() => controller.abort(error()), ms, false);
      return controller.signal;
    },
  });
}
