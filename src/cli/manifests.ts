/** Kubernetes manifests from files, folders and standard input. */
import { dataOf } from "../domain/resources/config_map.ts";
import { type ApiObject, isRecord, objectProblem } from "../domain/resources/object.ts";
import { cloneJson } from "../base/json.ts";
import { reasonOf } from "../base/reason.ts";
import { CommandError } from "./output.ts";
import { parseYaml } from "./yaml.ts";

/** The objects in a YAML or JSON text; `source` names it in errors. Lists are unfolded. @throws CommandError */
export function parseManifests(text: string, source: string, namespace: string): ApiObject[] {
  const objects: ApiObject[] = [];
  for (const value of values(text, source)) {
    const items = isRecord(value) && Array.isArray(value["items"]) ? value["items"] : [value];
    for (const item of items) objects.push(manifest(item, source, namespace));
  }
  return objects;
}

function values(text: string, source: string): unknown[] {
  try {
    return parseYaml(text);
  } catch (error) {
    throw new CommandError(`${source}: ${reasonOf(error)}`);
  }
}

function manifest(value: unknown, source: string, namespace: string): ApiObject {
  const problem = objectProblem(value);
  if (problem) throw new CommandError(`${source}: ${problem}`);
  const object = cloneJson(value) as ApiObject;
  object.metadata.namespace ??= namespace;
  const plain = object["stringData"];
  if (object.kind === "Secret" && isRecord(plain)) {
    const encoded = Object.entries(plain).map(([name, text]) => [name, toBase64(String(text))]);
    object["data"] = { ...dataOf(object), ...Object.fromEntries(encoded) };
    delete object["stringData"];
  }
  return object;
}

function toBase64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

/** The manifests of `-f`: a file, a folder's *.yaml, *.yml and *.json, or `-` for standard input. */
export async function readManifests(path: string, namespace: string): Promise<ApiObject[]> {
  if (path === "-") {
    return parseManifests(await new Response(Deno.stdin.readable).text(), "standard input", namespace);
  }
  let files: string[];
  try {
    files = Deno.statSync(path).isDirectory
      ? [...Deno.readDirSync(path)].filter((entry) => entry.isFile && /\.(ya?ml|json)$/.test(entry.name))
        .map((entry) => `${path.replace(/\/$/, "")}/${entry.name}`).sort()
      : [path];
    return files.flatMap((file) => parseManifests(Deno.readTextFileSync(file), file, namespace));
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`cannot read "${path}": ${reasonOf(error)}`);
  }
}

/** Applies a manifest over an existing object, with kubectl's result for manifests that own their fields. */
export function applied(current: ApiObject | undefined, next: ApiObject): ApiObject {
  if (!current) return next;
  const { metadata } = next;
  const merged = { ...current.metadata, ...metadata };
  for (const map of ["labels", "annotations"] as const) {
    const entries = { ...current.metadata[map], ...metadata[map] };
    if (Object.keys(entries).length > 0) merged[map] = entries;
  }
  return { ...current, ...next, metadata: merged };
}
