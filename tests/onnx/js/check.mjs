// Exported models in ONNX Runtime for JavaScript, as a page or a Node program runs them.
//
// usage: node check.mjs CASES      the folder that onnx_export.py --cases wrote
//
// Each case is run with batches of 1, 3 and all of its queries, and must be within 1e-5 of the
// engine, relative to the largest component of a row; routing weights absolutely.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as ort from "onnxruntime-web";

const TOLERANCE = 1e-5;
const folder = process.argv[2];
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

function floats(name) {
  const bytes = readFileSync(join(folder, name));
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** The largest error of the rows of `found`; NaN where a number is none. */
function error(found, expected, width, relative) {
  if (found.length !== expected.length) {
    throw new Error(`${found.length} numbers, expected ${expected.length}`);
  }
  let worst = 0;
  for (let row = 0; row < found.length; row += width) {
    let scale = relative ? 0 : 1;
    for (let i = row; relative && i < row + width; i++) scale = Math.max(scale, Math.abs(expected[i]));
    for (let i = row; i < row + width; i++) {
      const away = Math.abs(found[i] - expected[i]) / scale;
      if (Number.isNaN(away)) return away;
      worst = Math.max(worst, away);
    }
  }
  return worst;
}

async function check(number, { name, n, dim, out, heads }) {
  const session = await ort.InferenceSession.create(readFileSync(join(folder, `${number}.onnx`)), {
    executionProviders: ["wasm"],
  });
  const queries = floats(`${number}.queries`);
  const expected = { projected: floats(`${number}.projected`) };
  if (heads > 0) expected.weights = floats(`${number}.weights`);
  if (String(session.outputNames) !== String(Object.keys(expected))) {
    throw new Error(`${name}: outputs ${session.outputNames}, expected ${Object.keys(expected)}`);
  }
  let worst = 0;
  for (const rows of new Set([1, Math.min(3, n), n])) {
    const feeds = { query: new ort.Tensor("float32", queries.slice(0, rows * dim), [rows, dim]) };
    const results = await session.run(feeds);
    for (const [output, values] of Object.entries(expected)) {
      const width = output === "weights" ? heads : out;
      if (String(results[output].dims) !== String([rows, width])) {
        throw new Error(`${name}: ${output} of shape ${results[output].dims}, expected ${[rows, width]}`);
      }
      const away = error(
        results[output].data, values.subarray(0, rows * width), width, output === "projected");
      if (!(away <= TOLERANCE)) {
        throw new Error(`${name}: ${output} of ${rows} queries: ${away} from the engine's, expected at most ${TOLERANCE}`);
      }
      worst = Math.max(worst, away);
    }
  }
  await session.release();
  return worst;
}

const cases = JSON.parse(readFileSync(join(folder, "cases.json")));
const worst = new Map();
for (const [number, model] of cases.entries()) {
  worst.set(model.kind, Math.max(worst.get(model.kind) ?? 0, await check(number, model)));
}
for (const [kind, away] of worst) {
  const count = cases.filter((model) => model.kind === kind).length;
  console.log(`ok      ${count} of kind ${kind} in JavaScript, at most ${away.toExponential(1)} from the engine`);
}
if (cases.length === 0) throw new Error(`${folder}: no cases`);
