/**
 * 12,000 malformed objects, from a seed: by an agent, by the peer, into the embedded store, and as what either store has already. Each is
 * stored, refused or withheld; afterwards both stores' indexes follow, and a good object passes.
 */
import { assert, assertEquals } from "@std/assert";
import { KubernetesCache } from "../../src/adapters/store/kubernetes_cache.ts";
import { SqliteStore } from "../../src/adapters/store/sqlite.ts";
import { openFile } from "../../src/adapters/store/sqlite_file.ts";
import { parseStored } from "../../src/base/bounds.ts";
import { sha256 } from "../../src/base/sha256.ts";
import { interpret } from "../../src/domain/agents/inbound.ts";
import { ChangeIndex } from "../../src/domain/changes/index.ts";
import { fieldDifferences } from "../../src/domain/resources/fields.ts";
import { fieldsOf } from "../../src/domain/resources/field_paths.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { schemaProblem } from "../../src/domain/resources/schema.ts";
import { wholeScope } from "../../src/domain/resources/scope.ts";
import { acceptObject } from "../../src/domain/resources/validate.ts";
import { Feed } from "../../src/principal/core/feed.ts";
import { type Store, StoreError } from "../../src/principal/ports/store.ts";
import { application } from "../support/agents.ts";
import { until } from "../support/principals.ts";
import { type Random, seeded } from "../support/random.ts";

const OBJECTS = 12_000;
const SCOPE = wholeScope("argocd");
const NAMES = [
  "constructor",
  "__proto__",
  "toString",
  "hasOwnProperty",
  "",
  "a.b/c",
  "[]",
  "\u0000",
  "\u202e",
  "spec",
  "0",
];
const FIELDS = [
  "spec",
  "status",
  "operation",
  "data",
  "stringData",
  "type",
  "project",
  "source",
  "sources",
  "destination",
];
const KINDS = ["Application", "AppProject", "ApplicationSet", "Secret", "ConfigMap"];

/** A JSON text of any form: deep, wide, long, with numbers that no double holds, or of small pieces. */
function value(random: Random, depth = 0): string {
  const chance = random.int(depth === 0 ? 3_600 : depth > 4 ? 6 : 9);
  if (depth === 0 && chance === 9) {
    return nested(random, random.pick([499, 501, 519, 521, 1_001, 5_000, 10_000, 100_000]));
  }
  if (depth === 0 && chance === 10) return `[${"0,".repeat(random.int(300_000))}0]`;
  if (depth === 0 && chance === 11) return JSON.stringify("s".repeat(random.int(4_000_000)));
  switch (chance % 9) {
    case 0:
      return "null";
    case 1:
      return random.pick([
        "0",
        "-0",
        "1.10",
        "1e400",
        "1098765432109876543",
        "9".repeat(random.int(400) + 1),
      ]);
    case 2:
      return random.pick(["true", "false"]);
    case 3:
    case 4:
      return JSON.stringify(random.pick(NAMES));
    case 5:
      return JSON.stringify("x".repeat(random.int(50)));
    case 6:
      return `[${Array.from({ length: random.int(4) }, () => value(random, depth + 1)).join()}]`;
    default:
      return record(random, depth);
  }
}

function record(random: Random, depth: number): string {
  const fields = Array.from(
    { length: random.int(5) },
    () => `${JSON.stringify(random.pick(random.chance(0.5) ? FIELDS : NAMES))}:${value(random, depth + 1)}`,
  );
  return `{${fields.join()}}`;
}

function nested(random: Random, depth: number): string {
  const [open, close] = random.pick([["[", "]"], ['{"valuesObject":', "}"], ['{"__proto__":[', "]}"]]) as [
    string,
    string,
  ];
  return open.repeat(depth) + random.pick(["1", "1.10", "null"]) + close.repeat(depth);
}

function objectText(random: Random, kind: string, name: string, namespace: string): string {
  const metadata = JSON.stringify({
    name,
    namespace,
    ...(random.chance(0.2)
      ? { labels: { [random.pick(NAMES)]: "x", "argocd.argoproj.io/secret-type": "repository" } }
      : {}),
    ...(random.chance(0.2) ? { annotations: { [random.pick(NAMES)]: "x" } } : {}),
    ...(random.chance(0.1)
      ? { ownerReferences: [{ apiVersion: "argoproj.io/v1", kind: "ApplicationSet", name: "x" }] }
      : {}),
  });
  const apiVersion = kind === "Secret" || kind === "ConfigMap" ? "v1" : "argoproj.io/v1alpha1";
  const rest = Array.from(
    { length: 1 + random.int(3) },
    () => `${JSON.stringify(random.pick(FIELDS))}:${value(random)}`,
  );
  return `{"apiVersion":"${apiVersion}","kind":"${kind}","metadata":${metadata},${rest.join()}}`;
}

interface Side {
  index: ChangeIndex;
  /** Every key that was withheld at some time, and why. */
  withheld: string[];
  ended: Promise<unknown>;
}

function fed(store: Store, signal: AbortSignal): Side {
  const index = new ChangeIndex("fuzz");
  const withheld: string[] = [];
  index.onWithheld = (key, reason) => withheld.push(`${key}: ${reason}`);
  const ended = new Feed(store, index, SCOPE).run(signal).then(() => "ended", (error) => error);
  return { index, withheld, ended };
}

/** The part of a Kubernetes store that reads: what the API server answers, parsed and cached. */
function kubernetes(cache: KubernetesCache): Store {
  return { watch: (signal: AbortSignal) => cache.watch(signal) } as unknown as Store;
}

Deno.test("fuzz: 12,000 malformed objects are stored, refused or withheld, in both stores and at every entry", async () => {
  const random = seeded(20_261_125);
  const database = openFile(":memory:", { create: true, verify: false });
  const embedded = new SqliteStore(database, "fuzz", false);
  const cache = new KubernetesCache();
  const stop = new AbortController();
  const sides = [fed(embedded, stop.signal), fed(kubernetes(cache), stop.signal)] as const;
  const plant = database.prepare(
    "INSERT OR REPLACE INTO objects (kind, namespace, name, revision, deleted, body, sum) VALUES (?, ?, ?, ?, 0, ?, ?)",
  );
  const next = database.prepare(
    "UPDATE counters SET value = value + 1 WHERE name = 'revision' RETURNING value",
  );
  const count = { stored: 0, refused: 0, planted: 0 };
  const before = Deno.memoryUsage().rss;
  let earlier: ApiObject | undefined;
  for (let n = 0; n < OBJECTS; n++) {
    const kind = random.pick(KINDS);
    const name = `o-${n % 200}`;
    const namespace = kind === "Application" ? "edge-1" : "argocd";
    const text = objectText(random, kind, name, namespace);
    const verdict = acceptObject(`${kind}/${namespace}/${name}`, text, SCOPE);
    const payload = new TextEncoder().encode(text);
    for (
      const target of ["application", "appproject", "resourceResync", "clusterCacheInfoUpdate", "constructor"]
    ) {
      interpret({ type: "spec-update", target, extensions: {}, payload }, {
        name: "edge-1",
        mode: "autonomous",
      }, {
        scope: SCOPE,
        agentNamespace: "argocd",
      });
    }
    const object = parseStored(text) as ApiObject;
    schemaProblem(object);
    if (verdict.ok && verdict.object) {
      fieldsOf(verdict.object);
      assert(fieldDifferences(verdict.object, earlier).length <= 100);
      earlier = verdict.object;
    }
    try {
      await embedded.write({ op: "put", object });
      count.stored++;
    } catch (error) {
      assert(error instanceof StoreError && error.code === "invalid", String(error));
      count.refused++;
      if (random.chance(0.1)) {
        const { value: revision } = next.get() as { value: number };
        plant.run(kind, namespace, name, revision, text, sha256(text).slice(0, 32));
        count.planted++;
      }
    }
    cache.put(
      { ...object, metadata: { ...object.metadata, uid: name, resourceVersion: String(n + 1) } },
      "event",
    );
    if (n % 500 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  const good = application("edge-1", "good");
  await embedded.write({ op: "put", object: good });
  cache.put(
    { ...good, metadata: { ...good.metadata, uid: "u", resourceVersion: String(OBJECTS + 1) } },
    "event",
  );
  for (const { index, withheld } of sides) {
    await until(
      () => index.present("Application/edge-1/good") !== undefined,
      30_000,
      () => "a feed has ended",
      5,
    );
    assert(withheld.some((line) => line.includes("nested deeper")), `${withheld.length} were withheld`);
  }
  assert(count.stored > 500 && count.refused > 500 && count.planted > 50, JSON.stringify(count));
  const after = Deno.memoryUsage().rss;
  assert(after < before + 400_000_000, `resident memory went from ${before} to ${after}`);
  stop.abort();
  assertEquals(await Promise.all(sides.map(({ ended }) => ended)), ["ended", "ended"]);
  await embedded.close();
});
