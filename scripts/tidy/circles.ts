/**
 * Circles of imports between files, types included: two files of a circle can only be read together. Tarjan's strongly
 * connected components find them; the shortest way around is what the finding names.
 */

/** Each file of src with the files that it imports. */
export type Graph = Map<string, string[]>;

/** One circle for each group of files that reach one another, its first file also last. */
export function circles(graph: Graph): string[][] {
  return components(graph)
    .filter((group) => group.length > 1 || graph.get(group[0]!)?.includes(group[0]!))
    .map((group) => shortest(graph, new Set(group)));
}

function components(graph: Graph): string[][] {
  const found: string[][] = [];
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const visit = (file: string) => {
    index.set(file, index.size);
    low.set(file, index.get(file)!);
    stack.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!index.has(next)) visit(next);
      else if (!stack.includes(next)) continue;
      low.set(file, Math.min(low.get(file)!, low.get(next)!));
    }
    if (low.get(file) === index.get(file)) found.push(stack.splice(stack.indexOf(file)));
  };
  for (const file of graph.keys()) if (!index.has(file)) visit(file);
  return found;
}

function shortest(graph: Graph, group: Set<string>): string[] {
  const ways = [...group].map((start) => {
    const seen = new Set<string>();
    let ways = [[start]];
    while (ways.length > 0) {
      const next: string[][] = [];
      for (const way of ways) {
        for (const file of graph.get(way.at(-1)!) ?? []) {
          if (file === start) return [...way, start];
          if (group.has(file) && !seen.has(file)) next.push([...way, file]);
          seen.add(file);
        }
      }
      ways = next;
    }
    return [start];
  });
  return ways.sort((a, b) => a.length - b.length)[0]!;
}
