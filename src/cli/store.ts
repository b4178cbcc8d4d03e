/** `store apply|get|delete`: kubectl's habits for the embedded store, beside a running principal or without one. */
import type { ApiObject, StoredObject } from "../domain/resources/object.ts";
import { type Key, keyOf, keyOfObject } from "../domain/resources/keys.ts";
import { KINDS } from "../domain/resources/kinds.ts";
import { makeFolder } from "../adapters/store/private_files.ts";
import { parseDuration } from "../config/settings.ts";
import { modify } from "../principal/ports/modify.ts";
import type { Store, Written } from "../principal/ports/store.ts";
import { openSqlite } from "../adapters/store/sqlite.ts";
import { type Arguments, durationOption, parse } from "./arguments.ts";
import { applied, readManifests } from "./manifests.ts";
import { age, CommandError, EXIT, HelpRequest, json, print, printError, table } from "./output.ts";
import { yaml } from "./yaml.ts";

const USAGE = `argocd-agent-ha store apply -f FILE|DIR|- [--wait-replicated TIMEOUT [-a HOST:PORT]] [STORE]
       argocd-agent-ha store get [KIND] [NAME] [-o table|json|yaml] [-A] [STORE]
       argocd-agent-ha store delete KIND NAME [STORE]
STORE: [--store sqlite:FILE] [-n NAMESPACE]   (default: the principal's default file, namespace argocd)`;

const DEFAULT_STORE = "sqlite:argocd-agent-ha-data/principal.db";

export async function store(args: string[]): Promise<number> {
  const [name = "", ...rest] = args;
  switch (name) {
    case "apply":
      return await apply(rest);
    case "get":
      return await get(rest);
    case "delete":
      return await remove(rest);
    case "--help":
    case "-h":
      throw new HelpRequest(`Usage: ${USAGE}`);
    default:
      throw new CommandError(
        `${
          name ? `unknown command "store ${name.slice(0, 64)}"` : "a subcommand is missing"
        }\nUsage: ${USAGE}`,
        EXIT.usage,
      );
  }
}

const COMMON = { store: DEFAULT_STORE, namespace: "argocd" };
const ALIAS = { namespace: "n", output: "o", filename: "f", address: "a", "all-namespaces": "A" };

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

async function apply(args: string[]): Promise<number> {
  const options = parse(args, {
    strings: { ...COMMON, filename: "", address: "127.0.0.1:8405", "wait-replicated": "0" },
    alias: ALIAS,
    positionals: [0, 0],
    usage: USAGE,
  });
  if (options.string("filename") === "") throw new CommandError(`-f is missing\nUsage: ${USAGE}`, EXIT.usage);
  const wait = options.string("wait-replicated") === "0"
    ? 0
    : durationOption(options, "wait-replicated", parseDuration);
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
        `${options.string("wait-replicated")}; see: ha status -a ${address}`,
    );
  }
  print(`${versions.length} objects replicated`);
}

async function get(args: string[]): Promise<number> {
  const options = parse(args, {
    strings: { ...COMMON, output: "table" },
    booleans: ["all-namespaces"],
    alias: ALIAS,
    positionals: [0, 2],
    usage: USAGE,
  });
  const output = options.string("output");
  if (!["table", "json", "yaml"].includes(output)) {
    throw new CommandError(`-o "${output}": must be table, json or yaml`, EXIT.usage);
  }
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

async function remove(args: string[]): Promise<number> {
  const options = parse(args, { strings: COMMON, alias: ALIAS, positionals: [2, 2], usage: USAGE });
  const [kindName = "", name = ""] = options.positionals;
  const key: Key = keyOf(kindFor(kindName), options.string("namespace"), name);
  const { changed } = await withStore(options, false, (opened) => opened.write({ op: "delete", key }));
  if (!changed) {
    throw new CommandError(`${kindFor(kindName)} "${name}" not found in "${options.string("namespace")}"`);
  }
  print(`${kindFor(kindName).toLowerCase()} "${name}" deleted`);
  return EXIT.ok;
}

const SHORT = new Map<string, string>([
  ["app", "Application"],
  ["appset", "ApplicationSet"],
  ["appproj", "AppProject"],
  ["cm", "ConfigMap"],
]);

/** `app`, `applications`, `Application`, … to the API's kind. */
function kindFor(text: string): string {
  const name = text.toLowerCase();
  const kinds = [...new Set([...KINDS.map((kind) => kind.kind), "ConfigMap", "Secret"])];
  const found = kinds.find((kind) => [kind.toLowerCase(), `${kind.toLowerCase()}s`].includes(name)) ??
    kinds.find((kind) => SHORT.get(name.replace(/s$/, "")) === kind);
  if (found) return found;
  throw new CommandError(`unknown kind "${text}"; known: ${kinds.join(", ")}`, EXIT.usage);
}

function describe(object: ApiObject): string {
  const group = object.apiVersion.includes("/") ? `.${object.apiVersion.split("/")[0]}` : "";
  return `${object.kind.toLowerCase()}${group}/${object.metadata.name}`;
}
