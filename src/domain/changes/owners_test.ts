import { assertEquals } from "@std/assert";
import { canonicalJson } from "../../base/json.ts";
import type { ApiObject } from "../resources/object.ts";
import { ChangeIndex } from "./index.ts";
import { Owners } from "./owners.ts";

const KEY = "Application/edge-1/a";
const OWNER = "ApplicationSet/edge-1/set";
const reference = { apiVersion: "argoproj.io/v1alpha1", kind: "ApplicationSet", name: "set" };
const form: ApiObject = {
  apiVersion: "argoproj.io/v1alpha1",
  kind: "Application",
  metadata: { name: "a", namespace: "edge-1", ownerReferences: [reference] },
};
const alone: ApiObject = { ...form, metadata: { name: "a", namespace: "edge-1" } };

Deno.test("an owner counts while the index has it, and its references come and go with it", () => {
  const index = new ChangeIndex("session");
  const owners = new Owners(index);
  const state = (payload: string) => ({ payload, digest: "0".repeat(32), version: "1", now: 0 });
  assertEquals(owners.counted(KEY, form), alone);
  index.put(KEY, state(canonicalJson(alone)));
  assertEquals(owners.ownedBy(OWNER), [KEY]);
  assertEquals(owners.alone, [{ key: KEY, owner: OWNER }]);
  index.put(OWNER, state("{}"));
  assertEquals(owners.restated(index.present(KEY)!), canonicalJson(form));
  assertEquals(owners.counted(KEY, form), form);
  assertEquals(owners.alone, []);
  index.remove(OWNER, "2", 0);
  assertEquals(
    owners.restated({ ...index.present(KEY)!, payload: canonicalJson(form) }),
    canonicalJson(alone),
  );
  owners.forget(KEY);
  assertEquals(owners.ownedBy(OWNER), []);
  assertEquals(owners.counted(KEY, alone), alone);
  assertEquals(owners.ownedBy(OWNER), []);
});
