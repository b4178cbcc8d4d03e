/** The part of a log that waits for its reader. An agent may bring it in single bytes, each of which costs more than itself. */

const BUFFERED_BYTES = 256 * 1024;
/** The cost of a piece beside its bytes. */
const PIECE_BYTES = 512;

/** More is not read while this is full. */
export const LOG_BUFFER: Required<QueuingStrategy<Uint8Array>> = {
  highWaterMark: BUFFERED_BYTES,
  size: ({ length }) => length + PIECE_BYTES,
};
