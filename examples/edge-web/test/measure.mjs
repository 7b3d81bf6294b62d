// What runs inside the page: all test questions with answers of both precisions, and times.

/** Sent to the page as it is: it uses nothing from outside itself. */
export async function measure({ questions }) {
  const { load } = await import("/engine/index.js");
  const bytes = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
  const engine = await load({ embedder: true });
  const embedder = engine.Embedder.fromBytes(
    await bytes("/embedding-model/model.safetensors"),
    await bytes("/embedding-model/tokenizer.json"),
    await bytes("/embedding-model/config.json"),
    { maxTokens: 256 },
  );
  const model = engine.Model.fromBytes(await bytes("/data/model.safetensors"));
  const small = engine.Index.fromBytes(await bytes("/data/answers.safetensors"));
  const full = engine.Index.fromBytes(await bytes("/exact/answers.safetensors"));

  const median = (times) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
  const embedding = [];
  const found = [];
  const agreement = { first: 0, ten: 0, all: 0 };
  for (const question of questions) {
    const started = performance.now();
    const query = embedder.embed(question);
    embedding.push(performance.now() - started);
    const { projected } = model.project(query);
    const [exact, rounded] = [full, small].map((index) => index.search(projected, 10));
    const ids = new Set(exact.map((hit) => hit.answerId));
    const common = rounded.filter((hit) => ids.has(hit.answerId)).length;
    agreement.first += Number(exact[0].answerId === rounded[0].answerId);
    agreement.ten += common;
    agreement.all += Number(common === exact.length);
    found.push({ exact: exact.slice(0, 5), plain: full.search(query, 5) });
  }

  /** Microseconds a call, the median of some rounds; a browser's clock is coarse. */
  const each = (calls, work) => {
    const times = [];
    for (let round = 0; round < 15; round++) {
      const started = performance.now();
      for (let call = 0; call < calls; call++) {
        work();
      }
      times.push((1000 * (performance.now() - started)) / calls);
    }
    return median(times);
  };
  const DIM = 384;
  let state = 1;
  const vectors = (rows) =>
    Float32Array.from({ length: rows * DIM }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 31 - 1;
    });

  // A multi-head model of 18 heads, made as its file.
  const heads = 18;
  const unit = vectors(heads);
  for (let row = 0; row < heads; row++) {
    const length = Math.hypot(...unit.subarray(row * DIM, (row + 1) * DIM));
    unit.subarray(row * DIM, (row + 1) * DIM).forEach((value, i) => (unit[row * DIM + i] = value / length));
  }
  const size = 4 * heads * DIM;
  const header = JSON.stringify({
    __metadata__: {
      format: "projection",
      format_version: "1",
      kind: "multi_head",
      parameters: JSON.stringify({ kind: "multi_head", temperature: 0.1 }),
    },
    centroids: { dtype: "F32", shape: [heads, DIM], data_offsets: [0, size] },
    answers: { dtype: "F32", shape: [heads, DIM], data_offsets: [size, 2 * size] },
    head_ids: { dtype: "I64", shape: [heads], data_offsets: [2 * size, 2 * size + 8 * heads] },
  });
  const text = new TextEncoder().encode(header.padEnd(Math.ceil(header.length / 8) * 8));
  const file = new Uint8Array(8 + text.length + 2 * size + 8 * heads);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(new Uint8Array(unit.buffer), 8 + text.length);
  file.set(new Uint8Array(vectors(heads).buffer), 8 + text.length + size);
  const ids = BigInt64Array.from({ length: heads }, (_, row) => BigInt(row));
  file.set(new Uint8Array(ids.buffer), 8 + text.length + 2 * size);
  const multiHead = engine.Model.fromBytes(file);
  const index = engine.Index.fromVectors(Array.from({ length: 2000 }, (_, id) => id), vectors(2000));
  const query = vectors(1);

  const sentence = "Can ten workers call the same loaded model simultaneously?";
  const times = {
    "18 × 384, one query": `${each(2000, () => multiHead.project(query)).toFixed(2)} µs`,
    "2,000 × 384, ten best": `${(each(50, () => index.search(query, 10)) / 1000).toFixed(3)} ms`,
    "this FAQ's projection, one query": `${each(500, () => model.project(query)).toFixed(1)} µs`,
    "embedding a sentence of 9 words": `${(each(1, () => embedder.embed(sentence)) / 1000).toFixed(1)} ms`,
    "embedding the test questions, median": `${median(embedding).toFixed(1)} ms`,
  };
  const browser = /Chrome\/\d+/.exec(navigator.userAgent)?.[0] ?? navigator.userAgent;
  return { found, agreement, times, simd: engine.simd, browser };
}
