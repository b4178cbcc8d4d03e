/** Mistakes about what a side's flags leave out. */
import { type Mutant, mutant } from "./mutant.ts";

const LEFT_OUT = "src/principal/active/left_out.ts";

export const SCOPE_MUTANTS: readonly Mutant[] = [
  mutant(
    "what a narrower label selector leaves out counts as deleted",
    LEFT_OUT,
    "const left = object !== undefined && isUnselected(object, this.parts.settings.scope);",
    "const left = object === undefined && this.#gone.has(key);",
    ["flags"],
  ),
  mutant(
    "a namespace that the flags leave out counts as deleted",
    LEFT_OUT,
    'if (!admits(scope, parseKey(key)?.namespace ?? "")) return "--allowed-namespaces";',
    'if (!admits(scope, parseKey(key)?.namespace ?? "")) return undefined;',
    ["flags"],
  ),
  mutant(
    "a follower is not told what its leader's flags leave out",
    "src/domain/resources/coverage.ts",
    'return [...CLASSES.filter((name) => covered[name]), ...limitsOf(scope)].join(",");',
    'return [...CLASSES.filter((name) => covered[name]), ...limitsOf(scope).slice(0, 0)].join(",");',
    ["flags"],
  ),
];
