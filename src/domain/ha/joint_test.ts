/** Two machines that talk, lose each other, restart, and are commanded: every joint state to a depth. */
import { assert, assertEquals } from "@std/assert";
import { step } from "./machine.ts";
import { initialModel, type Input, type Model, type Standing } from "./state.ts";

const fresh = (preferredRole: Model["preferredRole"], uid: string) =>
  initialModel({ preferredRole, peerAddress: "b.example:8443", uid, coverage: "" }, 0);
const recorded: Input = { type: "recorded", error: "" };

/** One active per epoch and a way out, in all joint behaviour of two principals with lost messages and restarts. */
Deno.test("two machines: no joint state to depth 12 has two ACTIVE in one epoch, and an operator always finds a way", () => {
  interface Joint {
    a: Model;
    b: Model;
    /** The last word in a switchover, which may come late, or again. */
    word?: { to: "a" | "b"; peer: Standing; epoch: number };
  }
  const name = ({ a, b, word }: Joint) =>
    JSON.stringify([[a, b].map((m) => [m.state, m.memory, m.streamLive]), word]);
  const standing = (m: Model): Standing => ({
    uid: m.uid,
    name: "",
    version: "1",
    namespace: "argocd",
    state: m.state,
    epoch: m.memory.epoch,
    sinceMs: 0,
    connectedAgents: 0,
    lineage: m.memory.lineage,
    coverage: m.coverage,
  });
  /** Runs the effects of one side with the other side reachable or not. */
  const settle = (me: Model, other: Model, input: Input, linked: boolean): Model => {
    let now = me;
    const queue: Input[] = [input];
    for (let next = queue.shift(); next; next = queue.shift()) {
      const result = step(now, next, 1);
      assert(result.row, `no row takes ${JSON.stringify(next)} in ${now.state}`);
      now = result.model;
      for (const effect of result.effects) {
        if (effect.type === "askPeer" && (linked || !effect.afterMs)) {
          const answer = linked
            ? { peer: standing(other), error: "" }
            : { peer: undefined, error: "refused" };
          queue.push({ type: "peerAnswer", ...answer });
        }
        if (effect.type === "record") queue.push(recorded);
        if (effect.type === "stopFollowing") queue.push({ type: "stopped" });
      }
    }
    return now;
  };
  const remembered = ({ memory }: Model) => memory.epoch > 0 || memory.complete ? memory : undefined;
  const restart = (m: Model): Model => ({ ...fresh(m.preferredRole, m.uid), memory: m.memory });
  const moves: ((joint: Joint) => Joint)[] = [];
  const both = (move: (me: Model, other: Model) => Model) => {
    moves.push(
      ({ a, b, ...rest }) => ({ ...rest, a: move(a, b), b }),
      ({ a, b, ...rest }) => ({ ...rest, a, b: move(b, a) }),
    );
  };
  for (const linked of [false, true]) {
    both((me, other) => settle(restart(me), other, { type: "start", memory: remembered(me) }, linked));
    for (const force of [false, true]) {
      both((me, other) => settle(me, other, { type: "promote", id: 1, force }, linked));
    }
  }
  both((me, other) => settle(me, other, { type: "demote", id: 1 }, true));
  both((me, other) => settle(me, other, { type: "heard", peer: standing(other) }, true));
  both((me, other) =>
    me.state === "active" ? me : settle(me, other, { type: "streamLost", reason: "x" }, true)
  );
  both((me, other) => {
    if (other.state !== "active" || me.state === "active" || me.memory.epoch > other.memory.epoch) return me;
    const live = settle(me, other, { type: "welcomed", peer: standing(other), resumed: false }, true);
    return settle(live, other, { type: "snapshotApplied" }, true);
  });
  both((me, other) => settle(me, other, { type: "prepare", id: 1, peer: standing(other) }, true));
  for (const [from, to] of [["a", "b"], ["b", "a"]] as const) {
    moves.push((joint) => {
      const { [from]: me, [to]: other } = joint;
      if (me.state !== "active" || other.memory.promised === 0) return joint;
      const demoted = settle(me, other, { type: "demote", id: 1 }, true);
      const word = { to, peer: standing(demoted), epoch: other.memory.promised };
      return { ...joint, [from]: demoted, word };
    });
    moves.push((joint) => {
      const { word, [to]: me, [from]: other } = joint;
      if (word?.to !== to) return joint;
      const after = settle(me, other, { type: "takeOver", id: 1, ...word }, true);
      if (me.state !== "active" && after.state === "active") {
        takenOver++;
        assert(other.state !== "active" || other.memory.epoch !== after.memory.epoch, name(joint));
      }
      return { ...joint, [to]: after };
    });
  }
  let takenOver = 0;
  const start: Joint = { a: fresh("primary", "m"), b: fresh("replica", "n") };
  const first: Joint = {
    a: settle(start.a, start.b, { type: "start", memory: undefined }, true),
    b: settle(start.b, start.a, { type: "start", memory: undefined }, true),
  };
  let frontier = new Map([[name(first), first]]);
  const seen = new Set(frontier.keys());
  for (let depth = 0; depth < 12; depth++) {
    const next = new Map<string, Joint>();
    for (const joint of frontier.values()) {
      for (const move of moves) {
        const after = move(joint);
        if (after.a.memory.epoch > 25 || after.b.memory.epoch > 25 || seen.has(name(after))) continue;
        seen.add(name(after));
        next.set(name(after), after);
        const [one, two] = [after.a.memory, after.b.memory];
        const shared = one.epoch === two.epoch && one.leader !== "" && two.leader !== "";
        assert(!shared || one.leader === two.leader, `two principals claim one epoch: ${name(after)}`);
        const heardA = settle(after.a, after.b, { type: "heard", peer: standing(after.b) }, true);
        const heardB = settle(after.b, heardA, { type: "heard", peer: standing(heardA) }, true);
        const active = [heardA, heardB].filter((m) => m.state === "active").length;
        assert(active <= 1, `two stay ACTIVE although they hear each other: ${name(after)}`);
        if (active === 1) continue;
        const forced = settle(heardA, heardB, { type: "promote", id: 1, force: true }, true);
        assertEquals(forced.state, "active", `no way out of ${name(after)}`);
      }
    }
    frontier = next;
  }
  assert(seen.size > 1_500 && takenOver > 50, `only ${seen.size} joint states, ${takenOver} taken over`);
});
