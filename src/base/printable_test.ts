import { assertEquals } from "@std/assert";
import { printableMessage } from "./printable.ts";

/** As generated classes of messages are: a field at zero is the prototype's. */
class Report {
  declare unacknowledged: number;
  lines: string[] = [];

  static {
    this.prototype.unacknowledged = 0;
  }
}

Deno.test("printableMessage() makes every text one line and keeps the fields that are at zero", () => {
  const report = new Report();
  report.lines.push("a\nb", "\u202ec");
  const { unacknowledged = -1, lines } =
    printableMessage({ exposure: report, bytes: new Uint8Array([10]) }).exposure;
  assertEquals(unacknowledged, 0);
  assertEquals(lines, ["a\\nb", "\\u202ec"]);
});
