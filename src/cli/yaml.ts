/**
 * YAML with exact numbers (base/json.ts). The parser's own numbers are doubles, but each scalar remembers its source; an
 * integer of YAML's other forms (`+1`, `0x1f`, `0o7`) becomes the decimal that kubectl makes of it. It stands beside
 * output.ts, so that commands which need no YAML do not load the library.
 */
import { Document, parseAllDocuments, visit } from "yaml";
import { type ExactNumber, exactNumber, isExactNumber, OutOfBounds } from "../base/json.ts";
import { isPrintable, printableLines } from "../base/printable.ts";
import { reasonOf } from "../base/reason.ts";

const JSON_NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const INTEGER = /^(-?)\+?(\d+|0x[\da-fA-F]+|0o[0-7]+)$/;
/** The most repetitions of an alias: a small file must not become a huge object. */
const MAX_ALIASES = 100;

/** Prints exact numbers as they were written; nothing that is read is of this kind. */
const EXACT = {
  tag: "tag:yaml.org,2002:float",
  default: true,
  test: /^(?!)/,
  identify: isExactNumber,
  resolve: (text: string) => text,
  stringify: ({ value }: { value: unknown }) => (value as ExactNumber).rawJSON,
} as const;

/** The values of a text's documents, empty ones left out. @throws Error with the first mistake's first line */
export function parseYaml(text: string): unknown[] {
  try {
    const documents = parseAllDocuments(text, { logLevel: "error" });
    return [...documents].map(valueOf).filter((value) => value !== null && value !== undefined);
  } catch (error) {
    // The parser is recursive: this is how it ends where the stack does.
    if (/call stack/.test(reasonOf(error))) throw new OutOfBounds("nested too deep to be read");
    throw error;
  }
}

/** The value as YAML text without a final newline; long strings stay on one line. */
export function yaml(value: unknown): string {
  const document = new Document(value, { customTags: (tags) => [EXACT, ...tags] });
  visit(document, {
    Scalar(_place, node) {
      // Between double quotes, what a terminal would obey can be written as an escape.
      if (typeof node.value === "string" && !isPrintable(node.value.replaceAll("\n", ""))) {
        node.type = "QUOTE_DOUBLE";
      }
    },
  });
  return printableLines(document.toString({ lineWidth: 0 }).trimEnd());
}

function valueOf(document: Document.Parsed): unknown {
  const error = document.errors[0];
  if (error) throw new Error(reasonOf(error).split("\n")[0]);
  visit(document, {
    Scalar(place, node) {
      const text = typeof node.value === "number" ? decimal(node.source ?? "") : undefined;
      if (text === undefined) return;
      const value = exactNumber(text);
      node.value = place === "key" && isExactNumber(value) ? text : value;
    },
  });
  return document.toJS({ maxAliasCount: MAX_ALIASES });
}

/** A YAML number as a JSON number; undefined: the parser's own value will do. */
function decimal(source: string): string | undefined {
  if (JSON_NUMBER.test(source)) return source;
  const [, sign, digits] = INTEGER.exec(source) ?? [];
  return digits === undefined ? undefined : `${sign}${BigInt(digits)}`;
}
