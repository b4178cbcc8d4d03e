/** A caller whose certificate is of our CA and who may not replicate, and tries to (I11). */
import type { Standing } from "../../src/domain/ha/state.ts";
import { SimPeer } from "./peer.ts";
import { certificateOf } from "./site.ts";
import { Violation } from "./violation.ts";
import type { World } from "./world.ts";

/** Tries to follow a side and to speak for one. */
export function stranger(world: World, to: "a" | "b"): void {
  const caller = { process: world.clock.nobody, from: "stranger", certificate: certificateOf("agent-1") };
  const peer = new SimPeer(world.network, caller, () => to).connect();
  const standing: Standing = {
    uid: "stranger",
    version: "1",
    namespace: "argocd",
    state: "syncing",
    epoch: 0,
    sinceMs: 0,
    connectedAgents: 0,
    lineage: "",
    coverage: "",
  };
  const stream = peer.follow({
    received: () => world.checks.found(new Violation("I11", `a stranger follows ${to}`)),
    drained: () => {},
    closed: () => {},
  });
  const resume = { session: "", revision: 0 };
  stream.send({ type: "hello", standing, resume, buckets: new Uint8Array() });
  peer.ask({
    standing: { ...standing, state: "active", epoch: 1_000_000 },
    examine: false,
  }, 2_000).then(
    () => world.checks.found(new Violation("I11", `${to} answers a stranger`)),
    () => world.checks.note("I11"),
  );
}
