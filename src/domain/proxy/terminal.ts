/** The two ways of a terminal: what its user does, and what it shows until it ends. */

export type TerminalInput =
  | { do: "type"; data: Uint8Array }
  /** In characters. */
  | { do: "resize"; cols: number; rows: number }
  /** Nothing more will be typed. */
  | { do: "close" };

export type TerminalOutput = { show: Uint8Array } | { end: TerminalEnd };

export const TERMINAL_ENDS = ["done", "failed", "lost"] as const;

export interface TerminalEnd {
  /** `lost`: with its agent or its principal, and not by its program. */
  how: typeof TERMINAL_ENDS[number];
  /** Empty: nothing to say. */
  message: string;
  /** Of a program that failed. */
  exitCode?: number;
}

/** Bytes of one direction of a terminal that one place holds; a message larger than that is refused. */
export const TERMINAL_BUFFER_BYTES = 256 * 1024;
/** A message counts for no less. */
const MESSAGE_BYTES = 64;

/** Holds so much of one direction. */
export function terminalQueue<Part extends TerminalInput | TerminalOutput>(): QueuingStrategy<Part> {
  return { highWaterMark: TERMINAL_BUFFER_BYTES, size: (part) => MESSAGE_BYTES + bytesOf(part).length };
}

const NOTHING = new Uint8Array();

function bytesOf(part: TerminalInput | TerminalOutput): Uint8Array {
  if ("show" in part) return part.show;
  return "do" in part && part.do === "type" ? part.data : NOTHING;
}
