/** Kubernetes' label selectors: an object, as the cluster generator of an ApplicationSet has one, or a text, as `kubectl -l` takes it. */
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

/** A selector that was written as a text. */
export interface LabelSelector {
  /** As it was written. */
  readonly text: string;
  selects(labels: Labels): boolean;
}

/** Reads a selector such as `team=a,tier in (web,api),!legacy`; undefined: an empty one, which takes all. @throws Error for a malformed one */
export function parseLabelSelector(text: string): LabelSelector | undefined {
  if (text.trim() === "") return undefined;
  const requirements = text.split(/,(?![^(]*\))/).map(requirementOf);
  return { text, selects: (labels) => requirements.every((requirement) => holds(requirement, labels)) };
}

const REQUIREMENT =
  /^(!?)\s*([^\s!=<>(),]+)(?:\s*(==?|!=|<|>)\s*([^\s!=<>(),]*)|\s+(in|notin)\s*\(([^()]*)\))?$/;
const KEY = /^[A-Za-z0-9](?:[\w./-]*[A-Za-z0-9])?$/;
const VALUE = /^(?:[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)?$/;
const NUMBER = /^\d{1,15}$/;
const OPERATORS: ReadonlyMap<string, string> = new Map([
  ["!", "DoesNotExist"],
  ["", "Exists"],
  ["=", "In"],
  ["==", "In"],
  ["!=", "NotIn"],
  ["in", "In"],
  ["notin", "NotIn"],
  [">", "Gt"],
  ["<", "Lt"],
]);

function requirementOf(text: string): Record<string, unknown> {
  const [, not = "", key = "", sign = "", value = "", set = "", list = ""] = REQUIREMENT.exec(text.trim()) ??
    [];
  const operator = OPERATORS.get(not === "" || sign + set === "" ? not + sign + set : "none");
  const values = (set === "" ? value : list).split(",").map((one) => one.trim());
  const form = operator === "Gt" || operator === "Lt" ? NUMBER : VALUE;
  if (operator !== undefined && KEY.test(key) && values.every((one) => form.test(one))) {
    return { key, operator, values };
  }
  throw new Error(`"${text.trim()}" is no requirement on a label; write it as for kubectl -l`);
}

function label(labels: Labels, name: string): string | undefined {
  return Object.hasOwn(labels, name) ? labels[name] : undefined;
}

function holds({ key, operator, values }: Record<string, unknown>, labels: Labels): boolean {
  const value = typeof key === "string" ? label(labels, key) : undefined;
  const among = value !== undefined && Array.isArray(values) && values.includes(value);
  const number = /^-?\d{1,15}$/.test(value ?? "") && Array.isArray(values)
    ? Number(value) - Number(values[0])
    : NaN;
  switch (operator) {
    case "In":
      return among;
    case "NotIn":
      return !among;
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    case "Gt":
      return number > 0;
    case "Lt":
      return number < 0;
    default:
      return false;
  }
}
