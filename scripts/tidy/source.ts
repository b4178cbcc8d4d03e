/**
 * Reads what a TypeScript file imports, without a compiler. A mask blanks comments, strings, templates and regular
 * expressions and keeps every position, so that a word inside a string is never mistaken for code.
 */

/** A file's text with everything but code blanked, and the strings that were blanked by their position. */
export interface Masked {
  /** As long as the text; only newlines and code are left, each string as a pair of double quotes. */
  code: string;
  /** The content of each string literal, by the position of its opening quote. */
  strings: Map<number, string>;
  comments: { text: string; position: number }[];
}

/** An import of any form: static, re-exported, dynamic, of a type. */
export interface Import {
  /** The specifier as written; undefined where a dynamic import computes it. */
  target: string | undefined;
  line: number;
}

/** A slash after one of these begins a regular expression and not a division. */
const BEFORE_REGEX = /(^|[(,=:[!&|?{};+\-*%<>~^]|\b(return|typeof|case|in|of|await|yield))\s*$/;

/** Blanks everything in a text that is not code. */
export function mask(text: string): Masked {
  const strings = new Map<number, string>();
  const comments: Masked["comments"] = [];
  const code = text.split("");
  /** Braces that are open inside each template's `${`. */
  const templates: number[] = [];
  const blank = (from: number, to: number) => {
    for (let i = from; i < to; i++) if (code[i] !== "\n") code[i] = " ";
  };
  let i = 0;
  const template = () => {
    const from = i;
    while (i < text.length && text[i] !== "`" && !text.startsWith("${", i)) i += text[i] === "\\" ? 2 : 1;
    blank(from, i);
    if (text[i] === "`") i++;
    else {
      templates.push(0);
      i += 2;
    }
  };
  while (i < text.length) {
    const char = text[i]!;
    const from = i;
    if (char === '"' || char === "'") {
      i++;
      while (i < text.length && text[i] !== char && text[i] !== "\n") i += text[i] === "\\" ? 2 : 1;
      strings.set(from, text.slice(from + 1, i));
      blank(from + 1, i);
      code[from] = '"';
      if (i < text.length) code[i++] = '"';
    } else if (char === "`") {
      i++;
      template();
    } else if (text.startsWith("//", i) || text.startsWith("/*", i)) {
      const end = char + text[i + 1] === "//" ? text.indexOf("\n", i) : text.indexOf("*/", i + 2) + 2;
      i = end < from + 2 ? text.length : end;
      comments.push({ text: text.slice(from, i), position: from });
      blank(from, i);
    } else if (char === "/" && BEFORE_REGEX.test(code.slice(Math.max(0, i - 20), i).join(""))) {
      i = endOfRegex(text, i);
      blank(from, i);
    } else {
      i++;
      if (templates.length > 0 && char === "{") templates[templates.length - 1]!++;
      if (templates.length > 0 && char === "}" && templates[templates.length - 1]!-- === 0) {
        templates.pop();
        template();
      }
    }
  }
  return { code: code.join(""), strings, comments };
}

function endOfRegex(text: string, start: number): number {
  let inClass = false;
  for (let i = start + 1; i < text.length && text[i] !== "\n"; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "[") inClass = true;
    else if (text[i] === "]") inClass = false;
    else if (text[i] === "/" && !inClass) return i + 1;
  }
  return start + 1;
}

/** The line of a position, from 1. */
export const lineOf = (text: string, position: number) => text.slice(0, position).split("\n").length;

const IMPORTS = [
  /\b(?:import|export)\b[^;"()]*?\bfrom\s*"/g,
  /\bimport\s*"/g,
  /\bimport\s*\(\s*(?:"|[^\s"])/g,
];

/** Everything that a file imports, in the order of the lines. */
export function imports({ code, strings }: Masked): Import[] {
  const found = IMPORTS.flatMap((form) =>
    [...code.matchAll(form)].map((match) => {
      const position = match.index + match[0].length - 1;
      return { target: strings.get(position), line: lineOf(code, position) };
    })
  );
  return found.sort((a, b) => a.line - b.line);
}
