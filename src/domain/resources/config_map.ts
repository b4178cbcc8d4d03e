/** ConfigMaps, in which a principal keeps its own state. */
import { type ApiObject, isRecord } from "./object.ts";

/** A ConfigMap of these fields. */
export function configMap(namespace: string, name: string, data: Record<string, string>): ApiObject {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data };
}

/** The `data` of a ConfigMap or Secret; empty where there is none. */
export function dataOf(object: ApiObject | undefined): Record<string, unknown> {
  const data = object?.["data"];
  return isRecord(data) ? data : {};
}
