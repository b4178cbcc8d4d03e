/** The key that signs agents' tokens: made at the start, or read from a file or a Secret and reread. */
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Store } from "../../principal/ports/store.ts";
import { Reread } from "../tls/reread.ts";
import { hasSigningKey, jwtPem, type JwtSettings, rereadMs } from "../tls/secrets.ts";
import { OVERLAP_MS, SignedTokens } from "./tokens.ts";

/** Where the key comes from. */
export interface SigningKeySettings extends JwtSettings {
  readonly generateJwtKey: boolean;
  readonly store: { readonly type: string };
}

/** The key that signs agents' tokens, which is reread; undefined where none is configured: then no agent can authenticate. */
export async function openTokens(
  settings: SigningKeySettings,
  store: Store,
  log: Log,
  undo: (() => void)[],
): Promise<SignedTokens | undefined> {
  if (settings.generateJwtKey && settings.jwtKey === "") return await SignedTokens.generate();
  if (!hasSigningKey(settings)) return undefined;
  const readable = async () => {
    const { text, from } = await jwtPem(settings, store);
    const pem = text.toString("utf8");
    try {
      return { pem, tokens: await SignedTokens.fromPem(pem) };
    } catch (error) {
      throw new Error(`${from} is not a readable RSA key (PKCS#8 PEM): ${reasonOf(error)}`);
    }
  };
  const source = await Reread.open(readable, {
    everyMs: rereadMs(settings.jwtKey),
    same: (a, b) => a.pem === b.pem,
    unusable: (problem) =>
      log.warn("the key of agents' tokens cannot be used, keeping the last good one", { reason: problem }),
  });
  undo.push(() => source.close());
  const { tokens } = source.current;
  source.onChange(({ pem }) => {
    void tokens.rotate(pem).then(() =>
      log.info("agents' tokens are signed with another key; those of the key before stay good for a while", {
        seconds: OVERLAP_MS / 1_000,
      })
    );
  });
  return tokens;
}
