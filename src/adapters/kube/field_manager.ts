/** The last writer of an object, as the API server notes it in managedFields. */
import { type ApiObject, isRecord } from "../../domain/resources/object.ts";

/** The name under which this principal writes. */
export const OWN_MANAGER = "argocd-agent-ha";

/** The manager of the latest change; empty: not known, or this principal, whose entry says nothing of others' deletions. */
export function lastManager({ metadata }: ApiObject): string {
  const entries = metadata["managedFields"];
  if (!Array.isArray(entries)) return "";
  let [manager, latest] = ["", ""];
  for (const entry of entries) {
    if (!isRecord(entry)) continue;
    const { manager: name, time } = entry;
    if (typeof name !== "string" || typeof time !== "string" || time < latest) continue;
    [manager, latest] = [name, time];
  }
  return manager === OWN_MANAGER ? "" : manager;
}
