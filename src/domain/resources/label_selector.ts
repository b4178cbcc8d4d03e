/** Kubernetes' label selectors, as the cluster generator of an ApplicationSet has one. */
import { isRecord } from "./object.ts";

type Labels = Readonly<Record<string, string>>;

/** Whether a selector takes these labels. An empty or absent one takes all; an operator that does not exist takes none. */
export function selects(selector: unknown, labels: Labels): boolean {
  if (!isRecord(selector)) return true;
  const { matchLabels, matchExpressions } = selector;
  const wanted = isRecord(matchLabels) ? Object.entries(matchLabels) : [];
  const expressions = Array.isArray(matchExpressions) ? matchExpressions : [];
  return wanted.every(([name, value]) => label(labels, name) === value) &&
    expressions.every((expression) => isRecord(expression) && holds(expression, labels));
}

function label(labels: Labels, name: string): string | undefined {
  return Object.hasOwn(labels, name) ? labels[name] : undefined;
}

function holds({ key, operator, values }: Record<string, unknown>, labels: Labels): boolean {
  const value = typeof key === "string" ? label(labels, key) : undefined;
  const among = value !== undefined && Array.isArray(values) && values.includes(value);
  switch (operator) {
    case "In":
      return among;
    case "NotIn":
      return !among;
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    default:
      return false;
  }
}
