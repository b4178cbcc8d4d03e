/** Planted mistakes in who may do what: callers with a certificate of our authority that are not the peer. */
import { type Mutant, mutant } from "./mutant.ts";

export const RIGHTS_MUTANTS: readonly Mutant[] = [
  mutant(
    "whoever may read may also move a role",
    "src/principal/operations/peer_server.ts",
    'const problem = right === "peer" ? this.parts.voice.notPeer(identity) : "";',
    'const problem = "";',
    ["stranger"],
  ),
  mutant(
    "the table of rights lets a reader prepare a replica",
    "src/adapters/grpc/rights.ts",
    "Prepare: { who: PEER,",
    "Prepare: { who: READ,",
    ["stranger"],
  ),
];
