/** `--pprof-port`: profiles that `go tool pprof` and a browser read, for this machine alone. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { request } from "node:http";
import { gunzipSync } from "node:zlib";
import { Profile } from "pprof-format";
import { freePorts } from "../../src/cli/processes.ts";
import { inWorkshop, LOOSE, until } from "../support/principals.ts";

const root = new URL("../../", import.meta.url);

/** Seen by name in a profile of the processor. */
function spendsProcessorTime(): number {
  const endsAt = performance.now() + 40;
  let sum = 0;
  while (performance.now() < endsAt) sum += Math.sqrt(sum + 1);
  return sum;
}

/** Seen by name in a profile of allocations. */
function allocatesManyTexts(): string[] {
  return Array.from({ length: 40_000 }, (_, i) => `text ${i}`.padEnd(64, "."));
}

/** The names of functions in a profile, and its types of values. */
function read(bytes: Uint8Array): { names: string[]; types: string[]; samples: number } {
  const { stringTable: { strings }, function: functions, sampleType, sample } = Profile.decode(
    gunzipSync(bytes),
  );
  return {
    names: functions.map(({ name }) => strings[Number(name)] ?? ""),
    types: sampleType.map(({ type }) => strings[Number(type)] ?? ""),
    samples: sample.length,
  };
}

/** Takes profiles while `act` runs now and then, until one has its name. */
async function profileWith(url: string, act: () => unknown): Promise<ReturnType<typeof read>> {
  const kept: unknown[] = [];
  const timer = setInterval(() => kept.push(act()), 60);
  try {
    let profile = read(await bytesOf(url));
    await until(
      async () => {
        if (profile.names.includes(act.name)) return true;
        profile = read(await bytesOf(url));
        return false;
      },
      60_000,
      () => `${url} does not name ${act.name}: ${profile.names.join(", ").slice(0, 500)}`,
    );
    return profile;
  } finally {
    clearInterval(timer);
  }
}

async function bytesOf(url: string): Promise<Uint8Array> {
  const response = await fetch(url);
  const bytes = new Uint8Array(await response.arrayBuffer());
  assertEquals(response.status, 200, new TextDecoder().decode(bytes.slice(0, 500)));
  return bytes;
}

/** The status for a request with these headers. */
function statusWith(port: number, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, path: "/debug/pprof/", headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.once("error", reject).end();
  });
}

Deno.test({
  name: "profiles name the functions that take time and memory, in the formats of pprof and of V8",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const [pprofPort = 0] = freePorts(1);
      const running = await workshop.start({ ...workshop.settings("primary", 0), pprofPort });
      assertEquals(running.ports.profiles, pprofPort);
      const base = `http://127.0.0.1:${pprofPort}/debug/pprof`;
      assertStringIncludes(await (await fetch(`${base}/`)).text(), "profiles of this process");

      const cpu = await profileWith(`${base}/profile?seconds=0.4`, spendsProcessorTime);
      assertEquals(cpu.types, ["samples", "cpu"]);
      assert(cpu.samples > 0);
      const v8 = JSON.parse(
        new TextDecoder().decode(await bytesOf(`${base}/profile?seconds=0.1&format=cpuprofile`)),
      );
      assert(v8.nodes.length > 0 && v8.endTime > v8.startTime);

      const heap = await profileWith(`${base}/heap?seconds=0.3`, allocatesManyTexts);
      assertEquals(heap.types, ["inuse_space"]);
      const allocs = await profileWith(`${base}/allocs?seconds=0.3`, allocatesManyTexts);
      assertEquals(allocs.types, ["alloc_space"]);

      const memory = await (await fetch(`${base}/memory`)).json();
      assert(memory.process.rss > 0 && memory.heap.used_heap_size > 0 && memory.spaces.length > 0);
      const snapshot = await fetch(`${base}/snapshot`);
      const reader = snapshot.body?.getReader();
      const { value } = await reader?.read() ?? {};
      assertStringIncludes(new TextDecoder().decode(value), '{"snapshot":');
      await reader?.cancel();
    }),
});

Deno.test({
  name: "profiles are for this machine alone, one at a time, and off by default",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const [pprofPort = 0] = freePorts(1);
      const settings = workshop.settings("primary", 0);
      assertEquals(settings.pprofPort, 0);
      const running = await workshop.start({ ...settings, pprofPort });
      const base = `http://127.0.0.1:${pprofPort}/debug/pprof`;
      const localhost = `localhost:${pprofPort}`;
      assertEquals(await statusWith(pprofPort, { host: localhost }), 200);
      assertEquals(await statusWith(pprofPort, { host: `evil.example:${pprofPort}` }), 403);
      assertEquals(await statusWith(pprofPort, { host: localhost, "sec-fetch-site": "cross-site" }), 403);
      const answer = async (path: string) => {
        const response = await fetch(`${base}${path}`);
        return [response.status, await response.text()];
      };
      assertEquals(await answer("/goroutine"), [
        501,
        "cannot give goroutine: Deno has no goroutines; see profile\n",
      ]);
      assertEquals(await answer("/profile?seconds=301"), [
        400,
        'cannot take a profile: seconds="301" must be more than 0 and at most 300\n',
      ]);
      const leaving = new AbortController();
      const long = fetch(`${base}/profile?seconds=300`, { signal: leaving.signal }).then(
        () => "answered",
        () => "left",
      );
      const refused = [409, "cannot take a profile: another profile is being taken; ask when it is over\n"];
      let second = await answer("/heap?seconds=0.01");
      await until(
        async () => {
          if (second[0] === 409) return true;
          second = await answer("/heap?seconds=0.01");
          return false;
        },
        20_000,
        () => "a second profile is taken beside the first",
      );
      assertEquals(second, refused);
      leaving.abort();
      assertEquals(await long, "left");
      await until(
        async () => (await answer("/heap?seconds=0.01"))[0] === 200,
        20_000,
        () => "the profile of an asker that has left goes on",
      );
      assertEquals((await fetch(`http://127.0.0.1:${running.ports.healthz}/debug/pprof/`)).status, 404);
    }),
});

Deno.test("a profile says which permission of Deno is missing", async () => {
  const script = `
    import { profilingApp } from "${new URL("src/adapters/http/profiling.ts", root)}";
    const response = await profilingApp().request("/debug/pprof/profile?seconds=0.1");
    console.log(response.status, await response.text());`;
  const file = Deno.makeTempFileSync({ suffix: ".ts" });
  try {
    Deno.writeTextFileSync(file, script);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--no-check",
        "--allow-read",
        "--allow-env",
        "--config",
        new URL("deno.json", root).pathname,
        file,
      ],
      stdin: "null",
      stderr: "inherit",
    }).output();
    const said = new TextDecoder().decode(stdout);
    assertStringIncludes(said, "501 cannot take a profile: ");
    assertStringIncludes(said, "; start Deno with --allow-sys");
  } finally {
    Deno.removeSync(file);
  }
});
