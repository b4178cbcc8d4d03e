import { assertEquals } from "@std/assert";
import { hostPort, sourceOf } from "./addresses.ts";

Deno.test("sourceOf() is one source for one host, in whatever form its address comes", () => {
  const cases: [string, string][] = [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::1", "0:0:0:0::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:db8:0:0:a:b:c:d", "2001:db8:0:0::/64"],
    ["2001:db8:0:1::", "2001:db8:0:1::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["", ""],
  ];
  for (const [address, source] of cases) assertEquals(sourceOf(address), source, address);
});

Deno.test("hostPort() puts an IPv6 address in brackets", () => {
  const cases: [string, string][] = [["::", "[::]:1"], ["0.0.0.0", "0.0.0.0:1"], [
    "a.example",
    "a.example:1",
  ]];
  for (const [host, text] of cases) assertEquals(hostPort(host, 1), text);
});
