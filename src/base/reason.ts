/** The reason in an operating system error's text, without the call and the file, which our message names anyway. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split(/ \(os error \d+\)/)[0] as string;
}
