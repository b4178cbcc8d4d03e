/** The difference of two states of an object as a JSON patch, by whole fields of the object and of its metadata. Pure. */
import { sameJson } from "../../base/json.ts";
import { normalForm } from "../../domain/resources/normal.ts";
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import type { PatchOperation } from "../kube/dynamic_client.ts";

/** Makes a patch one of exactly this state: the API server answers 409 when there is another by now. */
export function onlyAt({ metadata }: StoredObject): PatchOperation[] {
  return [{ op: "add", path: "/metadata/resourceVersion", value: metadata.resourceVersion }];
}

/** The patch that turns `from` into `to`, where their normal forms differ. */
export function differences(from: ApiObject, to: ApiObject, exceptStatus: boolean): PatchOperation[] {
  const { metadata: before, ...old } = normalForm(from);
  const { metadata: after, ...wanted } = normalForm(to);
  if (exceptStatus) {
    delete old["status"];
    delete wanted["status"];
  }
  return [...fieldDifferences("", old, wanted), ...fieldDifferences("/metadata", before, after)];
}

function fieldDifferences(
  path: string,
  from: Record<string, unknown>,
  to: Record<string, unknown>,
): PatchOperation[] {
  const patch: PatchOperation[] = [];
  for (const field of new Set([...Object.keys(from), ...Object.keys(to)])) {
    const [old, wanted] = [valueOf(from, field), valueOf(to, field)];
    if (sameJson(old, wanted)) continue;
    const at = `${path}/${field.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    patch.push(
      wanted === undefined ? { op: "remove", path: at } : { op: "add", path: at, value: wanted },
    );
  }
  return patch;
}

function valueOf(fields: Record<string, unknown>, field: string): unknown {
  return Object.hasOwn(fields, field) ? fields[field] : undefined;
}
