/**
 * A managed agent's decisions about its principal's events, written from the Go agent's contract. The agent updates an
 * existing object in place if the event has the same source or comes from another principal. It deletes and recreates the
 * object if the same principal names another source.
 */
import { type ApiObject, isRecord, SOURCE_UID } from "../domain/resources/object.ts";
import type { SimCluster } from "./cluster.ts";

export const PRINCIPAL_UID = "argocd.argoproj.io/principal-uid";
const IN_CLUSTER = { name: "in-cluster" };

/** An event about an object, decoded. */
export interface ObjectEvent {
  type: string;
  kind: string;
  object: ApiObject;
  principalUid: string;
}

/** Carries an event out; the object as it is now where it changed. @throws Error, which a Go agent logs and acknowledges */
export function carryOut(cluster: SimCluster, event: ObjectEvent): ApiObject | undefined {
  const { type, kind, object } = event;
  const existing = cluster.get(kind, object.metadata.name);
  if (type === "delete") {
    if (!existing) throw new Error("not managed");
    cluster.delete(kind, object.metadata.name);
    return undefined;
  }
  if (type === "set-operation" || type === "terminate-operation") return operate(cluster, event, existing);
  // Of an Application that it does not have, a Go agent makes one, even from a state that is being deleted.
  if (existing && object.metadata.deletionTimestamp) {
    cluster.delete(kind, object.metadata.name);
    return undefined;
  }
  const application = kind === "Application";
  const source = (application && object.metadata.annotations?.[SOURCE_UID]) || object.metadata.uid || "";
  const stamped = stamp(object, source, application ? event.principalUid : "");
  if (!existing) return cluster.put(kind, stamped);
  const { [SOURCE_UID]: hadSource, [PRINCIPAL_UID]: hadPrincipal } = existing.metadata.annotations ?? {};
  if (hadSource === undefined && type !== "create") throw new Error("source UID annotation is not found");
  const moved = application && hadPrincipal !== event.principalUid;
  if (source === hadSource || moved || hadSource === undefined) {
    return cluster.put(kind, { ...stamped, status: existing["status"] ?? object["status"] });
  }
  cluster.delete(kind, object.metadata.name);
  cluster.recreated++;
  return cluster.put(kind, stamped);
}

function operate(cluster: SimCluster, { type, kind, object }: ObjectEvent, existing?: ApiObject): ApiObject {
  if (!existing) throw new Error("the Application does not exist");
  const source = object.metadata.annotations?.[SOURCE_UID] ?? object.metadata.uid;
  if (existing.metadata.annotations?.[SOURCE_UID] !== source) throw new Error("source UID mismatch");
  if (type === "set-operation") return cluster.put(kind, { ...existing, operation: object["operation"] });
  const status = isRecord(existing["status"]) ? existing["status"] : {};
  const state = isRecord(status["operationState"]) ? status["operationState"] : {};
  return cluster.put(kind, {
    ...existing,
    status: { ...status, operationState: { ...state, phase: "Terminating" } },
  });
}

function stamp(object: ApiObject, source: string, principal: string): ApiObject {
  const { status: _, operation: __, ...rest } = object;
  const { ownerReferences: ___, resourceVersion: ____, ...metadata } = object.metadata;
  const annotations = {
    ...metadata.annotations,
    [SOURCE_UID]: source,
    ...(principal === "" ? {} : { [PRINCIPAL_UID]: principal }),
  };
  const spec = isRecord(object["spec"]) && object.kind === "Application"
    ? { ...object["spec"], destination: { ...IN_CLUSTER, namespace: namespaceOf(object["spec"]) } }
    : object["spec"];
  return {
    ...rest,
    metadata: { ...metadata, annotations },
    ...(spec === undefined ? {} : { spec }),
  } as ApiObject;
}

function namespaceOf(spec: Record<string, unknown>): unknown {
  return isRecord(spec["destination"]) ? spec["destination"]["namespace"] : undefined;
}
