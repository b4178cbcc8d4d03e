/** Every message of a `Follow` stream is on the other side what it was, through the bytes. */
import { assertEquals } from "@std/assert";
// @ts-types="../../../proto/gen.d.ts"
import { argocdagentha } from "../../../proto/gen.js";
import { ChangeIndex } from "../../domain/changes/index.ts";
import type { Standing } from "../../domain/ha/state.ts";
import type { FollowerMessage, SentByLeader } from "../../domain/replication/messages.ts";
import { asHeard } from "../../../tests/support/replication.ts";
import {
  followerMessageFromWire,
  followerMessageToWire,
  leaderMessageFromWire,
  leaderMessageToWire,
} from "./follow_wire.ts";
import { standingFromWire } from "./wire.ts";

const { FollowerMessage: Follower, LeaderMessage: Leader, Standing: WireStanding } = argocdagentha.v1;
const DIGEST = "0123456789abcdef".repeat(2);
const STANDING: Standing = {
  uid: "a",
  name: "",
  version: "1.2.3",
  namespace: "argocd",
  state: "active",
  epoch: 7,
  sinceMs: 1_700_000_000_000,
  connectedAgents: 3,
  lineage: "",
  coverage: "",
};

Deno.test("each of a replica's messages passes the wire unchanged", () => {
  const messages: FollowerMessage[] = [
    {
      type: "hello",
      standing: STANDING,
      resume: { session: "s", revision: 5 },
      buckets: new Uint8Array([1, 2, 3]),
    },
    { type: "have", entries: [{ key: "k", digest: DIGEST }, { key: "l", digest: "" }], last: true },
    { type: "resend", keys: ["k", "l"] },
    {
      type: "ack",
      ack: {
        received: 10,
        unwritten: 2,
        processed: 9,
        applied: 8,
        held: [{ key: "k", reason: "no namespace" }],
        heldTotal: 1,
        standing: STANDING,
        saidAtMs: 12.5,
        equalAtMs: 11.5,
      },
    },
  ];
  for (const message of messages) {
    const bytes = Follower.encode(followerMessageToWire(message)).finish();
    const { buckets, ...heard } = followerMessageFromWire(Follower.decode(bytes)) as Record<string, unknown>;
    const read = buckets ? { ...heard, buckets: new Uint8Array(buckets as Uint8Array) } : heard;
    assertEquals(read, message as Record<string, unknown>);
  }
  assertEquals(followerMessageFromWire({}), undefined);
});

Deno.test("each of a leader's messages reaches its replica as the replica reads it", () => {
  const index = new ChangeIndex("s");
  index.put("k", { payload: '{"a":"ü"}', digest: DIGEST, version: "1", now: 4 });
  index.put("l", { payload: "{}", digest: DIGEST, version: "2", now: 5 });
  index.remove("l", "3", 6);
  const changes = ["k", "l", "unknown"].map((key) => {
    const entry = index.get(key);
    return entry ? { key, entry } : { key };
  });
  const header = { revision: 3, snapshot: true, snapshotEnd: true, snapshotRemaining: 2 };
  const store = { mark: "own", version: 2 ** 40 };
  const messages: SentByLeader[] = [
    {
      type: "welcome",
      standing: { ...STANDING, store },
      session: "s",
      resumed: false,
      differing: [1, 4095],
      marks: [{ mark: "earlier", version: 3 }, store],
    },
    { type: "changes", changes: { ...header, firstSequence: 11, changes }, store },
    {
      type: "heartbeat",
      standing: STANDING,
      beat: { sequence: 13, pending: 1, digest: DIGEST, revision: 3, saidAtMs: 12.5, sentAtMs: 14.5 },
    },
  ];
  for (const message of messages) {
    const bytes = Leader.encode(leaderMessageToWire(message)).finish();
    assertEquals(leaderMessageFromWire(Leader.decode(bytes)), asHeard(message));
  }
  assertEquals(leaderMessageFromWire({}), undefined);
});

Deno.test("standingFromWire() takes what a peer says of itself, epoch and all, and bounds it", () => {
  const read = (wire: object) => standingFromWire(WireStanding.decode(WireStanding.encode(wire).finish()));
  assertEquals(read(STANDING), STANDING);
  assertEquals(read({ state: "king", uid: "u".repeat(100), name: "n".repeat(100) }), {
    ...STANDING,
    uid: "u".repeat(64),
    name: "n".repeat(64),
    version: "",
    namespace: "",
    state: "",
    epoch: 0,
    sinceMs: 0,
    connectedAgents: 0,
    lineage: "",
    coverage: "",
  });
  assertEquals(standingFromWire(undefined), undefined);
});
