/** The verbs of the command line, as docs/cli.md shows them. */
import { COMMANDS } from "../../src/cli/commands.ts";
import { PROGRAM, type Verb } from "../../src/cli/verb.ts";

const cell = (text: string) => text.replaceAll("|", "\\|");

/** Every verb with its options, examples and exit codes; the options that name a principal stand only once. */
export function commandsReference(): string {
  const shared = COMMANDS.flatMap((one) => "verbs" in one && one.name === "ha" ? one.verbs : [])[0];
  const target = (shared?.options ?? []).filter(({ helpGroupHeading }) => helpGroupHeading);
  return [
    ...COMMANDS.flatMap((one) =>
      "verbs" in one ? one.verbs.flatMap((verb) => section(verb, `${one.name} `)) : section(one, "")
    ),
    "## Which principal",
    "",
    "Every `ha` verb takes these. Default: the principal's pod in the current context; without a kubeconfig this host's loopback.",
    "",
    ...optionTable(target),
  ].join("\n");
}

function section({ name, args = "", about, options = [], examples, exits }: Verb, group: string): string[] {
  const own = options.filter(({ helpGroupHeading }) => !helpGroupHeading);
  return [
    `## ${group}${name}`,
    "",
    `\`${PROGRAM} ${
      [group + name, ...(options.length > 0 ? ["[options]"] : []), args].filter(Boolean).join(" ")
    }\``,
    "",
    about,
    "",
    ...(own.length > 0 ? [...optionTable(own), ""] : []),
    ...examples.map(([line, what]) => `- \`${PROGRAM} ${line}\`${what && `: ${what}`}`),
    "",
    "Exit codes:",
    "",
    ...Object.entries(exits).map(([code, meaning]) => `- ${code}: ${meaning}`),
    "",
  ];
}

function optionTable(options: Verb["options"] = []): string[] {
  return [
    "| option | meaning | default |",
    "|---|---|---|",
    ...options.map(({ flags, description, argChoices, defaultValue, defaultValueDescription }) => {
      const choices = argChoices ? ` (${argChoices.join(", ")})` : "";
      const fallback = defaultValueDescription ?? (defaultValue === undefined ? "" : String(defaultValue));
      return `| \`${cell(flags)}\` | ${cell(description)}${choices} | ${fallback && `\`${fallback}\``} |`;
    }),
  ];
}
