/** Keys of resources, `KIND/NAMESPACE/NAME`, as operators type them. */
import { parseKey } from "../domain/resources/keys.ts";

/** The reason why a text is no key; empty: it is one. */
export function keyProblem(text: string): string {
  return parseKey(text)
    ? ""
    : `"${
      text.slice(0, 100)
    }" is no key: a key is KIND/NAMESPACE/NAME, for example Application/edge-1/shop; ha diff lists them`;
}
