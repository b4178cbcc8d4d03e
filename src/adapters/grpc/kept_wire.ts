/** Kept objects on the wire between the principals. */
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type { KeptState } from "../../principal/ports/peer.ts";
import { digestFromWire, digestToWire } from "./wire.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const REASONS: readonly KeptState["reason"][] = ["overwritten", "deleted", "foreign", "held"];
const MAX_CAUSE = 1_000;

export function keptToWire({ digest, object, ...state }: KeptState): argocdagentha.v1.KeptState {
  return {
    ...state,
    digest: digestToWire(digest),
    ...(object === "" ? {} : { object: encoder.encode(object) }),
  };
}

export function keptFromWire(wire: argocdagentha.v1.KeptState): KeptState {
  return {
    key: wire.key ?? "",
    digest: digestFromWire(wire.digest),
    reason: REASONS.find((reason) => reason === wire.reason) ?? "overwritten",
    epoch: wire.epoch ?? 0,
    newActiveHas: wire.newActiveHas === "another state" ? "another state" : "nothing",
    atMs: wire.atMs ?? 0,
    writtenAtMs: wire.writtenAtMs ?? 0,
    cause: (wire.cause ?? "").slice(0, MAX_CAUSE),
    object: decoder.decode(wire.object ?? new Uint8Array()),
  };
}
