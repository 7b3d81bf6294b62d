// The plane in which a question and its answers are drawn. The horizontal axis is the direction in
// which the projection moves the question; the vertical one is that in which the answers differ most
// otherwise.

/** The vectors (flat, row-major) of the engine's file of answers. */
export function answerVectors(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const part = (name) => {
    const [begin, end] = header[name].data_offsets;
    return bytes.slice(8 + length + begin, 8 + length + end).buffer;
  };
  const [count, dim] = header.vectors.shape;
  if (header.vectors.dtype === "F32") {
    return { count, dim, values: new Float32Array(part("vectors")) };
  }
  const scales = new Float32Array(part("scales"));
  const values = Float32Array.from(new Int8Array(part("vectors")), (byte, at) => byte * scales[Math.floor(at / dim)]);
  return { count, dim, values };
}

const ROUNDS = 40;

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/** The vector at length 1 without its components along `others`; null if nothing is left. */
function cleared(vector, others) {
  const rest = Float64Array.from(vector);
  const length = Math.hypot(...rest);
  for (const other of others) {
    const along = dot(rest, other);
    other.forEach((value, i) => (rest[i] -= along * value));
  }
  const left = Math.hypot(...rest);
  return left > 1e-6 * Math.max(length, 1e-6) ? rest.map((value) => value / left) : null;
}

/** The two principal axes of the vectors, by power iteration; fewer if all vectors are alike. */
export function principalAxes({ count, dim, values }) {
  const mean = new Float64Array(dim);
  for (let row = 0; row < count; row++) {
    for (let i = 0; i < dim; i++) {
      mean[i] += values[row * dim + i] / count;
    }
  }
  const axes = [];
  while (axes.length < Math.min(2, dim)) {
    // From a start with a component in every direction.
    let axis = cleared(Float64Array.from({ length: dim }, (_, i) => Math.sin(i + 1)), axes);
    for (let round = 0; axis && round < ROUNDS; round++) {
      const next = new Float64Array(dim);
      for (let row = 0; row < count; row++) {
        let along = 0;
        for (let i = 0; i < dim; i++) {
          along += (values[row * dim + i] - mean[i]) * axis[i];
        }
        for (let i = 0; i < dim; i++) {
          next[i] += along * (values[row * dim + i] - mean[i]);
        }
      }
      axis = cleared(next, axes);
    }
    if (!axis) {
      break;
    }
    axes.push(axis);
  }
  return axes;
}

/** Places of the answers, of the question and of its projection, both of length 1. */
export function picture({ count, dim, values }, axes, question, projected) {
  const move = cleared(projected.map((value, i) => value - question[i]), []);
  const plane = [];
  for (const axis of [move, ...axes]) {
    const next = axis && cleared(axis, plane);
    if (next && plane.length < 2) {
      plane.push(next);
    }
  }
  const place = (vector) => [0, 1].map((at) => (plane[at] ? dot(vector, plane[at]) : 0));
  const answers = [];
  for (let row = 0; row < count; row++) {
    answers.push(place(values.subarray(row * dim, (row + 1) * dim)));
  }
  return { answers, question: place(question), projected: place(projected) };
}
