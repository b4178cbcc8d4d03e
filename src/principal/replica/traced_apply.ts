/** A change of the leader's on its way into this store, as a span that continues the change there. */
import type { IncomingChange } from "../../domain/replication/applier.ts";
import { parseKey } from "../../domain/resources/keys.ts";
import { spanned, type Tracing } from "../ports/tracing.ts";

/** Applies a change. */
export async function tracedApply(
  tracing: Tracing,
  { key, trace, object, sequence }: IncomingChange,
  apply: () => Promise<void>,
): Promise<void> {
  if (!trace) return await apply();
  const { kind = "", namespace = "", name = "" } = parseKey(key) ?? {};
  const attributes = {
    "argocd.operation.type": object === undefined ? "delete" : "upsert",
    "argocd.replication.sequence": sequence,
    "k8s.resource.kind": kind,
    "k8s.namespace.name": namespace,
    "k8s.resource.name": name,
  };
  await spanned(tracing, `replicate ${kind}`, { parent: trace, kind: "consumer", attributes }, () => apply());
}
