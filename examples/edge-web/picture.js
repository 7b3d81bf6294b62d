// The plane in which the answers differ most, by principal components.

/** The vectors (flat, row-major) of an answers file; its form is that of the engine's. */
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

/** Makes a function from vectors to places in the plane. */
export function plane({ count, dim, values }) {
  const mean = new Float64Array(dim);
  for (let row = 0; row < count; row++) {
    for (let i = 0; i < dim; i++) {
      mean[i] += values[row * dim + i] / count;
    }
  }
  const axes = [];
  for (let axis = 0; axis < Math.min(2, dim); axis++) {
    // Power iteration on XᵀX, from a start that has a part of everything.
    let direction = Float64Array.from({ length: dim }, (_, i) => Math.sin(i + 1));
    for (let round = 0; round < ROUNDS; round++) {
      const next = new Float64Array(dim);
      for (let row = 0; row < count; row++) {
        let dot = 0;
        for (let i = 0; i < dim; i++) {
          dot += (values[row * dim + i] - mean[i]) * direction[i];
        }
        for (let i = 0; i < dim; i++) {
          next[i] += dot * (values[row * dim + i] - mean[i]);
        }
      }
      for (const known of axes) {
        const along = known.reduce((sum, value, i) => sum + value * next[i], 0);
        known.forEach((value, i) => (next[i] -= along * value));
      }
      const norm = Math.hypot(...next);
      if (!(norm > 0)) {
        break;
      }
      direction = next.map((value) => value / norm);
    }
    axes.push(direction);
  }
  return (vector, start = 0) =>
    [0, 1].map((axis) => {
      let sum = 0;
      for (let i = 0; axis < axes.length && i < dim; i++) {
        sum += (vector[start + i] - mean[i]) * axes[axis][i];
      }
      return sum;
    });
}
