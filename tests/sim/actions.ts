/** The actions of a story, drawn from its seed before it begins, so that shrinking can replay it with fewer. */
import type { Random } from "../support/random.ts";
import { type Part, PARTS } from "./site.ts";

export type Action =
  | { do: "write"; many: number }
  | { do: "agent writes"; agent: number; remove: boolean }
  | { do: "delete many"; agent: number; all: boolean }
  | { do: "swallow"; ways: "a>b" | "b>a" | "both" | "agents"; ms: number }
  | { do: "refuse"; to: "a" | "b"; ms: number }
  | { do: "slow"; maxMs: number; ms: number }
  | { do: "cut" }
  | { do: "kill"; site: "a" | "b"; ms: number }
  | { do: "kill both"; ms: number; gapMs: number }
  /** Before anything starts: people have Applications in these sides' clusters. */
  | { do: "data first"; at: "a" | "b" | "both"; many: number }
  /** The process dies, and its store is lost with it, identity included. */
  | { do: "erase"; site: "a" | "b"; ms: number }
  /** A backup is made, and comes back when the process has died. */
  | { do: "restore"; site: "a" | "b"; afterMs: number; ms: number }
  /** As `restore`, at the ACTIVE and after a change that is in no backup; it comes back while the sides do not hear each other. */
  | { do: "roll back"; afterMs: number; ms: number; aloneMs: number }
  | { do: "pause"; site: "a" | "b"; ms: number }
  | { do: "second process"; site: "a" | "b" }
  | { do: "skew"; site: "a" | "b"; skewMs: number }
  | { do: "drift"; site: "a" | "b"; percent: number }
  | {
    do: "disk";
    site: "a" | "b";
    failing: number;
    lostAnswers: number;
    maxMs: number;
    watchMs: number;
    watchLost: number;
    ms: number;
  }
  | { do: "older definitions"; site: "a" | "b"; ms: number }
  | { do: "agent stalls"; agent: number; ms: number }
  | { do: "agent restarts"; agent: number }
  | { do: "astray"; agent: number; to: "a" | "b"; ms: number }
  | { do: "stranger"; to: "a" | "b" }
  /** Another writer on a standby; with `failover`, right before the other side dies and this one is promoted. */
  | { do: "foreign hand"; site: "a" | "b"; change: "edit" | "delete" | "create"; failover: boolean }
  /** A side is restarted with other flags, which make another part of its cluster its own. */
  | { do: "flags"; site: "a" | "b"; part: Part; ms: number }
  | { do: "decide deletions"; site: "a" | "b"; release: boolean }
  | { do: "promote"; site: "a" | "b"; force: boolean }
  | { do: "demote"; site: "a" | "b" }
  | { do: "switchover"; at: "a" | "b" }
  | { do: "repair"; site: "a" | "b" }
  | { do: "deletions"; site: "a" | "b"; restore: boolean }
  | { do: "reconcile"; site: "a" | "b"; adopt: boolean };

export interface Timed {
  atMs: number;
  action: Action;
}

type Draw = (random: Random) => Action;

const site = (random: Random) => random.pick(["a", "b"] as const);
const ms = (random: Random, min: number, max: number) => Math.round(min + random.next() ** 2 * (max - min));

/** Every kind, how often it is drawn beside the others, and what of it. */
const KINDS: Record<Exclude<Action["do"], "flags">, [weight: number, draw: Draw]> = {
  write: [60, (r) => ({ do: "write", many: r.chance(0.05) ? 40 : 1 + r.int(3) })],
  "agent writes": [12, (r) => ({ do: "agent writes", agent: r.int(1_000), remove: r.chance(0.2) })],
  "delete many": [1, (r) => ({ do: "delete many", agent: r.int(1_000), all: r.chance(0.3) })],
  swallow: [
    4,
    (r) => ({ do: "swallow", ways: r.pick(["a>b", "b>a", "both", "agents"]), ms: ms(r, 200, 60_000) }),
  ],
  refuse: [3, (r) => ({ do: "refuse", to: site(r), ms: ms(r, 200, 20_000) })],
  slow: [2, (r) => ({ do: "slow", maxMs: ms(r, 20, 3_000), ms: ms(r, 1_000, 20_000) })],
  cut: [3, () => ({ do: "cut" })],
  kill: [4, (r) => ({ do: "kill", site: site(r), ms: ms(r, 1, 20_000) })],
  "kill both": [1, (r) => ({ do: "kill both", ms: ms(r, 1, 10_000), gapMs: ms(r, 0, 8_000) })],
  "data first": [0, (r) => ({ do: "data first", at: r.pick(["a", "b", "both"]), many: 1 + r.int(30) })],
  erase: [1, (r) => ({ do: "erase", site: site(r), ms: ms(r, 1, 20_000) })],
  restore: [
    1,
    (r) => ({ do: "restore", site: site(r), afterMs: ms(r, 500, 60_000), ms: ms(r, 1, 20_000) }),
  ],
  "roll back": [
    1,
    (r) => ({
      do: "roll back",
      afterMs: ms(r, 300, 8_000),
      ms: ms(r, 1, 2_000),
      aloneMs: ms(r, 4_000, 20_000),
    }),
  ],
  pause: [2, (r) => ({ do: "pause", site: site(r), ms: ms(r, 1_000, 120_000) })],
  "second process": [1, (r) => ({ do: "second process", site: site(r) })],
  skew: [1, (r) => ({ do: "skew", site: site(r), skewMs: (r.int(3) - 1) * 3_600_000 })],
  drift: [1, (r) => ({ do: "drift", site: site(r), percent: r.pick([-20, -1, 0, 1, 20]) })],
  disk: [
    4,
    (r) => ({
      do: "disk",
      site: site(r),
      failing: r.pick([0, 0, 0.2, 0.6, 1]),
      lostAnswers: r.pick([0, 0.1, 0.4]),
      maxMs: r.pick([2, 50, 1_500]),
      watchMs: r.pick([1, 100, 2_000]),
      watchLost: r.pick([0, 0, 0.1]),
      ms: ms(r, 500, 15_000),
    }),
  ],
  "older definitions": [2, (r) => ({ do: "older definitions", site: site(r), ms: ms(r, 1_000, 60_000) })],
  "agent stalls": [1, (r) => ({ do: "agent stalls", agent: r.int(1_000), ms: ms(r, 500, 20_000) })],
  "agent restarts": [1, (r) => ({ do: "agent restarts", agent: r.int(1_000) })],
  astray: [2, (r) => ({ do: "astray", agent: r.int(1_000), to: site(r), ms: ms(r, 1_000, 20_000) })],
  stranger: [1, (r) => ({ do: "stranger", to: site(r) })],
  "foreign hand": [
    3,
    (r) => ({
      do: "foreign hand",
      site: site(r),
      change: r.pick(["edit", "delete", "delete", "create"] as const),
      failover: r.chance(0.2),
    }),
  ],
  "decide deletions": [1, (r) => ({ do: "decide deletions", site: site(r), release: r.chance(0.5) })],
  promote: [4, (r) => ({ do: "promote", site: site(r), force: r.chance(0.4) })],
  demote: [1, (r) => ({ do: "demote", site: site(r) })],
  switchover: [4, (r) => ({ do: "switchover", at: site(r) })],
  repair: [1, (r) => ({ do: "repair", site: site(r) })],
  deletions: [1, (r) => ({ do: "deletions", site: site(r), restore: r.chance(0.3) })],
  reconcile: [1, (r) => ({ do: "reconcile", site: site(r), adopt: r.chance(0.5) })],
};

/** The share of stories in which flags are changed, and how often they are. */
const FLAGS = 0.1;
const FLAGS_GAP_MS = 6_000;

const ALWAYS: readonly Action["do"][] = ["write", "agent writes", "switchover", "promote"];
/** The share of stories in which a side has data before it starts. */
const DATA_FIRST = 0.15;
const FIRST_MS = 300;
const MEAN_GAP_MS = 400;
const LAST_MS = 240_000;

/** How much more often what a story is about happens in it. */
const FOCUS = 8;

/**
 * The actions of a story. Each story has only some kinds of trouble (swarm testing, Groce et al. 2012), and is about a few of them: what
 * always happens hides what happens only where it does not, and what is rare never meets what is rare. `wanted`: about these kinds.
 */
export function draw(random: Random, wanted: readonly string[] = []): Timed[] {
  const names = Object.keys(KINDS) as (keyof typeof KINDS)[];
  const drawn = Array.from({ length: random.int(4) }, () => random.pick(names));
  const about = new Set(wanted.length > 0 ? names.filter((name) => wanted.includes(name)) : drawn);
  const kinds = names
    .filter((name) => ALWAYS.includes(name) || about.has(name) || random.chance(0.55))
    .map((name): [string, [number, Draw]] => {
      const [weight, make] = KINDS[name];
      return [name, [about.has(name) ? weight * FOCUS : weight, make]];
    });
  const total = kinds.reduce((sum, [, [weight]]) => sum + weight, 0);
  const story: Timed[] = [];
  if (wanted.includes("data first") || random.chance(DATA_FIRST)) {
    story.push({ atMs: 0, action: KINDS["data first"][1](random) });
  }
  for (let atMs = FIRST_MS; atMs < LAST_MS; atMs += -Math.log(1 - random.next()) * MEAN_GAP_MS) {
    let at = random.next() * total;
    const [, [, make]] = kinds.find(([, [weight]]) => (at -= weight) < 0) ?? kinds[0] as typeof kinds[number];
    story.push({ atMs, action: make(random) });
  }
  return story;
}

/** Changes of flags for a story, of its own random numbers: a story without them is what it was before there were any. */
export function drawFlags(random: Random, wanted: readonly string[] = []): Timed[] {
  if (!wanted.includes("flags") && !random.chance(FLAGS)) return [];
  const story: Timed[] = [];
  const parts = Object.keys(PARTS) as Part[];
  for (let atMs = FIRST_MS; atMs < LAST_MS; atMs += -Math.log(1 - random.next()) * FLAGS_GAP_MS) {
    const action = {
      do: "flags",
      site: site(random),
      part: random.pick(parts),
      ms: ms(random, 1, 5_000),
    } as const;
    story.push({ atMs, action });
  }
  return story;
}
