/**
 * A principal's memory in its store: its identity (the Go principal's ConfigMap), and its role, its epoch and whether it has
 * ever held a complete copy (`argocd-agent-ha-state`). Neither is replicated.
 */
import type { Memory } from "../../domain/ha/state.ts";
import { keyOf } from "../../domain/resources/keys.ts";
import { configMap, dataOf } from "../../domain/resources/config_map.ts";
import type { Store } from "../ports/store.ts";
import { modify } from "../ports/modify.ts";

export const STATE_NAME = "argocd-agent-ha-state";
const IDENTITY_NAME = "argocd-agent-principal-identity";
const IDENTITY_KEY = "principal-uid";

/** The memory of an earlier run, or undefined. @throws Error when it cannot be understood */
export async function readMemory(store: Store, namespace: string): Promise<Memory | undefined> {
  const found = await store.get(keyOf("ConfigMap", namespace, STATE_NAME));
  return found && memoryOf(dataOf(found), namespace);
}

/** The role that the ConfigMap holds. @throws Error if its data is malformed */
export function memoryOf(data: Record<string, unknown>, namespace: string): Memory {
  const { role, epoch, complete, leader, formerActive, promised, unproven, lineage, coverage } = data;
  if ((role !== "active" && role !== "replica") || !/^\d{1,15}$/.test(String(epoch))) {
    throw new Error(
      `ConfigMap ${namespace}/${STATE_NAME} says role="${role}" epoch="${epoch}", which cannot be; ` +
        "correct it, or delete it to start with the preferred role",
    );
  }
  return {
    role,
    epoch: Number(epoch),
    complete: complete === "true",
    leader: typeof leader === "string" ? leader : "",
    formerActive: formerActive === "true",
    promised: /^\d{1,15}$/.test(String(promised)) ? Number(promised) : 0,
    unproven: unproven === "true",
    lineage: typeof lineage === "string" ? lineage : "",
    coverage: typeof coverage === "string" ? coverage : "",
  };
}

/** Makes the memory durable. @throws StoreError */
export async function writeMemory(store: Store, namespace: string, memory: Memory): Promise<void> {
  const data = Object.fromEntries(Object.entries(memory).map(([name, value]) => [name, String(value)]));
  await store.write({ op: "put", object: configMap(namespace, STATE_NAME, data) });
}

/** The principal's identity, made at the first start. @throws Error if it exists and is empty, as in the Go principal; StoreError */
export async function principalUid(store: Store, namespace: string): Promise<string> {
  let uid = "";
  await modify(store, keyOf("ConfigMap", namespace, IDENTITY_NAME), (existing) => {
    uid = existing ? uidOf(dataOf(existing), namespace) : crypto.randomUUID();
    return existing ? undefined : configMap(namespace, IDENTITY_NAME, { [IDENTITY_KEY]: uid });
  });
  return uid;
}

function uidOf({ [IDENTITY_KEY]: uid }: Record<string, unknown>, namespace: string): string {
  if (typeof uid === "string" && uid !== "") return uid;
  throw new Error(
    `ConfigMap ${namespace}/${IDENTITY_NAME} has no "${IDENTITY_KEY}"; delete it to get a new identity`,
  );
}
