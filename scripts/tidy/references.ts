/**
 * Documents and comments speak only of what is in the tree: a file that they name exists, and no path of one machine
 * stands anywhere. A reader who follows a reference must arrive.
 */
import type { Finding, Rule } from "./rules.ts";
import { lineOf, mask } from "./source.ts";

/** Files that are named although they are made elsewhere, or by the program. */
const NAMED_ELSEWHERE = /^(fsm\.c|client\.d\.ts)$/;

/** A path of one machine or of its package registry. */
const MACHINE =
  /(?<![\w.}$/])\/(?:work|root|home\/\w+)\/|registry\.npmjs|(?:npm_config_registry|GOPROXY)=\S/gi;

/** A paper outside the tree, or a section of one. */
const PAPER = /\bpeer-facts\b|§ ?\d[\d.]*/g;

const FILE = /(?<![\w/.$}*<-])(?:\.\.?\/)*[A-Za-z][\w/.-]*\.(?:md|ts)\b(?![\w*])/g;
const FOLDER = /(?<![\w/.-])(?:src|tests|scripts|docs|deploy|proto)\/[\w/-]+(?![\w/.*-])/g;
const LINK = /\]\((?!https?:|#)([^)#\s]+)/g;

/** Faults of one text; `tree` holds every file of the project. */
export function checkReferences(file: string, text: string, tree: Set<string>): Finding[] {
  const found: Finding[] = [];
  const add = (line: number, rule: Rule, fault: string, remedy: string) =>
    found.push({ file, line, rule, fault, remedy });
  for (const match of text.matchAll(MACHINE)) {
    add(lineOf(text, match.index), "machine", `names ${match[0]}`, "say it without a path of one machine");
  }
  for (const { text: part, position } of proseOf(file, text)) {
    const links = file.endsWith(".md") ? [...part.matchAll(LINK)] : [];
    const rest = links.reduce(
      (text, link) => text.replace(link[0], "]" + " ".repeat(link[0].length - 1)),
      part,
    );
    const named = [FILE, FOLDER, PAPER].flatMap((form) =>
      [...rest.matchAll(form)].map((match) => ({ at: match.index, name: match[0] }))
    );
    for (const { 1: target, index: at } of links) {
      named.push({ at, name: new URL(target!, `file:///${file}`).pathname.slice(1) });
    }
    const seen = new Set<string>();
    for (const { at, name } of named) {
      if (seen.has(name) || exists(name, tree)) continue;
      seen.add(name);
      add(
        lineOf(text, position + at),
        "reference",
        `names ${name}, which is not in the tree`,
        "name a file that is here, or write down what it says",
      );
    }
  }
  return found;
}

function proseOf(file: string, text: string): { text: string; position: number }[] {
  if (file.endsWith(".md")) return [{ text, position: 0 }];
  return file.endsWith(".ts") ? mask(text).comments : [];
}

function exists(name: string, tree: Set<string>): boolean {
  const path = name.replace(/^(\.\.?\/)+/, "").replace(/\/$/, "");
  if (NAMED_ELSEWHERE.test(path) || tree.has(path)) return true;
  for (const file of tree) if (file.endsWith(`/${path}`) || file.startsWith(`${path}/`)) return true;
  return false;
}
