/** From flags to settings: what is logged, in the Go principal's forms. */
import {
  type Component,
  COMPONENTS,
  type Detail,
  DETAILS,
  LOG_LEVELS,
  type LogLevel,
  type LogSettings,
} from "../base/log.ts";
import { listOf, oneOf, UsageError, type Value } from "./usage.ts";

/** The Go principal's levels that are none here. */
const OTHER_LEVELS = new Map<string, LogLevel>([
  ["warning", "warn"],
  ["fatal", "error"],
  ["panic", "error"],
]);

/** `--log-level`, `--log-format` and `--full-detail`. @throws UsageError for a level or a format that there is not */
export function logOf(value: Value): LogSettings {
  const format = oneOf(value, "log-format", ["text", "json"]);
  const components: LogSettings["components"] = {};
  let level: LogLevel = "info";
  for (const [name, wanted] of levelsOf(value)) {
    const found = levelOf(wanted);
    if (name === undefined) level = found;
    else if (isComponent(name)) components[name] = found;
  }
  const details = DETAILS.filter((detail) =>
    categoriesOf(value).some((name) => name === "all" || name === detail)
  );
  return { level, components, format, details };
}

/** The parts of these flags that name nothing; as in the Go principal they are left out, with a word. */
export function logWarnings(value: Value): string[] {
  const components = levelsOf(value).flatMap(([name]) =>
    name === undefined || isComponent(name) ? [] : [name]
  );
  const details = categoriesOf(value).filter((name) => name !== "all" && !DETAILS.includes(name as Detail));
  return [
    ...components.map((name) =>
      `--log-level: "${name}" is none of the components ${COMPONENTS.join(", ")}; left out`
    ),
    ...details.map((name) => `--full-detail: "${name}" is none of all, ${DETAILS.join(", ")}; left out`),
  ];
}

/** The parts of `[component=]level,…`. */
function levelsOf(value: Value): [string | undefined, string][] {
  return listOf(value, "log-level").map((part) => {
    const [first = "", ...rest] = part.split("=").map((word) => word.trim());
    return rest.length === 0 ? [undefined, first] : [first, rest.join("=") || "info"];
  });
}

function categoriesOf(value: Value): string[] {
  return listOf(value, "full-detail").map((name) => name.toLowerCase());
}

/** @throws UsageError */
function levelOf(wanted: string): LogLevel {
  const found = OTHER_LEVELS.get(wanted) ?? LOG_LEVELS.find((level) => level === wanted);
  if (found) return found;
  throw new UsageError(`--log-level "${wanted}": must be one of ${LOG_LEVELS.join(", ")}`);
}

function isComponent(name: string): name is Component {
  return (COMPONENTS as readonly string[]).includes(name);
}
