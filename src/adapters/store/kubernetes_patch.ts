/** The difference of two states of an object as a JSON patch, by whole fields of the object and of its metadata. Pure. */
import { sameJson } from "../../base/json.ts";
import { type ApiObject, SERVER_OWNED, type StoredObject } from "../../domain/resources/object.ts";
import type { PatchOperation } from "../kube/dynamic_client.ts";

/** Makes a patch one of exactly this state: the API server answers 409 when there is another by now. */
export function onlyAt({ metadata }: StoredObject): PatchOperation[] {
  return [{ op: "add", path: "/metadata/resourceVersion", value: metadata.resourceVersion }];
}

/** The patch that turns `from` into `to`; an empty field and an absent one are the same. */
export function differences(from: ApiObject, to: ApiObject, exceptStatus: boolean): PatchOperation[] {
  const { metadata: before, ...old } = withoutServerOwned(from);
  const { metadata: after, ...wanted } = withoutServerOwned(to);
  if (exceptStatus) {
    delete old["status"];
    delete wanted["status"];
  }
  return [...fieldDifferences("", old, wanted), ...fieldDifferences("/metadata", before, after)];
}

/** An object without the metadata that the API server keeps. */
export function withoutServerOwned(object: ApiObject): ApiObject {
  const metadata = { ...object.metadata };
  for (const field of SERVER_OWNED) delete metadata[field];
  return { ...object, metadata };
}

function fieldDifferences(
  path: string,
  from: Record<string, unknown>,
  to: Record<string, unknown>,
): PatchOperation[] {
  const patch: PatchOperation[] = [];
  for (const field of new Set([...Object.keys(from), ...Object.keys(to)])) {
    const [old, wanted] = [from[field], to[field]];
    if (sameJson(old, wanted) || (isEmpty(old) && isEmpty(wanted))) continue;
    const at = `${path}/${field.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    patch.push(
      wanted === undefined || wanted === null
        ? { op: "remove", path: at }
        : { op: "add", path: at, value: wanted },
    );
  }
  return patch;
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null ||
    (typeof value === "object" && Object.keys(value).length === 0);
}
