/**
 * Callers who have a certificate of our CA and are not the peer: an agent, which may not replicate at all (I11), and a reader, which may
 * read the stream and speaks as the peer all the same (I13).
 */
import type { Standing } from "../../src/domain/ha/state.ts";
import { SimPeer, type SimPeerConnection } from "./peer.ts";
import { certificateOf } from "./site.ts";
import { Violation } from "./violation.ts";
import type { World } from "./world.ts";

const STRANGER: Standing = {
  uid: "stranger",
  name: "",
  version: "1",
  namespace: "argocd",
  state: "active",
  epoch: 0,
  sinceMs: 0,
  connectedAgents: 0,
  lineage: "",
  coverage: "",
};

function dialled(world: World, as: string, to: "a" | "b"): SimPeerConnection {
  const caller = { process: world.clock.nobody, from: "stranger", certificate: certificateOf(as) };
  return new SimPeer(world.network, caller, () => to).connect();
}

/** Tries to follow a side and to speak for one. */
export function stranger(world: World, to: "a" | "b"): void {
  const peer = dialled(world, "agent-1", to);
  const stream = peer.follow({
    received: () => world.checks.found(new Violation("I11", `a stranger follows ${to}`)),
    drained: () => {},
    closed: () => {},
  });
  const resume = { session: "", revision: 0 };
  const standing = { ...STRANGER, state: "syncing" } as const;
  stream.send({ type: "hello", standing, resume, buckets: new Uint8Array() });
  peer.ask({ standing: { ...STRANGER, epoch: 1_000_000 }, examine: false }, 2_000).then(
    () => world.checks.found(new Violation("I11", `${to} answers a stranger`)),
    () => world.checks.note("I11"),
  );
  reader(world, to);
}

/** Claims the next epochs, and hands over with the standing of the side that is followed: nothing may come of it. */
function reader(world: World, to: "a" | "b"): void {
  const peer = dialled(world, "reader", to);
  const { core } = world.sites[to];
  const { epoch = 0, leader = "" } = core?.model().memory ?? {};
  const own = world.sites[to === "a" ? "b" : "a"].core?.uid ?? "";
  for (const claimed of [{ uid: own, epoch: epoch + 1 }, { uid: "", epoch: epoch + 2 }]) {
    void peer.ask({ standing: { ...STRANGER, ...claimed }, examine: false }, 2_000).catch(() => {});
  }
  const standing = { ...STRANGER, uid: leader, epoch };
  const allowed = (call: string) => () =>
    world.checks.found(new Violation("I13", `${to} lets a reader ${call}`));
  const refused = () => world.checks.note("I13");
  void peer.prepare({ standing, who: "reader" }, 2_000).then(allowed("prepare it"), refused);
  void peer.takeOver({ standing, epoch: epoch + 1 }, 2_000).then(allowed("hand over to it"), refused);
}
