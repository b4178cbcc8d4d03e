/**
 * A saved state as an operator has it written over the present one. It asks for nothing again: an operation was carried out, or was
 * overtaken, when the state was saved. And what agents have reported since stays: the present status is the newer one.
 */
import { sameJson } from "../../base/json.ts";
import type { ApiObject } from "./object.ts";

/** The state to write; `present` undefined: there is none now. */
export function adoptedState(saved: ApiObject, present: ApiObject | undefined): ApiObject {
  const { operation: _, ...state } = saved;
  if (!present) return state as ApiObject;
  const { status: __, ...rest } = state;
  return { ...rest, ...("status" in present ? { status: present["status"] } : {}) } as ApiObject;
}

/** The times by which a present state is told to be newer than a saved one, in unix ms. */
export interface Ages {
  /** When the saved state was written; 0: not known. */
  savedAtMs: number;
  /** When the present state was last changed. */
  presentAtMs: number;
  /** Since when the present state's principal is ACTIVE: until then it wrote only what it received. */
  activeSinceMs: number;
}

/** Whether a present state that differs in more than its status may be newer: in doubt it is. Both in their replicated forms. */
export function mayBeNewer(saved: ApiObject, present: ApiObject, ages: Ages): boolean {
  const content = ({ status: _, operation: __, ...rest }: ApiObject) => rest;
  if (sameJson(content(saved), content(present))) return false;
  return ages.presentAtMs > (ages.savedAtMs || ages.activeSinceMs);
}
