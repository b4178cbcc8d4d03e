import { assertEquals } from "@std/assert";
import { monotonicMs } from "../../base/clock.ts";
import { Replicas, type ReplicaSession } from "../core/replica_sessions.ts";
import { tellsHeld, untilApplied } from "./mending.ts";

const FAR_MS = 60_000;
const SOON_MS = 200;

function session(
  identity: string,
  change: Partial<{ -readonly [Name in keyof ReplicaSession]: ReplicaSession[Name] }> = {},
): { -readonly [Name in keyof ReplicaSession]: ReplicaSession[Name] } {
  return {
    identity,
    counts: identity === "peer",
    contract: "link",
    sinceMs: 0,
    standing: undefined,
    sent: 0,
    applied: 0,
    pending: 0,
    heldTotal: 0,
    appliedRevision: 0,
    receivedRevision: undefined,
    unwritten: 0,
    equalAtMs: 0,
    ...change,
  };
}

Deno.test("untilApplied() calls the peer gone although a slow reader of the stream stays, and does not take the reader's word", async () => {
  const replicas = new Replicas();
  replicas.add(session("reader", { appliedRevision: 5 }));
  assertEquals(await untilApplied(replicas, 5, monotonicMs() + SOON_MS), "gone");
  const peer = session("peer", { appliedRevision: 4 });
  replicas.add(peer);
  assertEquals(await untilApplied(replicas, 5, monotonicMs() + SOON_MS), "late");
  const waiting = untilApplied(replicas, 5, monotonicMs() + FAR_MS);
  replicas.delete(peer);
  replicas.add(session("peer", { appliedRevision: 5 }));
  assertEquals(await waiting, "applied");
});

Deno.test("tellsHeld() hears the peer and no other reader", async () => {
  const replicas = new Replicas();
  replicas.add(session("reader", { heldTotal: 1 }));
  const peer = session("peer");
  replicas.add(peer);
  const telling = tellsHeld(replicas);
  peer.heldTotal = 2;
  replicas.acknowledged();
  assertEquals(await telling, true);
});
