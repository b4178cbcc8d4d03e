/** Leader and follower against each other, without a network: whatever breaks, both end with the same. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { seeded } from "../../../tests/support/random.ts";
import { asIncoming } from "../../../tests/support/replication.ts";
import { bucketOf, BUCKETS, DIGEST_BYTES } from "../changes/digest.ts";
import { ChangeIndex } from "../changes/index.ts";
import type { IncomingChange } from "./applier.ts";
import { FollowerProtocol } from "./follower.ts";
import { LEADER_LIMITS, LeaderProtocol, type Outgoing, ProtocolError } from "./leader.ts";

const digest = (text: string) => {
  let n = 7;
  for (const c of text) n = (n * 31 + c.charCodeAt(0)) >>> 0;
  return n.toString(16).padStart(8, "0").repeat(4);
};
const put = (index: ChangeIndex, key: string, payload: string) =>
  index.put(key, { payload, digest: digest(key + payload), version: "1", now: 0 });
const app = (n: number) => `Application/ns/app-${n}`;
const NOWHERE = { session: "", revision: 0 };

/** A stream between two indexes; the follower's writes go straight into its index. */
class Link {
  readonly leader: LeaderProtocol;
  readonly follower: FollowerProtocol;
  readonly sent: Outgoing[] = [];
  readonly resumed: boolean;

  /**
   * @param meanwhile what happens while the leader waits for the follower's answer
   * @param stored what the leader's store has of a key that its index has not heard of
   */
  constructor(
    private readonly from: ChangeIndex,
    readonly to: ChangeIndex,
    position = NOWHERE,
    limits = LEADER_LIMITS,
    meanwhile = () => {},
    private readonly stored: Record<string, string> = {},
  ) {
    this.leader = new LeaderProtocol(from, limits);
    this.follower = new FollowerProtocol(to, position);
    const opening = this.leader.hello(position, to.digests.toBytes());
    this.resumed = opening.resumed;
    meanwhile();
    for (const have of this.follower.welcome(from.session, opening.resumed, opening.differing)) {
      this.leader.have(have.entries, have.last);
    }
  }

  send(): boolean {
    for (const key of this.leader.toLookUp()) {
      const stored = this.stored[key];
      if (stored !== undefined) put(this.from, key, stored);
      this.leader.looked(key);
    }
    const message = this.leader.next();
    if (!message) return false;
    this.sent.push(message);
    const { header, changes } = asIncoming(message);
    this.follower.changes(header, changes);
    return true;
  }

  apply(limit: number, now = 0): void {
    for (const change of this.follower.applier.take(limit, now)) {
      if (change.object === undefined) this.to.remove(change.key, "", 0);
      else put(this.to, change.key, change.object);
      this.follower.applier.succeeded(change);
    }
    this.follower.settle();
  }

  acknowledge(): void {
    this.leader.ack(this.follower.applier.processed, this.follower.applier.applied);
  }

  run(): void {
    for (let n = 0; n < 100_000; n++) {
      const sent = this.send();
      this.apply(1_000);
      this.acknowledge();
      if (!sent && this.caughtUp) return;
    }
    throw new Error("the stream never catches up");
  }

  /** The follower has durably applied everything that the leader's index holds now. */
  get caughtUp(): boolean {
    const { leader, follower } = this;
    return follower.live && leader.pending === 0 && leader.applied === leader.sent;
  }

  get travelled(): string[] {
    return this.sent.flatMap((message) => message.changes.map(({ key }) => key));
  }
}

Deno.test("a snapshot to an empty follower carries everything once, ApplicationSets before Applications", () => {
  const [a, b] = [new ChangeIndex("a"), new ChangeIndex("b")];
  for (let n = 0; n < 1_200; n++) put(a, app(n), String(n));
  put(a, "ApplicationSet/ns/set", "1");
  const link = new Link(a, b);
  link.run();
  assertEquals(b.digests.root(), a.digests.root());
  assertEquals(link.travelled.length, 1_201);
  assertEquals(link.travelled[0], "ApplicationSet/ns/set");
  assert(link.caughtUp);
});

Deno.test("two principals that agree exchange nothing", () => {
  const [a, b] = [new ChangeIndex("a"), new ChangeIndex("b")];
  for (let n = 0; n < 500; n++) for (const index of [a, b]) put(index, app(n), String(n));
  const link = new Link(a, b);
  link.run();
  assertEquals(link.travelled, []);
  assert(link.follower.live);
});

Deno.test("what changes while the digests are compared travels too, in whichever bucket", () => {
  const from = new ChangeIndex("a");
  const to = new ChangeIndex("b");
  for (let n = 0; n < 50; n++) for (const index of [from, to]) put(index, app(n), "same");
  put(from, app(1), "differs");
  const link = new Link(from, to, NOWHERE, LEADER_LIMITS, () => {
    for (let n = 0; n < 50; n += 7) put(from, app(n), "changed meanwhile");
    put(from, app(1_000), "made meanwhile");
    from.remove(app(2), "", 0);
  });
  link.run();
  assertEquals(to.digests.root(), from.digests.root());
});

Deno.test("only keys that differ travel, and keys that the leader lacks are deleted", () => {
  const [a, b] = [new ChangeIndex("a"), new ChangeIndex("b")];
  for (let n = 0; n < 500; n++) for (const index of [a, b]) put(index, app(n), String(n));
  put(a, app(7), "changed");
  put(a, app(900), "new");
  put(b, app(901), "stray");
  const link = new Link(a, b);
  link.run();
  assertEquals(link.travelled.sort(), [app(7), app(900), app(901)]);
  assertEquals(b.get(app(901))?.deleted, true);
  assertEquals(b.digests.root(), a.digests.root());
});

Deno.test("a broken stream resumes from its position: only what changed meanwhile travels", () => {
  const [a, b] = [new ChangeIndex("a"), new ChangeIndex("b")];
  for (let n = 0; n < 300; n++) put(a, app(n), String(n));
  const first = new Link(a, b);
  first.run();
  put(a, app(3), "later");
  a.remove(app(4), "", 0);
  const second = new Link(a, b, first.follower.resumeAt);
  assert(second.resumed);
  second.run();
  assertEquals(second.travelled, [app(3), app(4)]);
  const other = new Link(new ChangeIndex("restarted"), b, second.follower.resumeAt);
  assert(!other.resumed, "a position of another session means nothing");
});

Deno.test("a stream that breaks during the snapshot is not resumable and compares digests again", () => {
  const [a, b] = [new ChangeIndex("a"), new ChangeIndex("b")];
  for (let n = 0; n < 1_200; n++) put(a, app(n), String(n));
  const first = new Link(a, b);
  first.send();
  first.apply(500);
  assertEquals(first.follower.resumeAt, NOWHERE);
  const second = new Link(a, b, first.follower.resumeAt);
  second.run();
  assertEquals(second.travelled.length, 700);
});

Deno.test("a stream that breaks while the last writes of a snapshot are under way compares again: the copy was never found complete", () => {
  const [a, b] = [new ChangeIndex("a"), new ChangeIndex("b")];
  put(a, app(1), "1");
  const first = new Link(a, b);
  first.send();
  for (const change of first.follower.applier.take(10, 0)) {
    put(b, change.key, change.object ?? "");
    first.follower.applier.succeeded(change);
  }
  assertEquals(first.follower.resumeAt, NOWHERE);
  const second = new Link(a, b, first.follower.resumeAt);
  second.run();
  assertEquals([second.resumed, second.travelled.length, second.follower.live], [false, 0, true]);
});

Deno.test("a leader sends no more than its window to a replica that does not acknowledge", () => {
  const [a, b] = [new ChangeIndex("a"), new ChangeIndex("b")];
  for (let n = 0; n < 5_000; n++) put(a, app(n), String(n));
  const link = new Link(a, b);
  while (link.send());
  assertEquals(link.leader.sent, LEADER_LIMITS.windowChanges);
  assertEquals(link.leader.pending, 3_000);
});

Deno.test("a leader sends no more bytes than its window, and a message more, to a replica that does not acknowledge", () => {
  const [a, b] = [new ChangeIndex("a"), new ChangeIndex("b")];
  for (let n = 0; n < 100; n++) put(a, app(n), "x".repeat(1_000));
  const link = new Link(a, b, NOWHERE, { ...LEADER_LIMITS, windowBytes: 10_000, maxMessageBytes: 3_000 });
  while (link.send());
  assertEquals([link.leader.sent, link.leader.pending], [12, 88]);
  link.apply(4);
  link.acknowledge();
  while (link.send());
  assertEquals(link.leader.sent, 15, "as much as was acknowledged");
  link.run();
  assertEquals(b.digests.root(), a.digests.root());
});

Deno.test("a held key holds the position and does not stop the stream", () => {
  const [a, b] = [new ChangeIndex("a"), new ChangeIndex("b")];
  put(a, app(1), "1");
  const link = new Link(a, b);
  link.run();
  const position = link.follower.resumeAt;
  put(a, app(2), "bad");
  link.send();
  const [bad] = link.follower.applier.take(1, 0) as [IncomingChange];
  link.follower.applier.failed(bad, "no", 0, 0);
  put(a, app(3), "good");
  link.send();
  link.apply(9);
  link.acknowledge();
  assertEquals(b.get(app(3))?.payload, "good");
  assertEquals(link.follower.resumeAt, position);
  assert(link.leader.appliedRevision < 2);
});

Deno.test("LeaderProtocol refuses what breaks the protocol", () => {
  const a = new ChangeIndex("a");
  put(a, app(1), "1");
  const empty = new Uint8Array(BUCKETS * DIGEST_BYTES);
  const cases: [string, (leader: LeaderProtocol) => void][] = [
    ["second hello", (l) => l.hello(NOWHERE, empty)],
    ["ack beyond what was sent", (l) => l.ack(5, 5)],
    ["applied beyond processed", (l) => l.ack(0, 1)],
    ["bucket not asked for", (l) => l.have([{ key: otherBucket(app(1)), digest: "" }], true)],
    ["malformed key", (l) => l.have([{ key: sameBucket(app(1)), digest: "" }], true)],
  ];
  for (const [name, act] of cases) {
    const leader = new LeaderProtocol(a);
    leader.hello(NOWHERE, empty);
    try {
      act(leader);
      assert(false, `${name} was accepted`);
    } catch (error) {
      assert(error instanceof ProtocolError, name);
    }
  }
});

Deno.test("FollowerProtocol refuses gaps, a second Welcome and a foreign resumption", () => {
  const header = { count: 1, revision: 0, snapshot: false, snapshotEnd: false, snapshotRemaining: 0 };
  const fresh = () => new FollowerProtocol(new ChangeIndex("b"), NOWHERE);
  const cases: ((follower: FollowerProtocol) => void)[] = [
    (f) => f.changes({ ...header, firstSequence: 1 }, []),
    (f) => (f.welcome("a", false, []), f.welcome("a", false, [])),
    (f) => f.welcome("a", true, []),
    (f) => f.welcome("", false, []),
    (f) => (f.welcome("a", false, []), f.changes({ ...header, firstSequence: 2 }, [])),
  ];
  for (const act of cases) {
    try {
      act(fresh());
      assert(false, `${act} was accepted`);
    } catch (error) {
      assert(error instanceof ProtocolError);
    }
  }
});

/** Convergence and idempotence without a network: any interleaving of writes, breaks, restarts and slow replicas. */
Deno.test("leader and follower converge under any interleaving, by seed", () => {
  for (let seed = 1; seed <= 150; seed++) {
    const random = seeded(seed);
    let a = new ChangeIndex("a0", { maxTombstones: 5 });
    const b = new ChangeIndex("b");
    const limits = {
      ...LEADER_LIMITS,
      windowChanges: 1 + random.int(20),
      windowBytes: 1 + random.int(100),
      maxMessageChanges: 1 + random.int(7),
    };
    const meanwhile = () => {
      if (random.chance(0.5)) put(a, app(random.int(30)), `meanwhile ${random.next()}`);
    };
    let link = new Link(a, b, NOWHERE, limits, meanwhile);
    for (let n = 0; n < 300; n++) {
      const dice = random.int(20);
      if (dice < 8) put(a, app(random.int(30)), String(n));
      else if (dice < 10) a.remove(app(random.int(30)), "", 0);
      else if (dice < 14) link.send();
      else if (dice < 16) link.apply(random.int(10));
      else if (dice < 18) link.acknowledge();
      else if (dice === 18) link = new Link(a, b, link.follower.resumeAt, limits, meanwhile);
      else {
        const restarted = new ChangeIndex(`a${n}`, { maxTombstones: 5 });
        for (const entry of a.live()) put(restarted, entry.key, entry.payload);
        a = restarted;
        link = new Link(a, b, link.follower.resumeAt, limits, meanwhile);
      }
    }
    link.run();
    assertEquals(b.digests.root(), a.digests.root(), `seed ${seed}`);
  }
});

function otherBucket(key: string): string {
  for (let n = 0;; n++) if (bucketOf(app(n)) !== bucketOf(key)) return app(n);
}

function sameBucket(key: string): string {
  for (let n = 0;; n++) if (bucketOf(`bad ${n}`) === bucketOf(key)) return `bad ${n}`;
}

Deno.test("LeaderProtocol.resend() sends keys as they are now, through the stream and before what is new", () => {
  const [from, to] = [new ChangeIndex("leader"), new ChangeIndex("replica")];
  for (const n of [1, 2, 3]) put(from, app(n), "x");
  const link = new Link(from, to);
  while (link.send()) link.apply(10);
  to.remove(app(1), "", 0);
  put(to, app(9), "of somebody else");
  put(from, app(3), "new");
  link.leader.resend([app(1), app(9)]);
  assertEquals(link.leader.pending, 3);
  while (link.send()) link.apply(10);
  assertEquals(link.sent.at(-1)?.changes.map(({ key }) => key), [app(1), app(9), app(3)]);
  assertEquals(to.digests.root(), from.digests.root());
  assert(assertThrows(() => link.leader.resend(["no key"])) instanceof ProtocolError);
});

Deno.test("what the leader's index has never heard of is looked up: deleted only where the store has none, and the snapshot waits for that", () => {
  const [from, to] = [new ChangeIndex("leader"), new ChangeIndex("replica")];
  for (const n of [1, 2, 3]) put(to, app(n), "x");
  put(from, app(3), "x");
  from.remove(app(3), "", 0);
  const link = new Link(from, to, NOWHERE, LEADER_LIMITS, () => {}, { [app(1)]: "newer" });
  assertEquals([link.leader.next(), link.leader.pending], [undefined, 3]);
  link.run();
  assertEquals([...to.live()].map(({ key, payload }) => [key, payload]), [[app(1), "newer"]]);
  put(to, app(4), "of somebody else");
  link.leader.resend([app(4)]);
  assertEquals([link.leader.toLookUp(), link.leader.toLookUp(), link.caughtUp], [[app(4)], [], false]);
  link.leader.looked(app(4));
  link.run();
  assertEquals(to.digests.root(), from.digests.root());
});
