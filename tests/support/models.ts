/** Models to start tests of the state machine from. */
import { initialModel, type Memory, type Model, type Standing } from "../../src/domain/ha/state.ts";

const base = initialModel(
  { preferredRole: "primary", peerAddress: "b.example:8443", uid: "m", coverage: "nothing" },
  0,
);
/** Of a replica that has a complete copy in epoch 3. */
export const memory = (part: Partial<Memory> = {}): Memory => ({
  role: "replica",
  epoch: 3,
  complete: true,
  leader: "p",
  formerActive: false,
  promised: 0,
  unproven: false,
  lineage: "l",
  coverage: "nothing",
  ...part,
});
/** The peer in that epoch. */
export const peer = (part: Partial<Standing> = {}): Standing => ({
  uid: "p",
  name: "",
  version: "1",
  namespace: "argocd",
  state: "syncing",
  epoch: 3,
  sinceMs: 0,
  connectedAgents: 12,
  lineage: "l",
  coverage: "nothing",
  ...part,
});
/** A principal with that memory. */
export const model = (part: Partial<Model>): Model => ({ ...base, memory: memory(), ...part });
