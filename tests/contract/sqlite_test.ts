import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { until } from "../support/until.ts";
import { SOURCE_UID } from "../../src/domain/resources/object.ts";
import { IdentifiedStore } from "../../src/principal/core/identified_store.ts";
import { openSqlite } from "../../src/adapters/store/sqlite.ts";
import { type Store, StoreError } from "../../src/principal/ports/store.ts";
import { application, collect, expectStoreError, storeContract } from "./store_contract.ts";

const folder = () => Deno.makeTempDirSync({ prefix: "aaha-sqlite-" });

/** The adapter, and what principals see of it. */
const ADAPTERS: Record<string, (path: string) => Store> = {
  sqlite: (path) => openSqlite(path),
  "identified sqlite": (path) => new IdentifiedStore(openSqlite(path)),
};

for (const [name, open] of Object.entries(ADAPTERS)) {
  storeContract(name, () => {
    const dir = folder();
    const [store, other] = [open(`${dir}/s.db`), open(`${dir}/s.db`)];
    return Promise.resolve({
      store,
      other,
      namespace: "argocd",
      close: async () => {
        await store.close();
        await other.close();
        Deno.removeSync(dir, { recursive: true });
      },
    });
  });
}

Deno.test("identified: an object keeps its identity while it is the same object, and not when it is made anew", () =>
  inFolder(async (dir) => {
    const below = openSqlite(`${dir}/s.db`);
    const stripped: string[] = [];
    const store = new IdentifiedStore(below, (key) => stripped.push(key));
    const stop = new AbortController();
    const told: (string | undefined)[] = [];
    const watching = (async () => {
      for await (const events of store.watch(stop.signal)) {
        for (const event of events) {
          if (event.type === "put") told.push(event.object.metadata.annotations?.[SOURCE_UID]);
        }
      }
    })();
    const app = application("a");
    const key = "Application/argocd/a";
    const identity = async () => (await store.get(key))?.metadata.annotations?.[SOURCE_UID];
    const untilTold = (n: number) => until(() => told.length === n, 20_000, () => `told ${told}`, 5);
    try {
      const copy = {
        ...app,
        metadata: { ...app.metadata, annotations: { [SOURCE_UID]: "first", kept: "1" } },
      };
      await below.write({ op: "put", object: copy });
      await untilTold(1);
      await below.write({
        op: "put",
        object: { ...app, metadata: { ...app.metadata, annotations: { other: "2" } } },
      });
      await untilTold(2);
      assertEquals(told, ["first", "first"]);
      assertEquals((await store.get(key))?.metadata.annotations, { other: "2", [SOURCE_UID]: "first" });
      assertEquals((await store.list("Application"))[0]?.metadata.annotations?.[SOURCE_UID], "first");
      assertEquals((await below.get(key))?.metadata.annotations, { other: "2" });
      assertEquals(stripped, [key]);
      await below.write({ op: "delete", key });
      await below.write({ op: "put", object: app });
      await untilTold(3);
      assertEquals([told[2], await identity()], [undefined, undefined]);
      assertEquals(stripped, [key]);
    } finally {
      stop.abort();
      await watching;
      await below.close();
    }
  }));

async function inFolder(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = folder();
  try {
    await run(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

function openError(path: string): StoreError {
  try {
    openSqlite(path, { create: false });
  } catch (error) {
    assert(error instanceof StoreError);
    return error;
  }
  throw new Error("the file was opened");
}

Deno.test("sqlite: files that are not ours are refused by name and left byte for byte as they were", () =>
  inFolder((dir) => {
    Deno.writeTextFileSync(`${dir}/text.db`, "these are my notes, not a database\n".repeat(50));
    const foreign = new DatabaseSync(`${dir}/foreign.db`);
    foreign.exec("CREATE TABLE mine (a); INSERT INTO mine VALUES (1)");
    foreign.close();
    for (const [name, words] of [["text.db", "not a store"], ["foreign.db", "another program"]] as const) {
      const before = Deno.readFileSync(`${dir}/${name}`);
      const error = openError(`${dir}/${name}`);
      assertEquals(error.code, "corrupt");
      assertStringIncludes(error.message, words);
      assertStringIncludes(error.message, "untouched");
      assertEquals(Deno.readFileSync(`${dir}/${name}`), before);
    }
    assertEquals(openError(`${dir}/none.db`).code, "notFound");
    return Promise.resolve();
  }));

Deno.test("sqlite: a file of a newer release is refused", () =>
  inFolder(async (dir) => {
    await openSqlite(`${dir}/s.db`).close();
    const database = new DatabaseSync(`${dir}/s.db`);
    database.exec("PRAGMA user_version = 99");
    database.close();
    assertStringIncludes(openError(`${dir}/s.db`).message, "newer release");
  }));

Deno.test("sqlite: a flipped bit in an object, and a truncated file, are errors at the start and not data", () =>
  inFolder(async (dir) => {
    const store = openSqlite(`${dir}/s.db`);
    for (let n = 0; n < 200; n++) await store.write({ op: "put", object: application(`app-${n}`) });
    await store.close();
    const whole = Deno.readFileSync(`${dir}/s.db`);
    const needle = new TextEncoder().encode("git.example.com");
    const flipped = whole.slice();
    for (const at of findBytes(whole, needle)) flipped[at] = (flipped[at] ?? 0) ^ 1;
    Deno.writeFileSync(`${dir}/flipped.db`, flipped);
    const error = openError(`${dir}/flipped.db`);
    assertEquals(error.code, "corrupt");
    assertStringIncludes(error.message, "does not match its checksum");
    assertEquals(Deno.readFileSync(`${dir}/flipped.db`), flipped);
    Deno.writeFileSync(`${dir}/short.db`, whole.slice(0, whole.length / 2));
    assertEquals(openError(`${dir}/short.db`).code, "corrupt");
  }));

Deno.test("sqlite: a full store refuses the write, and everything written before is there", () =>
  inFolder(async (dir) => {
    const store = openSqlite(`${dir}/s.db`, { maxBytes: 400_000 });
    let written = 0;
    const filler = "x".repeat(2_000);
    const error = await expectStoreError(
      (async () => {
        for (;; written++) {
          await store.write({ op: "put", object: application(`app-${written}`, { filler }) });
        }
      })(),
      "full",
    );
    assertStringIncludes(error.message, "the disk is full");
    assert(written > 20);
    await store.write({ op: "delete", key: "Application/argocd/app-0" });
    await store.close();
    const again = openSqlite(`${dir}/s.db`);
    assertEquals((await again.list("Application")).length, written - 1);
    await again.close();
  }));

Deno.test("sqlite: a watcher that fell behind forgotten tombstones is given a full listing", () =>
  inFolder(async (dir) => {
    const store = openSqlite(`${dir}/s.db`);
    const names = Array.from({ length: 10_050 }, (_, n) => `app-${n}`);
    await Promise.all(names.map((name) => store.write({ op: "put", object: application(name) })));
    let resets = 0;
    let fellBehind = false;
    const events = await collect(store, (event, all) => {
      if (event.type === "reset") resets++;
      if (event.type === "synced" && !fellBehind) {
        fellBehind = true;
        const database = new DatabaseSync(`${dir}/s.db`);
        database.exec("DELETE FROM objects WHERE name <> 'app-7'; UPDATE counters SET value = value + 5");
        database.exec(
          "UPDATE counters SET value = (SELECT value FROM counters WHERE name = 'revision') WHERE name = 'floor'",
        );
        database.close();
      }
      return resets === 2 && event.type === "synced" && all.length > 2;
    });
    const last = events.slice(events.findLastIndex((event) => event.type === "reset"));
    assertEquals(last.map((event) => event.type), ["reset", "put", "synced"]);
    await store.close();
  }));

Deno.test("sqlite: writes of two processes' handles interleave without loss", () =>
  inFolder(async (dir) => {
    const handles = [openSqlite(`${dir}/s.db`), openSqlite(`${dir}/s.db`)];
    await Promise.all(handles.map(async (handle, h) => {
      for (let n = 0; n < 100; n++) await handle.write({ op: "put", object: application(`app-${h}-${n}`) });
    }));
    const versions = (await handles[0]?.list("Application"))?.map((object) =>
      object.metadata.resourceVersion
    );
    assertEquals(new Set(versions).size, 200);
    for (const handle of handles) await handle.close();
  }));

/** Every place of the bytes: some lie in pages that SQLite no longer uses. */
function findBytes(haystack: Uint8Array, needle: Uint8Array): number[] {
  const found: number[] = [];
  for (let at = 0; at < haystack.length - needle.length; at++) {
    if (haystack[at] === needle[0] && needle.every((byte, i) => haystack[at + i] === byte)) found.push(at);
  }
  assert(found.length > 0);
  return found;
}

Deno.test("sqlite: large objects are written and read a few at a time, all of them, and in their order", () =>
  inFolder(async (dir) => {
    const store = openSqlite(`${dir}/s.db`);
    const names = Array.from({ length: 12 }, (_, n) => `app-${n}`);
    const large = (name: string) =>
      application(name, { info: [{ name: "a", value: "x".repeat(1_500_000) }] });
    let turns = 0;
    let done = false;
    const turning = (async () => {
      for (; !done; turns++) await new Promise((resolve) => setTimeout(resolve));
    })();
    const order: string[] = [];
    const write = (name: string) =>
      store.write({ op: "put", object: large(name) }).then(() => order.push(name));
    await Promise.all([...names.map(write), store.write({ op: "delete", key: "Application/argocd/app-0" })]);
    done = true;
    await turning;
    assertEquals(order, names);
    assert(turns > 0, "nothing else had a turn");
    const stop = new AbortController();
    const batches: number[] = [];
    for await (const events of store.watch(stop.signal)) {
      const puts = events.flatMap((event) => event.type === "put" ? [event.object.metadata.name] : []);
      batches.push(puts.length);
      if (events.some(({ type }) => type === "synced")) stop.abort();
    }
    assertEquals(batches.reduce((sum, n) => sum + n, 0), 11);
    assert(Math.max(...batches) <= 3, `${batches}`);
    assertEquals((await store.list()).length, 11);
    await store.close();
  }));
