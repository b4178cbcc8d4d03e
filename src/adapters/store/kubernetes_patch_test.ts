import { assertEquals } from "@std/assert";
import { normalForm } from "../../domain/resources/normal.ts";
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import { type Random, seeded } from "../../../tests/support/random.ts";
import type { PatchOperation } from "../kube/dynamic_client.ts";
import { differences, onlyAt } from "./kubernetes_patch.ts";

const FIELDS = ["spec", "status", "operation", "data", "a/b~c"];
const METADATA = ["labels", "annotations", "finalizers", "uid", "resourceVersion", "managedFields"];

function anyValue(random: Random): unknown {
  return random.pick([{}, [], null, "text", 1, [1, 2], { x: random.int(3) }, { x: { y: [random.int(2)] } }]);
}

function anyFields(random: Random, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.filter(() => random.chance(0.6)).map((name) => [name, anyValue(random)]));
}

function anyObject(random: Random, apiVersion: string): ApiObject {
  return {
    apiVersion,
    kind: "K",
    metadata: { name: "n", namespace: "s", ...anyFields(random, METADATA) },
    ...anyFields(random, FIELDS),
  };
}

/** Applies a patch of whole fields as RFC 6902 says: what is removed must be there. */
function apply(object: ApiObject, patch: PatchOperation[]): ApiObject {
  const result = structuredClone(object) as unknown as Record<string, Record<string, unknown>>;
  for (const operation of patch) {
    const parts = operation.path.slice(1).split("/").map((part) =>
      part.replaceAll("~1", "/").replaceAll("~0", "~")
    );
    const name = parts.pop() ?? "";
    const parent = parts.reduce((value, part) => value[part] as never, result) as Record<string, unknown>;
    if (operation.op === "add") parent[name] = operation.value;
    else {
      assertEquals(name in parent, true, `${operation.path} is not there to be removed`);
      delete parent[name];
    }
  }
  return result as unknown as ApiObject;
}

Deno.test("differences() turns any state into any other, touches nothing else and says nothing of equal ones", () => {
  for (let seed = 1; seed <= 3_000; seed++) {
    const random = seeded(seed);
    const apiVersion = random.pick(["v1", "argoproj.io/v1alpha1"]);
    const [from, to] = [anyObject(random, apiVersion), anyObject(random, apiVersion)];
    const patch = differences(from, to, false);
    const patched = apply(from, patch);
    assertEquals(normalForm(patched), normalForm(to), `seed ${seed}`);
    for (const field of ["uid", "resourceVersion", "managedFields"]) {
      assertEquals(patched.metadata[field], from.metadata[field], `seed ${seed}: ${field}`);
    }
    assertEquals(differences(to, to, false), [], `seed ${seed}`);
    const paths = patch.filter(({ path }) => path !== "/status");
    assertEquals(differences(from, to, true), paths, `seed ${seed}`);
  }
});

Deno.test("onlyAt() ties a patch to the version that was compared", () => {
  const object = {
    apiVersion: "v1",
    kind: "K",
    metadata: { name: "n", resourceVersion: "7" },
  } as StoredObject;
  assertEquals(onlyAt(object), [{ op: "add", path: "/metadata/resourceVersion", value: "7" }]);
});
