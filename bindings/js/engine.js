// The classes over one instance of the engine. crates/projection-wasm describes how a call passes
// its input and output, and who frees what.

const utf8 = new TextDecoder();
const toUtf8 = new TextEncoder();

export class EngineError extends Error {
  name = "EngineError";

  constructor(code, message, options) {
    super(message, options);
    this.code = code;
  }
}

export function invalid(message) {
  return new EngineError("INVALID_ARGUMENT", message);
}

export function describe(value) {
  if (value === null || typeof value !== "object") {
    return typeof value === "number" ? `the number ${value}` : String(value && typeof value);
  }
  return value.constructor?.name ?? "an object";
}

export function checkObject(name, value) {
  if (value === null || typeof value !== "object") {
    throw invalid(`${name}: expected an object, found ${describe(value)}`);
  }
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

function bigsOf(name, ids) {
  const bigOf = (_, place) => {
    const id = ids[place];
    if ((typeof id === "bigint" && BigInt.asIntN(64, id) === id) || Number.isSafeInteger(id)) {
      return BigInt(id);
    }
    throw invalid(`${name}[${place}]: expected a whole number of 64 bits, found ${describe(id)}`);
  };
  return BigInt64Array.from({ length: checkCount(`${name}.length`, ids?.length) }, bigOf);
}

/** Calls into one instance, and its memory. */
class Border {
  #exports;
  #broken = null;

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
      throw new EngineError("INTERNAL", `the engine stopped before: ${this.#broken}`);
    }
    try {
      return this.#exports[name](...numbers) >>> 0;
    } catch (error) {
      // No input should lead here. If one does, the memory can no longer be trusted.
      this.#broken = error?.message ?? String(error);
      throw new EngineError("INTERNAL", `the engine stopped: ${this.#broken}`);
    }
  }

  /** Calls a function that returns 0 after an error. */
  try(name, ...numbers) {
    const result = this.call(name, ...numbers);
    if (result === 0) {
      const [kind, message] = this.text().split("\0", 2);
      throw new EngineError(kind.toUpperCase().replaceAll(" ", "_"), message);
    }
    return result;
  }

  /** Allocates the input of the next call, `count` values, as a typed array. */
  #room(name, Type, count) {
    const start = count > 0xffffffff ? 0 : this.call(name, count);
    if (start === 0) {
      const size = count * Type.BYTES_PER_ELEMENT;
      throw new EngineError("OUT_OF_MEMORY", `the engine has no memory for ${size} bytes`);
    }
    return new Type(this.#exports.memory.buffer, start, count);
  }

  /** Makes the bytes of arrays, one after the other, the input of the next call. */
  bytes(...arrays) {
    const room = this.#room("input_bytes", Uint8Array, arrays.reduce((n, { length }) => n + length, 0));
    let start = 0;
    for (const array of arrays) {
      room.set(array, start);
      start += array.length;
    }
  }

  /** Makes numbers the input of the next call. */
  floats(values) {
    this.#room("input_floats", Float32Array, values.length).set(values);
  }

  /** Makes ids the input of the next call. */
  ids(values) {
    this.#room("input_ids", BigInt64Array, values.length).set(values);
  }

  /** The text of the output. */
  text() {
    const start = this.call("output_text");
    return utf8.decode(new Uint8Array(this.#exports.memory.buffer, start, this.call("output_text_length")));
  }

  /** The numbers of the output, valid until the next call. */
  numbers() {
    const start = this.call("output_floats");
    return new Float32Array(this.#exports.memory.buffer, start, this.call("output_floats_length"));
  }

  /** The ids of the output, as many as numbers. */
  hitIds() {
    const start = this.call("output_ids");
    return new BigInt64Array(this.#exports.memory.buffer, start, this.call("output_floats_length"));
  }
}

/**
 * The classes of an engine. `another` makes a second instance of its module, `read` returns the
 * bytes at an address.
 */
export function bind(instance, another, simd, read) {
  const shared = new Border(instance);
  const made = Symbol("made by the engine");
  // Some workers have none; they free by hand.
  const abandoned = globalThis.FinalizationRegistry && new FinalizationRegistry(([border, handle]) => {
    try {
      border.call("free_object", handle);
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
      abandoned?.register(this, [border, handle], this);
    }

    /** What the engine says about a new object. */
    static describe(border, handle) {
      border.try("describe", handle);
      return JSON.parse(border.text());
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
        abandoned?.unregister(this);
        const handle = this.#handle;
        this.#handle = 0;
        this.#border.call("free_object", handle);
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
      const { kind, inputDim, outputDim, temperature, headIds } = Owned.describe(border, handle);
      Object.assign(this, { kind, inputDim, outputDim, temperature: temperature ?? NaN });
      this.headIds = Object.freeze(headIds.map((id) => idOf(BigInt(id))));
      Object.freeze(this);
    }

    static fromBytes(bytes) {
      shared.bytes(bytesOf("bytes", bytes));
      return new Model(made, shared, shared.try("model_from_bytes"));
    }

    static async load(address) {
      return Model.fromBytes(await read(address));
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
      border.floats(queries);
      border.try(name, handle);
      const numbers = border.numbers();
      const split = rows * this.outputDim;
      return { projected: numbers.slice(0, split), weights: numbers.slice(split) };
    }

    explain(query, k = 10) {
      checkFloats("query", query);
      const max = checkCount("k", k);
      const [border, handle] = of(this);
      border.floats(query);
      border.try("model_explain", handle, max);
      const ids = this.headIds;
      const { heads, questions } = JSON.parse(border.text());
      return {
        heads: heads.map((head, i) => ({ id: ids[i], ...head })).sort((a, b) => b.weight - a.weight),
        questions: questions.map(({ head, ...question }) => ({ headId: ids[head], ...question })),
      };
    }
  }

  class Index extends Owned {
    #length;

    constructor(key, border, handle) {
      super(key, border, "index", handle);
      const { length, dim } = Owned.describe(border, handle);
      this.#length = length;
      this.dim = dim;
      Object.freeze(this);
    }

    get length() {
      return this.#length;
    }

    static fromBytes(bytes) {
      shared.bytes(bytesOf("bytes", bytes));
      return new Index(made, shared, shared.try("index_from_bytes"));
    }

    static async load(address) {
      return Index.fromBytes(await read(address));
    }

    static fromVectors(ids, vectors) {
      checkFloats("vectors", vectors);
      shared.ids(bigsOf("ids", ids));
      shared.floats(vectors);
      return new Index(made, shared, shared.try("index_from_vectors"));
    }

    add(ids, vectors) {
      this.#change(0, ids, vectors);
    }

    replace(ids, vectors) {
      this.#change(1, ids, vectors);
    }

    remove(ids) {
      const before = this.#length;
      this.#change(2, ids, new Float32Array());
      return before - this.#length;
    }

    #change(how, ids, vectors) {
      checkFloats("vectors", vectors);
      const bigs = bigsOf("ids", ids);
      const [border, handle] = of(this);
      border.ids(bigs);
      border.floats(vectors);
      border.try("index_change", handle, how);
      this.#length = Owned.describe(border, handle).length;
    }

    search(query, k, options) {
      checkFloats("query", query);
      return this.#search(query, k, false, options);
    }

    searchBatch(queries, k, options) {
      checkFloats("queries", queries);
      const hits = this.#search(queries, k, true, options);
      const rows = queries.length / this.dim;
      const each = hits.length / rows;
      return Array.from({ length: rows }, (_, row) => hits.slice(row * each, (row + 1) * each));
    }

    #search(queries, k, batch, options = {}) {
      const max = checkCount("k", k);
      checkObject("options", options);
      const { allowed } = options;
      const among = allowed !== undefined && bigsOf("allowed", allowed);
      const [border, handle] = of(this);
      if (among) {
        border.ids(among);
      }
      border.floats(queries);
      border.try("index_search", handle, max, batch, Boolean(among));
      const ids = border.hitIds();
      return Array.from(border.numbers(), (score, i) => ({ answerId: idOf(ids[i]), score }));
    }
  }

  class Embedder extends Owned {
    constructor(key, border, handle) {
      super(key, border, "embedder", handle);
      const { dim, fingerprint } = Owned.describe(border, handle);
      Object.assign(this, { dim, fingerprint: Object.freeze(fingerprint) });
      Object.freeze(this);
    }

    static fromBytes(model, tokenizer, config, options = {}) {
      if (!shared.has("embedder_from_bytes")) {
        throw invalid("this build has no embedder: load({ embedder: true }) has one");
      }
      // In an instance of its own, because an instance never returns the hundreds of megabytes
      // that this takes, and the tokenizer's library stops an engine at some damaged files.
      const border = new Border(another());
      const { maxTokens = 0, lowerCase = false, normalise = true } = options;
      const { tokenizerConfig, sentenceTransformersConfig, fingerprint } = options;
      const settings = { tokenizerConfig, sentenceTransformersConfig, fingerprint };
      for (const [name, value] of Object.entries(settings)) {
        if (value != null && (typeof value !== "object" || ArrayBuffer.isView(value))) {
          throw invalid(`${name}: expected the object of a JSON file, found ${describe(value)}`);
        }
      }
      settings.maxTokens = checkCount("maxTokens", maxTokens);
      Object.assign(settings, { lowerCase: Boolean(lowerCase), normalise: Boolean(normalise) });
      const files = [bytesOf("model", model), bytesOf("tokenizer", tokenizer), bytesOf("config", config)];
      border.bytes(...files, toUtf8.encode(JSON.stringify(settings)));
      const numbers = files.map((file) => file.length);
      try {
        return new Embedder(made, border, border.try("embedder_from_bytes", ...numbers));
      } catch (error) {
        if (error.code === "INTERNAL") {
          const what = "embedding model: the engine stopped at its files, which do not fit together";
          throw new EngineError("INVALID_EMBEDDER", what);
        }
        throw error;
      }
    }

    embed(text) {
      if (typeof text !== "string") {
        throw invalid(`text: expected a string, found ${describe(text)}`);
      }
      const [border, handle] = of(this);
      border.bytes(toUtf8.encode(text));
      border.try("embedder_embed", handle);
      return border.numbers().slice();
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
