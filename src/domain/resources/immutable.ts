/** Fields that an API server never changes in place: another value takes another object. */
import { sameJson } from "../../base/json.ts";
import { normalForm } from "./normal.ts";
import type { ApiObject } from "./object.ts";

const CONTENT = ["data", "binaryData", "immutable"];

/** Whether `from` can become `to` only by being deleted and recreated: another type of Secret, or content marked immutable. */
export function mustReplace(from: ApiObject, to: ApiObject): boolean {
  if (from.apiVersion !== "v1") return false;
  const [before, after] = [normalForm(from), normalForm(to)];
  const differs = (field: string) => !sameJson(before[field], after[field]);
  return (from.kind === "Secret" && differs("type")) ||
    (before["immutable"] === true && CONTENT.some(differs));
}
