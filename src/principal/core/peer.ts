/** Asks the peer for its standing: before going ACTIVE, and now and then while ACTIVE. */
import { reasonOf } from "../../base/reason.ts";
import type { Concerns } from "../../domain/ha/concerns.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Condition } from "../../domain/ha/preflight.ts";
import type { Holds } from "../../domain/ha/ranking.ts";
import { copyOf, isOlder, type OlderCopy, type StorePoint } from "../../domain/ha/store_history.ts";
import type { Model, Standing } from "../../domain/ha/state.ts";
import type { Dependencies } from "../../domain/resources/dependencies.ts";
import { type Peer, PeerError } from "../ports/peer.ts";
import type { Counters } from "./counters.ts";
import type { PeerSays } from "./concerns.ts";
import type { PeerNeeds } from "./dependencies.ts";
import type { Following } from "./following.ts";
import type { PeerVoice } from "./peer_voice.ts";

/** A process that does not act for its side does not speak for it. */
export const NOT_ASKED = "a process that does not act for its side does not ask the peer";

/** A peer that looks around itself may take this much longer to answer. */
export const EXAMINE_MS = 7_000;

/** The part of the principal that asks its peer. */
export interface Asking extends Conditional {
  readonly peer: Peer;
  /** Hear what the peer says of its condition. */
  readonly peerSays: Pick<PeerSays, "heard">;
  readonly peerNeeds: Pick<PeerNeeds, "heard">;
  readonly voice: Pick<PeerVoice, "problemOf">;
  readonly settings: { peerAddress: string; plainContract: boolean; peerCheckTimeoutMs: number };
  /** The marks on this side's store. */
  readonly marks: { readonly list: readonly StorePoint[] };
  model(): Model;
  standing(): Standing;
}

/** The part of the principal that tells its condition. */
export interface Conditional {
  readonly peer: Pick<Peer, "certificateNotAfterMs" | "certificateProblem">;
  readonly following: Following;
  readonly counters: Pick<Counters, "recordMs">;
  readonly index: Pick<ChangeIndex, "size">;
  /** Whether a key is configured that signs agents' tokens. */
  readonly hasSigningKey: boolean;
  model(): Model;
  /** Matters for a person here. */
  concerns(): Concerns;
  /** Everything that this side's resources name and its cluster has. */
  readonly dependencies: Pick<Dependencies, "needs">;
  storeProblem(): string;
}

export interface PeerAnswer {
  peer: Standing | undefined;
  error: string;
  /** The rest of what it says; absent where it is an older release. */
  condition?: Condition;
  /** Its clock less ours, in ms; good to half a round trip. */
  skewMs?: number;
  /** The peer has heard of a newer state of this side's store. */
  olderStore?: OlderCopy;
}

/** This side's store. */
export function holdsOf({ index, model }: Pick<Conditional, "index" | "model">): Holds {
  const { memory: { complete, unproven }, olderStore } = model();
  return { resources: index.size, complete, unproven, older: olderStore !== undefined };
}

/** The condition of this side; with `examine` also what an ACTIVE side needs of its peer. */
export function conditionOf(parts: Conditional, { examine }: { examine: boolean }): Condition {
  const { peer, following, counters } = parts;
  return {
    storeProblem: parts.storeProblem(),
    certificateNotAfterMs: peer.certificateNotAfterMs(),
    certificateProblem: peer.certificateProblem(),
    concerns: parts.concerns(),
    behind: parts.model().state === "active" ? 0 : following.behind,
    recordMs: counters.recordMs,
    noSigningKey: !parts.hasSigningKey,
    holds: holdsOf(parts),
    ...(examine && parts.model().state === "active" ? { needs: parts.dependencies.needs() } : {}),
  };
}

/**
 * Asks once, within `--ha-peer-check-timeout`. A Go principal has no answer but its `/healthz`, which is no error. With `examineMs` the
 * peer also looks around itself first, and may take so much longer.
 */
export async function askPeer(
  asking: Asking,
  { examineMs = 0, fieldsInUse }: { examineMs?: number; fieldsInUse?: readonly string[] } = {},
): Promise<PeerAnswer> {
  const { peerAddress, plainContract, peerCheckTimeoutMs } = asking.settings;
  if (peerAddress === "") return { peer: undefined, error: "" };
  if (asking.model().waiting) return { peer: undefined, error: NOT_ASKED };
  if (plainContract) return await askHealth(asking);
  const connection = asking.peer.connect();
  try {
    const askedAtMs = Date.now();
    const examine = examineMs > 0;
    const condition = { ...conditionOf(asking, { examine }), ...(fieldsInUse ? { fieldsInUse } : {}) };
    const request = { standing: asking.standing(), condition, examine };
    const asked = await connection.ask(request, peerCheckTimeoutMs + examineMs);
    const { standing, condition: theirs, nowMs = 0 } = asked;
    const problem = asking.voice.problemOf(standing);
    if (problem !== "") return { peer: undefined, error: problem };
    const marks = asking.marks.list;
    const older = isOlder(marks, asked.seen) ? { olderStore: copyOf(marks, asked.seen) } : {};
    const answer = { peer: standing, error: "", ...older };
    asking.peerSays.heard(theirs);
    asking.peerNeeds.heard(theirs);
    if (!theirs) return answer;
    return { ...answer, condition: theirs, skewMs: nowMs - (askedAtMs + Date.now()) / 2 };
  } catch (error) {
    if (error instanceof PeerError && error.kind === "unimplemented") return await askHealth(asking);
    return { peer: undefined, error: reasonOf(error) };
  } finally {
    connection.close();
  }
}

/** A Go principal has no identity and no epochs: where its `/healthz` says that it is ACTIVE, that counts as much as ours would. */
async function askHealth({ peer, settings, model }: Asking): Promise<PeerAnswer> {
  try {
    if (!await peer.healthy(settings.peerCheckTimeoutMs)) return { peer: undefined, error: "" };
    const unnamed = {
      uid: "",
      name: "",
      version: "",
      namespace: "",
      sinceMs: 0,
      connectedAgents: 0,
      lineage: "",
      coverage: "",
    };
    return { peer: { ...unnamed, state: "active", epoch: model().memory.epoch }, error: "" };
  } catch (error) {
    return { peer: undefined, error: reasonOf(error) };
  }
}
