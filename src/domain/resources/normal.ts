/**
 * The *normal form* of an object is what an API server keeps of it: two objects with one normal form are the same object, whatever
 * their text. Digests, the writer's comparison and the check of a write's answer all use it, so that nothing can be equal for one
 * and different for another. Beneath free-form fields (Helm values, elements of a generator) every null and empty value has its
 * own meaning and stays.
 */
import { isExactNumber, MAX_DEPTH, TooDeep } from "../../base/json.ts";
import { type ApiObject, isRecord, type ObjectMeta, type OwnerReference } from "./object.ts";

/** Whether a field of Argo CD's kinds takes any JSON: its schema says x-kubernetes-preserve-unknown-fields. */
export function isFreeForm(field: string, value: unknown): boolean {
  // The parameters of Helm and of a plugin's source are lists of known fields, those of a plugin's generator are not.
  return field === "valuesObject" || field === "elements" || (field === "parameters" && isRecord(value));
}

/** The maps of a Secret or ConfigMap. */
const MAPS = ["data", "binaryData"];
const OWNER_FIELDS = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"] as const;

/** The normal form, without the metadata that the API server owns. Pure: the input is not changed. @throws TooDeep */
export function normalForm(object: ApiObject): ApiObject {
  const { metadata, ...content } = object;
  const normal = object.apiVersion === "v1" ? coreForm(content) : withoutNulls(content, 0);
  const form = { ...normal as typeof content, metadata: normalMetadata(metadata) } as ApiObject;
  if (isEmptyStatus(form["status"])) delete form["status"];
  return form;
}

function normalMetadata(
  { name, namespace, labels, annotations, finalizers, ownerReferences }: ObjectMeta,
): ObjectMeta {
  const metadata: ObjectMeta = { name };
  if (namespace) metadata.namespace = namespace;
  if (labels && Object.keys(labels).length > 0) metadata.labels = labels;
  if (annotations && Object.keys(annotations).length > 0) metadata.annotations = annotations;
  if (finalizers?.length) metadata.finalizers = finalizers;
  if (ownerReferences?.length) metadata.ownerReferences = ownerReferences.map(owner);
  return metadata;
}

function owner(reference: OwnerReference): OwnerReference {
  const known = OWNER_FIELDS.flatMap((field) => {
    const value = reference[field];
    return value === undefined || value === null ? [] : [[field, value]];
  });
  return Object.fromEntries(known);
}

function isEmptyStatus(status: unknown): boolean {
  return status === undefined || status === null || (isRecord(status) && Object.keys(status).length === 0);
}

/** A Secret has its `stringData` in `data`, and a type; empty maps are none. */
function coreForm({ stringData, ...form }: Record<string, unknown>): Record<string, unknown> {
  for (const [field, value] of Object.entries(form)) if (value === null) delete form[field];
  const isSecret = form["kind"] === "Secret";
  if (isRecord(stringData) && isSecret) {
    const encoded = Object.entries(stringData).map(([name, text]) => [name, base64Of(String(text ?? ""))]);
    form["data"] = { ...(isRecord(form["data"]) ? form["data"] : {}), ...Object.fromEntries(encoded) };
  }
  for (const field of MAPS) {
    const map = form[field];
    if (!isRecord(map)) continue;
    if (Object.keys(map).length === 0) delete form[field];
    else if (isSecret || field === "binaryData") form[field] = mapped(map, canonicalBase64);
    else form[field] = mapped(map, (text) => text);
  }
  if (isSecret) form["type"] ||= "Opaque";
  return form;
}

function mapped(map: Record<string, unknown>, text: (value: string) => string): Record<string, unknown> {
  const entries = Object.entries(map).map(([name, value]) =>
    [name, typeof value === "string" ? text(value) : value ?? ""] as const
  );
  return entries.every(([name, value]) => map[name] === value) ? map : Object.fromEntries(entries);
}

function base64Of(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

/** Base64 as an API server prints it: it takes line breaks. */
function canonicalBase64(text: string): string {
  return text.replaceAll(/[\r\n]/g, "");
}

/** The value without fields that are null; the same value where there are none. */
function withoutNulls(value: unknown, depth: number): unknown {
  if (typeof value !== "object" || value === null || isExactNumber(value)) return value;
  if (depth >= MAX_DEPTH) throw new TooDeep();
  if (Array.isArray(value)) {
    let items: unknown[] | undefined;
    for (let i = 0; i < value.length; i++) {
      const kept = withoutNulls(value[i], depth + 1);
      if (kept !== value[i]) (items ??= [...value])[i] = kept;
    }
    return items ?? value;
  }
  const fields = value as Record<string, unknown>;
  let changed: Map<string, unknown> | undefined;
  for (const name in fields) {
    const field = fields[name];
    if (typeof field !== "object") continue;
    const kept = field === null
      ? undefined
      : isFreeForm(name, field)
      ? field
      : withoutNulls(field, depth + 1);
    if (kept !== field) (changed ??= new Map()).set(name, kept);
  }
  if (!changed) return value;
  const entries = Object.entries(fields).map((
    [name, field],
  ) => [name, changed.has(name) ? changed.get(name) : field]);
  return Object.fromEntries(entries.filter(([, field]) => field !== undefined));
}
