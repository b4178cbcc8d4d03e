/** A primary that sends what it has no business sending: the replica's own keys, passwords and settings stay as they are. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { canonicalJson } from "../../src/base/json.ts";
import { digestOf } from "../../src/domain/changes/content.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { type Key, keyOfObject } from "../../src/domain/resources/keys.ts";
import { SECRET_TYPE } from "../../src/domain/resources/kinds.ts";
import type { Running } from "../../src/serve.ts";
import { inWorkshop, LOOSE, until, untilState } from "../support/principals.ts";

const PLAIN = "--ha-plain-contract";

/** Makes a primary say that it has an object, or that it is deleted, whatever its store has. */
function claim({ core: { index } }: Running, object: ApiObject): void {
  const key = keyOfObject(object);
  const payload = canonicalJson(object);
  index.put(key, { payload, digest: digestOf(key, payload), version: "1", now: Date.now() });
}

function secret(name: string, value: string, labels: Record<string, string> = {}): ApiObject {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "argocd", labels },
    type: "Opaque",
    data: { value: btoa(value) },
  };
}

function settings(name: string, value: string): ApiObject {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "argocd" }, data: { value } };
}

const REPOSITORY = { [SECRET_TYPE]: "repository" };
/** Objects of the replica's own installation, which no primary may touch. */
const OWN = [
  secret("argocd-secret", "own"),
  secret("argocd-agent-jwt", "own"),
  secret("my-jwt", "own"),
  secret("vault-token", "own"),
  secret("argocd-agent-ha-loss-9", "own"),
  settings("argocd-rbac-cm", "own"),
  settings("argocd-cm", "own"),
  settings("argocd-agent-ha-foreign-9", "own"),
];
const STATE = [
  "argocd-agent-ha-state",
  "argocd-agent-principal-identity",
  "argocd-agent-ha-history",
];

for (const flags of [[], [PLAIN]]) {
  const contract = flags.length > 0 ? "the plain contract" : "our Link";
  Deno.test({
    name:
      `a hostile primary overwrites and deletes nothing of the replica's own, labelled as it likes, over ${contract}`,
    ...LOOSE,
    fn: () =>
      inWorkshop(async (workshop) => {
        const primary = await workshop.start(workshop.settings("primary", 0, flags));
        await untilState(primary, "active");
        const own = ["--jwt-secret-name=my-jwt", ...flags];
        const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc, own));
        const { store } = replica.core;
        for (const object of OWN) await store.write({ op: "put", object });
        await untilState(replica, "replicating");
        const stands = async (key: Key) => JSON.stringify((await store.get(key))?.["data"] ?? "gone");
        const state = STATE.map((name) => `ConfigMap/argocd/${name}`);
        const keys = [...OWN.map(keyOfObject), ...state];
        const before = await Promise.all(keys.map(stands));
        const forged = (key: Key) => {
          const [kind, , name = ""] = key.split("/");
          return kind === "Secret"
            ? secret(name, "forged", { ...REPOSITORY })
            : { ...settings(name, "forged"), data: { role: "active", epoch: "99", value: "forged" } };
        };
        for (const key of keys) claim(primary, forged(key));
        claim(primary, secret("honest", "yes", REPOSITORY));
        const arrived = () => store.get("Secret/argocd/honest").then((found) => found !== undefined);
        await until(arrived, 20_000, () => "nothing is replicated");
        for (const key of keys) primary.core.index.remove(key, "2", Date.now());
        primary.core.index.remove("Secret/argocd/honest", "2", Date.now());
        const left = () => store.get("Secret/argocd/honest").then((found) => found === undefined);
        await until(left, 20_000, () => "deletions are not replicated");
        assertEquals(await Promise.all(keys.map(stands)), before);
        assert(workshop.logs.some((line) => line.includes("refused: ")), "nothing says so");
      }),
  });
}

Deno.test({
  name:
    "an object of the replica's that is no replicated one is held by name, and a copy without its label is restored",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(workshop.settings("primary", 0));
      await untilState(primary, "active");
      await primary.core.store.write({ op: "put", object: secret("repo", "1", REPOSITORY) });
      const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc));
      const { store } = replica.core;
      await store.write({ op: "put", object: secret("vault", "own") });
      await untilState(replica, "replicating");
      await primary.core.store.write({ op: "put", object: secret("vault", "theirs", REPOSITORY) });
      const held = () => replica.core.following.held.find(({ key }) => key === "Secret/argocd/vault");
      await until(() => held() !== undefined, 20_000, () => "it is not held");
      assertStringIncludes(held()?.reason ?? "", 'the Secret "vault" that is here is not a replicated one');
      const copy = await store.get("Secret/argocd/repo");
      const { labels: _, ...metadata } = copy?.metadata ?? { name: "" };
      await store.write({ op: "put", object: { ...copy, metadata } as ApiObject });
      const restored = () =>
        store.get("Secret/argocd/repo").then((found) =>
          found?.metadata.labels?.[SECRET_TYPE] === "repository"
        );
      await until(restored, 20_000, () => "the copy stays without its label");
    }),
});
