/** `store apply|get|delete`: kubectl's habits for the embedded store, beside a running principal or without one. */
import type { ApiObject, StoredObject } from "../domain/resources/object.ts";
import { type Key, keyOf, keyOfObject } from "../domain/resources/keys.ts";
import { KINDS } from "../domain/resources/kinds.ts";
import { makeFolder } from "../adapters/store/private_files.ts";
import { modify } from "../principal/ports/modify.ts";
import type { Store, Written } from "../principal/ports/store.ts";
import { openSqlite } from "../adapters/store/sqlite.ts";
import { applied, readManifests } from "./manifests.ts";
import { age, CommandError, EXIT, json, print, printError, table } from "./output.ts";
import type { Arguments } from "./verb.ts";
import { yaml } from "./yaml.ts";

async function withStore<T>(
  options: Arguments,
  create: boolean,
  use: (store: Store) => Promise<T>,
): Promise<T> {
  const [, path] = /^sqlite:(.+)$/s.exec(options.string("store")) ?? [];
  if (!path) {
    throw new CommandError(`--store "${options.string("store")}": must be sqlite:FILE`, EXIT.usage);
  }
  if (create) makeFolder(path.replace(/[^/]*$/, "") || ".");
  const note = (sentence: string) => printError(`Note: ${sentence}`);
  const opened = openSqlite(path, { create, verify: false, note });
  try {
    return await use(opened);
  } finally {
    await opened.close();
  }
}

export async function apply(options: Arguments): Promise<number> {
  const wait = options.number("wait-replicated");
  const objects = await readManifests(options.string("filename"), options.string("namespace"));
  const results = await withStore(
    options,
    true,
    (opened) =>
      Promise.allSettled(objects.map(async (object) => {
        const outcome = await applyOne(opened, object);
        print(`${describe(object)} ${outcome.verb}`);
        return outcome.written.object as StoredObject;
      })),
  );
  let failed = 0;
  results.forEach((result, i) => {
    if (result.status === "fulfilled") return;
    failed++;
    printError(`Error: ${describe(objects[i] as ApiObject)}: ${(result.reason as Error).message}`);
  });
  if (failed > 0) return EXIT.failed;
  if (wait > 0) {
    await waitReplicated(results.flatMap((r) => r.status === "fulfilled" ? [r.value] : []), options, wait);
  }
  return EXIT.ok;
}

/** Applies one object; rereads and retries when another writer was faster. */
export async function applyOne(
  opened: Store,
  object: Parameters<typeof applied>[1],
): Promise<{ verb: string; written: Written }> {
  let existed = false;
  const written = await modify(opened, keyOfObject(object), (current) => {
    existed = current !== undefined;
    return applied(current, object);
  });
  return { written, verb: !written.changed ? "unchanged" : existed ? "configured" : "created" };
}

async function waitReplicated(objects: StoredObject[], options: Arguments, timeoutMs: number): Promise<void> {
  const { adminCall, withAdmin } = await import("./admin_client.ts");
  const { operatorService } = await import("../adapters/grpc/services.ts");
  const address = options.string("address");
  const versions = objects.map((object) => ({
    key: keyOfObject(object),
    resourceVersion: object.metadata.resourceVersion,
  }));
  const call = { address, timeoutMs: timeoutMs + 5_000, action: "cannot ask whether it is replicated" };
  const { replicated = [] } = await withAdmin(
    address,
    (client) => adminCall(client, operatorService.WaitReplicated, { versions, timeoutMs }, call),
  );
  const missing = replicated.filter((one) => !one).length;
  if (missing > 0) {
    throw new CommandError(
      `${missing} of ${versions.length} objects are stored, but no replica has acknowledged them within ` +
        `${
          timeoutMs % 1_000 === 0 ? `${timeoutMs / 1_000}s` : `${timeoutMs}ms`
        }; see: ha status -a ${address}`,
    );
  }
  print(`${versions.length} objects replicated`);
}

export async function get(options: Arguments): Promise<number> {
  const output = options.string("output");
  const [kindName, name] = options.positionals;
  const kind = kindName === undefined ? undefined : kindFor(kindName);
  const namespace = options.string("namespace");
  const found = await withStore(options, false, async (opened) => {
    const all = await opened.list(kind);
    return all.filter((object) =>
      (name === undefined || object.metadata.name === name) &&
      (options.boolean("all-namespaces") || object.metadata.namespace === namespace)
    );
  });
  if (name !== undefined && found.length === 0) {
    throw new CommandError(`${kind} "${name}" not found in namespace "${namespace}" (-A: all namespaces)`);
  }
  if (output === "table") printTable(found, namespace, options.boolean("all-namespaces"));
  else {
    const value = name !== undefined && found.length === 1
      ? found[0]
      : { apiVersion: "v1", kind: "List", items: found };
    print(output === "json" ? json(value) : yaml(value));
  }
  return EXIT.ok;
}

function printTable(found: StoredObject[], namespace: string, all: boolean): void {
  if (found.length === 0) {
    printError(`No resources found${all ? "" : ` in namespace "${namespace}" (-A: all namespaces)`}.`);
    return;
  }
  const now = Date.now();
  const rows = found.map(({ kind, metadata }) => [
    metadata.namespace,
    kind,
    metadata.name,
    metadata.resourceVersion,
    age(now - Date.parse(metadata.creationTimestamp ?? "")),
  ]);
  print(table(["NAMESPACE", "KIND", "NAME", "VERSION", "AGE"], rows));
}

export async function remove(options: Arguments): Promise<number> {
  const [kindName = "", name = ""] = options.positionals;
  const key: Key = keyOf(kindFor(kindName), options.string("namespace"), name);
  const { changed } = await withStore(options, false, (opened) => opened.write({ op: "delete", key }));
  if (!changed) {
    throw new CommandError(`${kindFor(kindName)} "${name}" not found in "${options.string("namespace")}"`);
  }
  print(`${kindFor(kindName).toLowerCase()} "${name}" deleted`);
  return EXIT.ok;
}

/** The kinds that a store holds, as operators may type them. */
export const KIND_NAMES: readonly string[] = [
  ...new Set([...KINDS.map(({ kind }) => kind), "ConfigMap", "Secret"]),
];

/** The reason why the arguments name no store or kind; empty: they do. */
export function storeProblem(options: Arguments): string {
  const [kind] = options.positionals;
  if (!/^sqlite:(.+)$/s.test(options.string("store"))) {
    return `--store "${options.string("store")}": must be sqlite:FILE`;
  }
  return kind === undefined || kindNamed(kind)
    ? ""
    : `unknown kind "${kind}"; known: ${KIND_NAMES.join(", ")}`;
}

const SHORT = new Map<string, string>([
  ["app", "Application"],
  ["appset", "ApplicationSet"],
  ["appproj", "AppProject"],
  ["cm", "ConfigMap"],
]);

/** `app`, `applications`, `Application`, … to the API's kind; undefined: there is none. */
function kindNamed(text: string): string | undefined {
  const name = text.toLowerCase();
  return KIND_NAMES.find((kind) => [kind.toLowerCase(), `${kind.toLowerCase()}s`].includes(name)) ??
    KIND_NAMES.find((kind) => SHORT.get(name.replace(/s$/, "")) === kind);
}

/** @throws CommandError where there is none */
function kindFor(text: string): string {
  const kind = kindNamed(text);
  if (kind !== undefined) return kind;
  throw new CommandError(`unknown kind "${text}"; known: ${KIND_NAMES.join(", ")}`, EXIT.usage);
}

function describe(object: ApiObject): string {
  const group = object.apiVersion.includes("/") ? `.${object.apiVersion.split("/")[0]}` : "";
  return `${object.kind.toLowerCase()}${group}/${object.metadata.name}`;
}
