import { assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { parseLabelSelector } from "../../domain/resources/label_selector.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import { patternOf } from "../../domain/resources/patterns.ts";
import { wholeScope } from "../../domain/resources/scope.ts";
import { StoreError } from "../ports/store.ts";
import { LeftOut } from "./left_out.ts";

const KEY = "Application/edge-1/app";

function stored(team: string): StoredObject {
  const metadata = { name: "app", namespace: "edge-1", uid: "u", resourceVersion: "1", labels: { team } };
  const spec = { destination: { name: "edge-1" } };
  return { apiVersion: "argoproj.io/v1alpha1", kind: "Application", metadata, spec };
}

/** The resources that `--label-selector=team=a --allowed-namespaces=edge-1` leaves out of a store that answers with `answers` in turn. */
function leftOut(...answers: (StoredObject | undefined | StoreError)[]) {
  const scope = {
    ...wholeScope("argocd"),
    allowedNamespaces: [patternOf("edge-1")],
    labelSelector: parseLabelSelector("team=a"),
  };
  const heard: unknown[] = [];
  let reads = 0;
  const of = new LeftOut({
    settings: { scope },
    stored: () => {
      reads++;
      const answer = answers.shift();
      return answer instanceof StoreError ? Promise.reject(answer) : Promise.resolve(answer);
    },
  }, (key, by) => heard.push([key, by]));
  return { of, heard, reads: () => reads };
}

Deno.test("LeftOut.by() tells by the namespace, and asks no store where a deletion was seen", () => {
  const { of, reads } = leftOut();
  assertEquals(of.by("Application/edge-2/app", "Application/edge-2/app", true), "--allowed-namespaces");
  assertEquals(of.by(KEY, KEY, true), undefined);
  assertEquals(reads(), 0);
});

Deno.test("LeftOut.by() asks the store, once at a time: labels leave out what it has, and what it lacks is gone", async () => {
  const unselected = leftOut(stored("b"), undefined);
  assertEquals([unselected.of.by(KEY, KEY, false), unselected.of.by(KEY, KEY, false)], ["asking", "asking"]);
  await delay(0);
  assertEquals([unselected.heard, unselected.reads()], [[[KEY, "--label-selector"]], 1]);
  assertEquals(unselected.of.by(KEY, KEY, false), "asking", "it may have been deleted since");
  await delay(0);
  assertEquals(unselected.heard.at(-1), [KEY, undefined]);
  assertEquals([unselected.of.by(KEY, KEY, false), unselected.reads()], [undefined, 2]);
  unselected.of.tick(0, () => false);
  assertEquals(unselected.of.by(KEY, KEY, false), "asking", "the agent has had another one since");

  const selected = leftOut(stored("a"));
  selected.of.by(KEY, KEY, false);
  await delay(0);
  assertEquals(selected.of.by(KEY, KEY, false), undefined, "no flag leaves it out");
});

Deno.test("LeftOut asks again where the store did not answer", async () => {
  const { of, heard } = leftOut(new StoreError("unavailable", "503"), new StoreError("unavailable", "503"));
  of.by(KEY, KEY, false);
  await delay(0);
  assertEquals(heard, []);
  of.tick(10_000, () => true);
  assertEquals(heard, [[KEY, undefined]]);
  of.by(KEY, KEY, false);
  await delay(0);
  of.tick(10_001, () => true);
  assertEquals(heard.length, 1);
  of.tick(15_000, () => true);
  assertEquals(heard.length, 2);
});
