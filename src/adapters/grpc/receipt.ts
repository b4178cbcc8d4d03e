/** A switchover's progress and receipt, to and from their wire form. */
import type { argocdagentha } from "../../../proto/gen.d.ts";
import { type Phase, PHASES, type Progress, type Receipt } from "../../domain/ha/switchover.ts";
import { digestFromWire, digestToWire, standingFromWire, standingToWire } from "./wire.ts";

type WireProgress = argocdagentha.v1.SwitchoverProgress;
type WireReceipt = argocdagentha.v1.Receipt;

const NOBODY = {
  uid: "",
  version: "",
  namespace: "",
  state: "",
  epoch: 0,
  sinceMs: 0,
  connectedAgents: 0,
} as const;

export function progressToWire({ phase, text, atMs }: Progress): WireProgress {
  return { phase, text, at_ms: atMs };
}

/** Undefined where it names no phase: that is the message with the receipt. */
export function progressFromWire({ phase = "", text = "", at_ms = 0 }: WireProgress): Progress | undefined {
  return isPhase(phase) ? { phase, text, atMs: at_ms } : undefined;
}

export function receiptToWire(receipt: Receipt): WireReceipt {
  const { after, cutRevision, digestActive, digestReplica, epochAfter, agentsBack, lostAcknowledged } =
    receipt;
  return {
    dry_run: receipt.dryRun,
    before: standingToWire(receipt.before),
    resources: receipt.resources,
    epoch_before: receipt.epochBefore,
    phases: receipt.phases,
    agents_before: receipt.agentsBefore,
    ...(after ? { after: standingToWire(after) } : {}),
    ...(cutRevision !== undefined ? { cut_revision: cutRevision } : {}),
    ...(digestActive !== undefined ? { digest_active: digestToWire(digestActive) } : {}),
    ...(digestReplica !== undefined ? { digest_replica: digestToWire(digestReplica) } : {}),
    ...(epochAfter !== undefined ? { epoch_after: epochAfter } : {}),
    ...(agentsBack !== undefined ? { agents_back: agentsBack } : {}),
    ...(lostAcknowledged !== undefined ? { lost_acknowledged: lostAcknowledged } : {}),
  };
}

export function receiptFromWire(wire: WireReceipt): Receipt {
  const after = standingFromWire(wire.after);
  return {
    dryRun: wire.dry_run ?? false,
    before: standingFromWire(wire.before) ?? NOBODY,
    resources: wire.resources ?? 0,
    epochBefore: wire.epoch_before ?? 0,
    phases: (wire.phases ?? []).flatMap(({ phase = "", ms = 0 }) => isPhase(phase) ? [{ phase, ms }] : []),
    agentsBefore: wire.agents_before ?? 0,
    ...(after ? { after } : {}),
    ...(wire.cut_revision ? { cutRevision: wire.cut_revision } : {}),
    ...(wire.digest_active?.length ? { digestActive: digestFromWire(wire.digest_active) } : {}),
    ...(wire.digest_replica?.length ? { digestReplica: digestFromWire(wire.digest_replica) } : {}),
    ...(wire.epoch_after ? { epochAfter: wire.epoch_after } : {}),
    ...(after ? { agentsBack: wire.agents_back ?? 0, lostAcknowledged: wire.lost_acknowledged ?? 0 } : {}),
  };
}

function isPhase(text: string): text is Phase {
  return (PHASES as readonly string[]).includes(text);
}
