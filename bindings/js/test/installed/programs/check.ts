// What every runtime and bundler runs: a conformance case, projected and searched. Compiled as an
// ES module and as a CommonJS module, without the types of the DOM and of Node.

import { type Engine, EngineError, type Hit, load, type LoadOptions } from "@unifyweaver/projection";

export interface Case {
  queries: number[][];
  projected: number[][];
  answerIds: string[];
  answers: number[];
  hits: string[][];
  scores: number[][];
}

function close(what: string, found: ArrayLike<number>, expected: number[], scale: number) {
  if (found.length !== expected.length) {
    throw new Error(`${what}: ${found.length} numbers, expected ${expected.length}`);
  }
  expected.forEach((value, i) => {
    if (!(Math.abs(found[i]! - value) <= 1e-5 * scale)) {
      throw new Error(`${what}[${i}]: ${found[i]}, expected ${value}`);
    }
  });
}

async function run(engine: Engine, file: string | Uint8Array, expected: Case) {
  using model = typeof file === "string" ? await engine.Model.load(file) : engine.Model.fromBytes(file);
  const index = engine.Index.fromVectors(expected.answerIds.map(BigInt), Float32Array.from(expected.answers));
  expected.queries.forEach((query, row) => {
    const { projected }: { projected: Float32Array } = model.project(Float32Array.from(query));
    const values = expected.projected[row]!;
    close(`projected ${row}`, projected, values, Math.max(...values.map(Math.abs)));
    const hits: Hit[] = index.search(projected, expected.hits[row]!.length);
    const ids = hits.map((hit) => String(hit.answerId)).join();
    if (ids !== expected.hits[row]!.join()) {
      throw new Error(`hits ${row}: ${ids}, expected ${expected.hits[row]}`);
    }
    close(`scores ${row}`, hits.map((hit) => hit.score), expected.scores[row]!, 1);
  });
  index.free();
}

async function refused(code: string, work: Promise<unknown>) {
  const error = await work.then(() => null, (error: unknown) => error);
  if (!(error instanceof EngineError) || error.code !== code) {
    throw new Error(`expected an EngineError ${code}, found ${error}`, { cause: error });
  }
}

// @ts-expect-error
export const wrong: LoadOptions = { wasm: 5 };

/** Checks every build that the package has, or the one in `wasm`. Returns a line that says so. */
export async function check(file: string | Uint8Array, expected: Case, wasm?: LoadOptions["wasm"]) {
  let builds: LoadOptions[] = [{ wasm }];
  if (wasm === undefined) {
    builds = [true, false].flatMap((simd) => [true, false].map((embedder) => ({ simd, embedder })));
    const engine = await load();
    await refused("IO", engine.Model.load("missing.safetensors"));
    await refused("IO", load({ wasm: "missing.wasm" }));
  }
  for (const options of builds) {
    await run(await load(options), file, expected);
  }
  await refused("INVALID_ARGUMENT", load({ wasm: new Uint8Array(8) }));
  return `passed: ${expected.queries.length} queries in each of ${builds.length} builds`;
}
