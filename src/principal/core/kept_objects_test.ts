import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { gunzipSync, gzipSync } from "node:zlib";
import { type ApiObject, type StoredObject } from "../../domain/resources/object.ts";
import { type Key, keyOfObject } from "../../domain/resources/keys.ts";
import type { Write, Written } from "../ports/store.ts";
import { KeptObjects } from "./kept_objects.ts";
import { type KeptObject, KeptPages } from "./kept_pages.ts";

const DAY_MS = 86_400_000;
const NOW = Date.now();

/** Secrets of a namespace, as they are written. */
class Secrets {
  readonly objects = new Map<Key, ApiObject>();
  failing = false;
  writes = 0;

  get(key: Key): Promise<StoredObject | undefined> {
    return Promise.resolve(this.objects.get(key) as StoredObject | undefined);
  }

  write(write: Write): Promise<Written> {
    if (this.failing) return Promise.reject(new Error("no answer"));
    this.writes++;
    if (write.op === "delete") this.objects.delete(write.key);
    else this.objects.set(keyOfObject(write.object), write.object);
    return Promise.resolve({ changed: true });
  }

  get names(): string[] {
    return [...this.objects.values()].map(({ metadata }) => metadata.name).sort();
  }
}

const kept = (n: number, rest: Partial<KeptObject> = {}): KeptObject => ({
  key: `Application/edge-1/app-${n}`,
  reason: "deleted",
  digest: `${n}`,
  epoch: 1,
  newActiveHas: "nothing",
  atMs: NOW + n,
  cause: "deleted at the ACTIVE in epoch 1",
  object: { apiVersion: "v1", kind: "Application", metadata: { name: `app-${n}`, namespace: "edge-1" } },
  ...rest,
});

function keptIn(store: Secrets): { objects: KeptObjects; warnings: string[] } {
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  const nothing = () => {};
  const log = { trace: nothing, debug: nothing, info: nothing, warn, error: nothing };
  return { objects: new KeptObjects({ store, settings: { namespace: "argocd" }, log }), warnings };
}

const random = (bytes: number) => {
  const text: string[] = [];
  for (let left = bytes; left > 0; left -= 65_536) {
    text.push(crypto.getRandomValues(new Uint8Array(Math.min(left, 65_536))).toHex());
  }
  return text.join("");
};

Deno.test("KeptObjects keeps overwritten states at once, deleted objects in the background, and both over a restart", async () => {
  const store = new Secrets();
  const { objects } = keptIn(store);
  await objects.keep(kept(1, { reason: "overwritten", cause: "" }));
  for (let n = 2; n < 5; n++) objects.keepDeleted(() => kept(n));
  assertEquals(store.writes, 1, "a deletion waits for nothing");
  assertEquals((await objects.list()).map(({ digest }) => digest), ["1", "2", "3", "4"]);
  await objects.flush();
  assertEquals(store.names, ["argocd-agent-ha-deleted-1", "argocd-agent-ha-loss-1"]);

  const { objects: again } = keptIn(store);
  await again.load();
  assertEquals(again.waiting.map(({ digest }) => digest), ["1"], "deleted objects wait for nobody");
  assertEquals((await again.newest(new Set([kept(3).key]))).get(kept(3).key)?.digest, "3");
  await again.forget(({ digest }) => digest !== "2");
  assertEquals((await keptIn(store).objects.list()).map(({ digest }) => digest), ["2"]);
  assertEquals(store.names, ["argocd-agent-ha-deleted-1"]);
});

Deno.test("KeptObjects keeps about a thousand deleted objects, the newest, none older than 7 days, and drops no other for them", async () => {
  const store = new Secrets();
  const { objects } = keptIn(store);
  await objects.keep(kept(0, { reason: "overwritten", atMs: 0 }));
  for (let n = 1; n <= 3_000; n++) objects.keepDeleted(() => kept(n));
  await objects.flush();
  for (let n = 3_001; n <= 3_100; n++) objects.keepDeleted(() => kept(n));
  await objects.flush();
  const { objects: again } = keptIn(store);
  const listed = (await again.list()).map(({ digest }) => Number(digest));
  assert(listed.length > 990 && listed.length <= 1_025, `${listed.length} are kept`);
  assertEquals([listed[0], listed.at(-1)], [0, 3_100]);
  assertEquals(new Set(listed).size, listed.length);
  assertEquals(listed.slice(-900), Array.from({ length: 900 }, (_, n) => 2_201 + n));

  const old = keptIn(new Secrets());
  old.objects.keepDeleted(() => kept(1, { atMs: Date.now() - 8 * DAY_MS }));
  old.objects.keepDeleted(() => kept(2));
  await old.objects.flush();
  assertEquals((await old.objects.list()).map(({ digest }) => digest), ["2"]);
});

Deno.test("KeptObjects tries once more what a store did not take, and names a state once that is kept as overwritten too", async () => {
  const store = new Secrets();
  const { objects, warnings } = keptIn(store);
  store.failing = true;
  objects.keepDeleted(() => kept(1));
  await objects.flush();
  assertEquals([warnings.length, store.writes], [1, 0]);
  store.failing = false;
  objects.keepDeleted(() => kept(2));
  await objects.flush();
  await objects.keep(kept(2, { reason: "overwritten" }));
  const listed = await objects.list();
  assertEquals(listed.map(({ digest, reason }) => [digest, reason]), [["1", "deleted"], [
    "2",
    "overwritten",
  ]]);
});

Deno.test("KeptPages cuts a page that exceeds a Secret into parts, and takes a damaged one for none, which it tells", async () => {
  const store = new Secrets();
  const warnings: string[] = [];
  const log = { warn: (message: string) => void warnings.push(message) };
  const pages = () => new KeptPages(store, "argocd", log);
  const { object } = kept(1);
  const large = kept(1, { object: { ...object, data: { value: random(2_500_000) } } });
  const first = pages();
  await first.write("page", [large]);
  assertEquals(store.names, ["page", "page.2", "page.3"]);
  for (const one of store.objects.values()) assert(JSON.stringify(one).length < 1.5 * 1024 * 1024);
  assertEquals(await pages().read("page"), [large]);

  store.objects.delete("Secret/argocd/page.2");
  assertEquals([await pages().read("page"), warnings.length], [[], 1]);
  await first.write("page", [kept(2)]);
  assertEquals([store.names, await pages().read("page")], [["page"], [kept(2)]]);
  await first.remove("page");
  assertEquals([store.names, await pages().read("page")], [[], undefined]);
});

Deno.test("KeptPages writes an entry that is too deep to be handled again as it was, beside others", async () => {
  const store = new Secrets();
  const pages = () => new KeptPages(store, "argocd", { warn: () => {} });
  const text = (levels: number) =>
    JSON.stringify(kept(1)).replace(
      '"metadata"',
      `"deep":${"[".repeat(levels)}1${"]".repeat(levels)},"metadata"`,
    );
  const secret = (lines: string[]) => {
    const data = { "entries.jsonl.gz": gzipSync(lines.join("\n")).toString("base64") };
    const metadata = { name: "page", namespace: "argocd" };
    return { apiVersion: "v1", kind: "Secret", metadata, data };
  };
  const lines = () => {
    const { data } = store.objects.get("Secret/argocd/page") as unknown as { data: Record<string, string> };
    return gunzipSync(Buffer.from(data["entries.jsonl.gz"] ?? "", "base64")).toString().trimEnd().split("\n");
  };
  store.objects.set("Secret/argocd/page", secret([text(5_000), text(3)]));
  const found = await pages().read("page") ?? [];
  assertEquals(found.map(({ key }) => key), [kept(1).key, kept(1).key]);
  await pages().write("page", [...found, kept(2)]);
  const [deep, ...others] = lines();
  assertEquals(deep, text(5_000));
  assertEquals(others.map((line) => JSON.parse(line)), [JSON.parse(text(3)), kept(2)]);
});
