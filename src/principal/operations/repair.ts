/**
 * `ha diff --repair`: the replica asks its leader for the present state of some keys again. They come through the stream like any
 * other change, in its order, so that nothing older is written over something newer and what cannot be written is held and told.
 */
import { delay } from "@std/async/delay";
import { reasonOf } from "../../base/reason.ts";
import { parseKey } from "../../domain/resources/keys.ts";
import { mayReplicate } from "../../domain/resources/kinds.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Context } from "../core/context.ts";
import { Refusal } from "../../domain/ha/refusal.ts";

/** What became of each key. */
export interface Repaired {
  done: string[];
  failed: { key: string; reason: string }[];
}

/** Keys that one repair takes at most. */
export const MAX_REPAIRED = 1_000;
/** How long a repair may take. */
export const REPAIR_MS = { usual: 20_000, max: 60_000 };
const LOOK_MS = 50;
const ASK_MS = 5_000;

/** Repairs keys of this side's copy and waits until they are what the ACTIVE has, at most `timeoutMs` (0: the usual). @throws Refusal */
export async function repair(
  ctx: Context,
  { keys, who, ...asked }: { keys: readonly string[]; timeoutMs: number; who: string },
): Promise<Repaired> {
  if (keys.length === 0 || keys.length > MAX_REPAIRED) {
    throw new Refusal(`name 1 to ${MAX_REPAIRED} keys`, "request");
  }
  const timeoutMs = Math.min(asked.timeoutMs || REPAIR_MS.usual, REPAIR_MS.max);
  const { following, settings } = ctx;
  const { state } = ctx.model();
  if (state !== "replicating" || !following.resend) {
    throw new Refusal(
      `cannot repair: this side is ${state}${
        state === "replicating" ? " from a Go principal, which sends nothing again" : ", not REPLICATING"
      }; see: ha explain`,
    );
  }
  const failed = keys.filter((key) => {
    const parts = parseKey(key);
    return !parts || !mayReplicate(parts, settings.scope);
  }).map((key) => ({ key: key.slice(0, 300), reason: "it is not the key of a replicated resource" }));
  const wanted = keys.filter((key) => !failed.some((one) => one.key === key));
  ctx.note(`diff --repair of ${wanted.length} keys`, who);
  following.resend(wanted);
  const until = monotonicMs() + timeoutMs;
  let open = wanted;
  while (open.length > 0) {
    const theirs = await digestsAtActive(ctx, open);
    open = open.filter((key) => (ctx.index.present(key)?.digest ?? "") !== (theirs.get(key) ?? ""));
    const held = new Map(following.held.map(({ key, reason }) => [key, reason]));
    failed.push(...open.filter((key) => held.has(key)).map((key) => ({ key, reason: held.get(key) ?? "" })));
    open = open.filter((key) => !held.has(key));
    if (monotonicMs() > until) break;
    if (open.length > 0) await delay(LOOK_MS);
  }
  failed.push(
    ...open.map((key) => ({ key, reason: `it still differs after ${timeoutMs} ms; see: ha diff ${key}` })),
  );
  const lost = new Set(failed.map(({ key }) => key));
  return { done: wanted.filter((key) => !lost.has(key)), failed };
}

async function digestsAtActive(ctx: Context, keys: readonly string[]): Promise<Map<string, string>> {
  const peer = ctx.peer.connect();
  try {
    const entries = await peer.fetch(keys, undefined, ASK_MS);
    return new Map(entries.map(({ key, digest }) => [key, digest]));
  } catch (error) {
    throw new Refusal(`cannot repair: ${reasonOf(error)}`);
  } finally {
    peer.close();
  }
}
