/** A switchover's progress and receipt, to and from their wire form. */
import type { argocdagentha } from "../../../proto/gen.d.ts";
import { noted } from "../../domain/ha/concerns.ts";
import { type Phase, PHASES, type Progress, type Receipt } from "../../domain/ha/switchover.ts";
import { digestFromWire, digestToWire, standingFromWire } from "./wire.ts";

type WireProgress = argocdagentha.v1.SwitchoverProgress;
type WireReceipt = argocdagentha.v1.Receipt;

const NOBODY = {
  uid: "",
  name: "",
  version: "",
  namespace: "",
  state: "",
  epoch: 0,
  sinceMs: 0,
  connectedAgents: 0,
  lineage: "",
  coverage: "",
} as const;

/** Undefined where it names no phase: that is the message with the receipt. */
export function progressFromWire({ phase = "", text = "", atMs = 0 }: WireProgress): Progress | undefined {
  return isPhase(phase) ? { phase, text, atMs } : undefined;
}

export function receiptToWire({ differing, ...receipt }: Receipt): WireReceipt {
  return {
    ...receipt,
    differing: differing.count,
    differingKeys: [...differing.examples],
    digestActive: digestToWire(receipt.digestActive ?? ""),
    digestReplica: digestToWire(receipt.digestReplica ?? ""),
  };
}

export function receiptFromWire(wire: WireReceipt): Receipt {
  const after = standingFromWire(wire.after);
  return {
    dryRun: wire.dryRun ?? false,
    differing: noted(wire.differingKeys ?? [], wire.differing ?? 0),
    before: standingFromWire(wire.before) ?? NOBODY,
    resources: wire.resources ?? 0,
    epochBefore: wire.epochBefore ?? 0,
    phases: (wire.phases ?? []).flatMap(({ phase = "", ms = 0 }) => isPhase(phase) ? [{ phase, ms }] : []),
    agentsBefore: wire.agentsBefore ?? 0,
    ...(after ? { after } : {}),
    ...(wire.cutRevision ? { cutRevision: wire.cutRevision } : {}),
    ...(wire.digestActive?.length ? { digestActive: digestFromWire(wire.digestActive) } : {}),
    ...(wire.digestReplica?.length ? { digestReplica: digestFromWire(wire.digestReplica) } : {}),
    ...(wire.epochAfter ? { epochAfter: wire.epochAfter } : {}),
    ...(after ? { agentsBack: wire.agentsBack ?? 0, lostAcknowledged: wire.lostAcknowledged ?? 0 } : {}),
  };
}

function isPhase(text: string): text is Phase {
  return (PHASES as readonly string[]).includes(text);
}
