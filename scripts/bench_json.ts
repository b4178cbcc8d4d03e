/** The cost of exact numbers and compared answers, as ratios against what the runtime does without them, inside one run. */
import { canonicalJson, keptNumbers, parseJson } from "../src/base/json.ts";
import { sha256 } from "../src/base/sha256.ts";
import { generatedApplication } from "../src/cli/examples.ts";
import { alteration } from "../src/domain/resources/answer.ts";
import { kindOf } from "../src/domain/resources/kinds.ts";
import type { ApiObject } from "../src/domain/resources/object.ts";
import { wholeScope } from "../src/domain/resources/scope.ts";
import { replicatedForm } from "../src/domain/resources/transform.ts";

const OBJECTS = 500;
const ROUNDS = 400;
const BATCH = 50;

/** One ratio: a thing that is done to an object, and what it is compared with. */
interface Row {
  title: string;
  ours: number;
  plain: number;
}

/** The least time of an object in any batch, in µs: other work on the machine only adds. */
function least(act: (n: number) => unknown): number {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now();
    for (let n = 0; n < BATCH; n++) act((round * BATCH + n) % OBJECTS);
    best = Math.min(best, performance.now() - startedAt);
  }
  return best / BATCH * 1_000;
}

function stored(n: number): ApiObject {
  const object = generatedApplication(n);
  object.metadata.resourceVersion = String(n);
  return object;
}

/** The ratios. */
export function jsonCosts(): Row[] {
  const objects = Array.from({ length: OBJECTS }, (_, n) => stored(n));
  const texts = objects.map((object) => JSON.stringify(object));
  const exact = texts.map((text) =>
    text.replace('"helm":{', '"helm":{"valuesObject":{"id":1098765432109876543,"share":1.10},')
  );
  const list = `[${texts.with(0, exact[0] ?? "").join(",")}]`;
  const kind = kindOf(objects[0] as ApiObject, wholeScope("argocd"));
  if (!kind) throw new Error("an Application is not replicated");
  const forms = objects.map((object) => replicatedForm(object, kind));
  const payloads = forms.map(canonicalJson);
  const answers = texts.map((text) => parseJson(text) as ApiObject);
  const at = <T>(values: readonly T[], n: number) => values[n] as T;
  const once = (act: () => unknown) => {
    let best = Infinity;
    for (let round = 0; round < ROUNDS / 10; round++) {
      const startedAt = performance.now();
      act();
      best = Math.min(best, performance.now() - startedAt);
    }
    return best / OBJECTS * 1_000;
  };
  const parse = least((n) => JSON.parse(at(texts, n)));
  const form = least((n) => canonicalJson(replicatedForm(at(objects, n), kind)));
  return [
    {
      title: "reading an Application without an exact number, against `JSON.parse`",
      ours: least((n) => parseJson(at(texts, n))),
      plain: parse,
    },
    {
      title: "reading one with two of them",
      ours: least((n) => parseJson(at(exact, n))),
      plain: least((n) => JSON.parse(at(exact, n))),
    },
    {
      title: "reading a page of 500, one of them with two",
      ours: once(() => parseJson(list)),
      plain: once(() => JSON.parse(list)),
    },
    {
      title: "a digest with numbers as an API server keeps them, against SHA-256 alone",
      ours: least((n) => sha256(keptNumbers(at(payloads, n)))),
      plain: least((n) => sha256(at(payloads, n))),
    },
    {
      title: "comparing the answer to a write, against making its replicated form as text",
      ours: least((n) => alteration(at(forms, n), at(answers, n), kind)),
      plain: form,
    },
  ];
}

/** The note under the table. */
export const JSON_NOTE = [
  "Exact numbers are those that a double would not print again: 1.10, 1e3, integers beyond 2^53. Who has none pays a regular expression",
  "for each text that is read, and one for each digest. The answer to a write is compared where it is parsed already.",
  "",
  "Whole principals against the last commit without both, on 2026-11-25: five pairs of runs by turns, 5,000 Applications on the embedded",
  "store, user and system time of each process, the least of five against the least of five (other work shared the machine; single pairs",
  "vary by a fifth, wall times by more than half, and are not given). Active and replica: initial sync 1.10 and 1.01; 6,000 updates 0.94",
  "and 1.03; 200 single changes 0.92 and 1.07; 2,000 changes while the link was broken 0.86 and 1.03; the replica's process restarted",
  "1.00 and 1.05; start-up 0.94. By the medians of five the slowest of these is 1.12 and the fastest 0.82: that machine tells no 5 % from",
  "its noise. Resident memory at the end, by the medians, 1.02 and 0.84; at its highest 1.00 and 0.88.",
].join("\n");

/** As rows of a table: title, µs, ratio. */
export function jsonRows(): string[][] {
  return jsonCosts().map((
    { title, ours, plain },
  ) => [title, `${ours.toFixed(1)} µs`, (ours / plain).toFixed(2)]);
}

if (import.meta.main) { for (const row of jsonRows()) console.log(row.join(" | ")); }
