/**
 * `ha diff --repair`: the replica asks its leader to resend the present state of some keys. They come through the stream like any
 * other change, in its order, so that nothing older is written over something newer and what cannot be written is held and told.
 */
import { monotonicMs } from "../../base/clock.ts";
import { until } from "../../base/until.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import type { Standing } from "../../domain/ha/state.ts";
import { type Key, parseKey } from "../../domain/resources/keys.ts";
import { mayReplicate } from "../../domain/resources/kinds.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import type { Following } from "../core/following.ts";
import { MAX_REPAIRED, type RepairOptions } from "../ports/operations.ts";
import type { Peer, PeerConnection, Repaired } from "../ports/peer.ts";
import { TIMEOUT_MS, withPeer } from "./diff.ts";
import type { Machine } from "./machine.ts";

const MAX_REPAIR_MS = 60_000;
/** The ACTIVE's digests, which may change meanwhile, are asked for this often at least. */
const ASK_EVERY_MS = 500;
const ASK_MS = 5_000;
const MAX_KEY = 300;

/** The parts that a repair needs. */
export interface RepairParts extends Machine {
  readonly settings: { readonly peerAddress: string; readonly scope: Scope };
  readonly index: ChangeIndex;
  readonly following: Following;
  readonly peer: Pick<Peer, "connect">;
  standing(): Standing;
}

/** From either side of the pair: the ACTIVE has its replica repaired. @throws Refusal */
export async function repair(ctx: RepairParts, options: RepairOptions): Promise<Repaired> {
  if (ctx.model().state !== "active" || ctx.settings.peerAddress === "") {
    return await repairHere(ctx, options);
  }
  return await withPeer(
    ctx,
    "have the replica repaired",
    (connection) => connection.repair({ ...options, standing: ctx.standing() }, MAX_REPAIR_MS + TIMEOUT_MS),
  );
}

/** Repairs keys of this side's copy and waits until they are what the ACTIVE has, at most `timeoutMs`. @throws Refusal */
export async function repairHere(ctx: RepairParts, options: RepairOptions): Promise<Repaired> {
  const { keys } = options;
  if (keys.length === 0 || keys.length > MAX_REPAIRED) {
    throw new Refusal(`cannot repair: ${keys.length} keys are named; name 1 to ${MAX_REPAIRED}`, "request");
  }
  const { resend } = ctx.following;
  const end = await ctx.begin("repair", resend ? "" : "the ACTIVE is a Go principal, which resends nothing");
  try {
    return await repaired(ctx, options);
  } finally {
    end();
  }
}

async function repaired(ctx: RepairParts, { keys, who, timeoutMs }: RepairOptions): Promise<Repaired> {
  const { following, settings, index } = ctx;
  const limitMs = Math.min(timeoutMs || TIMEOUT_MS, MAX_REPAIR_MS);
  const failed = keys.filter((key) => {
    const parts = parseKey(key);
    return !parts || !mayReplicate(parts, settings.scope);
  }).map((key) => ({ key: key.slice(0, MAX_KEY), reason: "it is not the key of a replicated resource" }));
  const wanted = keys.filter((key) => !failed.some((one) => one.key === key));
  ctx.note(`diff --repair of ${wanted.length} keys`, who);
  following.resend?.(wanted);
  const untilMs = monotonicMs() + limitMs;
  let open = wanted;
  while (open.length > 0) {
    const theirs = await withPeer(ctx, "repair", (connection) => digestsOf(connection, open));
    const differs = (key: Key) => (index.present(key)?.digest ?? "") !== (theirs.get(key) ?? "");
    open = open.filter(differs);
    const held = new Map(following.held.map(({ key, reason }) => [key, reason]));
    failed.push(...open.filter((key) => held.has(key)).map((key) => ({ key, reason: held.get(key) ?? "" })));
    open = open.filter((key) => !held.has(key));
    const leftMs = untilMs - monotonicMs();
    if (leftMs < 0) break;
    await until(() => !open.some(differs), {
      changed: [(notify) => index.onChange(notify)],
      withinMs: Math.min(leftMs, ASK_EVERY_MS),
    });
  }
  failed.push(
    ...open.map((key) => ({ key, reason: `it still differs after ${limitMs} ms; see: ha diff ${key}` })),
  );
  const lost = new Set(failed.map(({ key }) => key));
  return { done: wanted.filter((key) => !lost.has(key)), failed };
}

async function digestsOf(connection: PeerConnection, keys: readonly Key[]): Promise<Map<Key, string>> {
  const entries = await connection.fetch(keys, undefined, ASK_MS);
  return new Map(entries.map(({ key, digest }) => [key, digest]));
}
