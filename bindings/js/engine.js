// The classes over one instance of the engine. What crosses the border, and who frees what,
// is said in crates/projection-wasm.

const utf8 = new TextDecoder();
const toUtf8 = new TextEncoder();

function failure(code, message) {
  return Object.assign(new Error(message), { code });
}

function invalid(message) {
  return failure("INVALID_ARGUMENT", message);
}

function describe(value) {
  if (value === null || typeof value !== "object") {
    return typeof value === "number" ? `the number ${value}` : String(value && typeof value);
  }
  return value.constructor?.name ?? "an object";
}

function checkFloats(name, value) {
  if (!(value instanceof Float32Array)) {
    throw invalid(`${name}: expected a Float32Array, found ${describe(value)}`);
  }
}

function checkCount(name, value) {
  if (!Number.isInteger(value) || value < 0) {
    throw invalid(`${name}: expected a whole number from 0, found ${describe(value)}`);
  }
  return Math.min(value, 0xffffffff);
}

function bytesOf(name, value) {
  if (value instanceof Uint8Array) {
    return value;
  }
  if (value instanceof ArrayBuffer) {
    return new Uint8Array(value);
  }
  throw invalid(`${name}: expected a Uint8Array, found ${describe(value)}`);
}

function idOf(big) {
  const number = Number(big);
  return Number.isSafeInteger(number) ? number : big;
}

function bigOf(id, place) {
  if ((typeof id === "bigint" && BigInt.asIntN(64, id) === id) || Number.isSafeInteger(id)) {
    return BigInt(id);
  }
  throw invalid(`ids[${place}]: expected a whole number of 64 bits, found ${describe(id)}`);
}

/** Memory of one instance, and calls into it. */
class Border {
  #exports;
  #views = null;
  #broken = null;
  // Room for the vectors of a query, kept from call to call.
  #room = 0;
  #roomSize = 0;

  constructor(instance) {
    this.#exports = instance.exports;
  }

  has(name) {
    return name in this.#exports;
  }

  get size() {
    return this.#exports.memory.buffer.byteLength;
  }

  /** Calls a function of the engine. */
  call(name, ...numbers) {
    if (this.#broken) {
      throw failure("INTERNAL", `the engine stopped before: ${this.#broken}`);
    }
    try {
      return this.#exports[name](...numbers);
    } catch (error) {
      // No input may lead here. If one does, memory is not to be trusted any more.
      this.#broken = error?.message ?? String(error);
      throw failure("INTERNAL", `the engine stopped: ${this.#broken}`);
    }
  }

  /** The same where 0 says that it went wrong. */
  try(name, ...numbers) {
    const result = this.call(name, ...numbers);
    if (result === 0) {
      const [kind, message] = utf8.decode(this.outbox()).split("\0", 2);
      throw failure(kind.toUpperCase().replaceAll(" ", "_"), message);
    }
    return result >>> 0;
  }

  outbox() {
    const start = this.call("outbox") >>> 0;
    return new Uint8Array(this.#exports.memory.buffer, start, this.call("outbox_length") >>> 0);
  }

  text() {
    return utf8.decode(this.outbox());
  }

  get views() {
    const { buffer } = this.#exports.memory;
    // Growing memory takes the old buffer away.
    if (this.#views?.bytes.buffer !== buffer) {
      this.#views = { bytes: new Uint8Array(buffer), floats: new Float32Array(buffer) };
    }
    return this.#views;
  }

  #allocate(size) {
    const place = size > 0xffffffff ? 0 : this.call("allocate", size) >>> 0;
    if (place === 0) {
      throw failure("OUT_OF_MEMORY", `the engine has no memory for ${size} bytes`);
    }
    return place;
  }

  /** Calls `work` with the place of `size` bytes. */
  with(size, work) {
    const place = this.#allocate(size);
    try {
      return work(place);
    } finally {
      if (!this.#broken) {
        this.call("release", place, size);
      }
    }
  }

  /** Room for so many floats, good until the next call; large room is not kept. */
  withFloats(count, work) {
    const size = 4 * count;
    if (size > 1 << 20) {
      return this.with(size, work);
    }
    if (size > this.#roomSize || this.#room === 0) {
      const place = this.#allocate(size);
      this.call("release", this.#room, this.#roomSize);
      this.#room = place;
      this.#roomSize = size;
    }
    return work(this.#room);
  }

  /** Calls `work` with the places of copies of some typed arrays. */
  withCopies(arrays, work) {
    // Each begins at a multiple of eight bytes.
    const starts = [];
    let size = 0;
    for (const array of arrays) {
      starts.push(size);
      size += (array.byteLength + 7) & ~7;
    }
    return this.with(size, (place) => {
      const { bytes } = this.views;
      arrays.forEach((array, i) => {
        const { buffer, byteOffset, byteLength } = array;
        bytes.set(new Uint8Array(buffer, byteOffset, byteLength), place + starts[i]);
      });
      return work(...starts.map((start) => place + start));
    });
  }
}

/** The classes of an engine. `another` makes a second instance of its module. */
export function bind(instance, another, simd) {
  const shared = new Border(instance);
  const made = Symbol("made by the engine");
  const abandoned = new FinalizationRegistry(([border, type, handle]) => {
    try {
      border.call(`${type}_free`, handle);
    } catch {
      // An engine that stopped has nothing to free.
    }
  });

  class Owned {
    #border;
    #type;
    #handle;

    constructor(key, border, type, handle) {
      if (key !== made) {
        throw invalid("use fromBytes");
      }
      this.#border = border;
      this.#type = type;
      this.#handle = handle;
      abandoned.register(this, [border, type, handle], this);
    }

    /** Where it lives, and the live handle. */
    static of(object) {
      if (object.#handle === 0) {
        throw invalid(`this ${object.#type} was freed`);
      }
      return [object.#border, object.#handle];
    }

    free() {
      if (this.#handle !== 0) {
        abandoned.unregister(this);
        const handle = this.#handle;
        this.#handle = 0;
        this.#border.call(`${this.#type}_free`, handle);
        // The last to hold an instance of its own gives its memory back.
        this.#border = null;
      }
    }
  }
  if (Symbol.dispose) {
    Owned.prototype[Symbol.dispose] = Owned.prototype.free;
  }
  const of = Owned.of;

  class Model extends Owned {
    constructor(key, border, handle) {
      super(key, border, "model", handle);
      border.call("model_kind", handle);
      this.kind = border.text();
      this.inputDim = border.call("model_input_dim", handle);
      this.outputDim = border.call("model_output_dim", handle);
      this.temperature = border.call("model_temperature", handle);
      const count = border.call("model_heads", handle);
      const start = border.call("model_head_ids", handle) >>> 0;
      const ids = new BigInt64Array(border.views.bytes.buffer, start, count);
      this.headIds = Object.freeze(Array.from(ids, idOf));
      Object.freeze(this);
    }

    static fromBytes(bytes) {
      const copy = [bytesOf("bytes", bytes)];
      const make = (place) => shared.try("model_from_bytes", place, copy[0].length);
      return new Model(made, shared, shared.withCopies(copy, make));
    }

    project(query) {
      checkFloats("query", query);
      return this.#run("model_project", query, 1);
    }

    projectBatch(queries) {
      checkFloats("queries", queries);
      return this.#run("model_project_batch", queries, Math.floor(queries.length / this.inputDim));
    }

    #run(name, queries, rows) {
      const [border, handle] = of(this);
      const [out, heads] = [rows * this.outputDim, rows * this.headIds.length];
      return border.withFloats(queries.length + out + heads, (place) => {
        const projectedPlace = place + 4 * queries.length;
        const weightsPlace = projectedPlace + 4 * out;
        border.views.floats.set(queries, place / 4);
        border.try(name, handle, place, queries.length, projectedPlace, weightsPlace);
        const { floats } = border.views;
        return {
          projected: floats.slice(projectedPlace / 4, projectedPlace / 4 + out),
          weights: floats.slice(weightsPlace / 4, weightsPlace / 4 + heads),
        };
      });
    }

    explain(query, k = 10) {
      checkFloats("query", query);
      const most = checkCount("k", k);
      const [border, handle] = of(this);
      return border.withFloats(query.length, (place) => {
        border.views.floats.set(query, place / 4);
        border.try("model_explain", handle, place, query.length, most);
        const { buffer, byteOffset, byteLength } = border.outbox();
        const values = Array.from(new Float64Array(buffer, byteOffset, byteLength / 8));
        const ids = this.headIds;
        const heads = ids.map((id, i) => ({ id, weight: values[2 * i], similarity: values[2 * i + 1] }));
        heads.sort((a, b) => b.weight - a.weight);
        const questions = [];
        for (let at = 2 * ids.length; at < values.length; at += 4) {
          const [index, head, weight, similarity] = values.slice(at, at + 4);
          questions.push({ index, headId: ids[head], weight, similarity });
        }
        return { heads, questions };
      });
    }
  }

  class Index extends Owned {
    constructor(key, border, handle) {
      super(key, border, "index", handle);
      this.length = border.call("index_length", handle) >>> 0;
      this.dim = border.call("index_dim", handle) >>> 0;
      Object.freeze(this);
    }

    static fromBytes(bytes) {
      const copy = [bytesOf("bytes", bytes)];
      const make = (place) => shared.try("index_from_bytes", place, copy[0].length);
      return new Index(made, shared, shared.withCopies(copy, make));
    }

    static fromVectors(ids, vectors) {
      checkFloats("vectors", vectors);
      const count = checkCount("ids.length", ids?.length);
      const bigs = BigInt64Array.from({ length: count }, (_, place) => bigOf(ids[place], place));
      const make = (idsPlace, place) =>
        shared.try("index_from_vectors", idsPlace, count, place, vectors.length);
      return new Index(made, shared, shared.withCopies([bigs, vectors], make));
    }

    search(query, k) {
      checkFloats("query", query);
      const most = checkCount("k", k);
      const [border, handle] = of(this);
      return border.withFloats(query.length, (place) => {
        border.views.floats.set(query, place / 4);
        border.try("index_search", handle, place, query.length, most);
        const { buffer, byteOffset, byteLength } = border.outbox();
        const count = byteLength / 12;
        const ids = new BigInt64Array(buffer, byteOffset, count);
        const scores = new Float32Array(buffer, byteOffset + 8 * count, count);
        return Array.from(scores, (score, i) => ({ answerId: idOf(ids[i]), score }));
      });
    }
  }

  class Embedder extends Owned {
    constructor(key, border, handle) {
      super(key, border, "embedder", handle);
      this.dim = border.call("embedder_dim", handle) >>> 0;
      Object.freeze(this);
    }

    static fromBytes(model, tokenizer, config, options = {}) {
      if (!shared.has("embedder_from_bytes")) {
        throw invalid("this build has no embedder: load({ embedder: true }) has one");
      }
      // In memory of its own: it takes hundreds of megabytes, which an instance never gives
      // back, and the tokenizer's library stops an engine at some damaged files.
      const border = new Border(another());
      const { maxTokens = 0, lowerCase = false, normalise = true } = options;
      const most = checkCount("maxTokens", maxTokens);
      const files = [
        bytesOf("model", model),
        bytesOf("tokenizer", tokenizer),
        bytesOf("config", config),
      ];
      const sizes = files.map((file) => file.length);
      const make = (a, b, c) =>
        border.try("embedder_from_bytes", a, sizes[0], b, sizes[1], c, sizes[2], most, lowerCase ? 1 : 0, normalise ? 1 : 0);
      try {
        return new Embedder(made, border, border.withCopies(files, make));
      } catch (error) {
        if (error.code === "INTERNAL") {
          const what = "text model: the engine stopped at its files, which do not fit together";
          throw failure("INVALID_EMBEDDER", what);
        }
        throw error;
      }
    }

    embed(text) {
      if (typeof text !== "string") {
        throw invalid(`text: expected a string, found ${describe(text)}`);
      }
      const [border, handle] = of(this);
      const bytes = toUtf8.encode(text);
      return border.withCopies([bytes], (place) => {
        border.try("embedder_embed", handle, place, bytes.length);
        const { buffer, byteOffset } = border.outbox();
        return new Float32Array(buffer, byteOffset, this.dim).slice();
      });
    }
  }

  return Object.freeze({
    Model,
    Index,
    Embedder,
    simd,
    get memory() {
      return shared.size;
    },
  });
}
