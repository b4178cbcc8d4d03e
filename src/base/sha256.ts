/** SHA-256, the one hash of this project. Pure. */
import { hash } from "node:crypto";

/** The SHA-256 of a text (as UTF-8) or of bytes, as lower-case hex or as base64. */
export function sha256(data: string | Uint8Array, encoding: "hex" | "base64" = "hex"): string {
  return hash("sha256", data, encoding);
}
