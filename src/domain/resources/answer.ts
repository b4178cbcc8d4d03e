/**
 * The answer to a write, compared with what was wanted: an API server drops fields that its CustomResourceDefinition does not know,
 * sets defaults, and lets webhooks change anything, all with a success. A key that came out otherwise is not applied.
 */
import { sameJson } from "../../base/json.ts";
import { type FieldDifference, fieldDifferences } from "./fields.ts";
import type { Kind } from "./kinds.ts";
import type { ApiObject } from "./object.ts";
import { replicatedForm } from "./transform.ts";

/** Paths that are named of each way in which fields came out otherwise. */
const SHOWN = 3;

/** The ways, and their likely causes with a custom resource and with a core one. */
const WAYS: { is(difference: FieldDifference): boolean; verb: string; custom: string; core: string }[] = [
  {
    is: ({ here }) => here === "",
    verb: "drops",
    custom: "its CustomResourceDefinition does not know the field, or an admission webhook removes it",
    core: "an admission webhook removes it",
  },
  {
    is: ({ peer }) => peer === "",
    verb: "adds",
    custom: "a default of its CustomResourceDefinition, or an admission webhook",
    core: "an admission webhook",
  },
  {
    is: ({ here, peer }) => here !== "" && peer !== "",
    verb: "changes",
    custom: "an admission webhook",
    core: "an admission webhook",
  },
];

/**
 * How an answer differs from the replicated form that was written: the paths of the fields and the likely causes; empty if it does
 * not. No value is named: it may be a secret.
 */
export function alteration(wanted: ApiObject, answer: ApiObject, kind: Kind): string {
  // Without the UID of the copy, which is none of its content.
  const { uid: _, ...metadata } = answer.metadata;
  const kept = replicatedForm({ ...answer, metadata }, kind);
  if (sameJson(kept, wanted)) return "";
  const differences = fieldDifferences(kept, wanted);
  const parts = WAYS.flatMap(({ is, verb, custom, core }) => {
    const paths = differences.filter(is).map(({ path }) => path);
    if (paths.length === 0) return [];
    const more = paths.length > SHOWN ? ` and ${paths.length - SHOWN} more` : "";
    return `it ${verb} ${paths.slice(0, SHOWN).join(", ")}${more} (${
      kind.apiVersion === "v1" ? core : custom
    })`;
  });
  return `this cluster's API server keeps it otherwise than it was sent: ${
    parts.join("; ")
  }; see: ha preflight`;
}
