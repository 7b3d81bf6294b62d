/// <reference lib="esnext.disposable" />
/**
 * Semantic projections: a model that was trained elsewhere moves the embedding of a question
 * to where its answer lies. Everything runs here, without a server.
 *
 * Vectors are `Float32Array`s of any length above zero; matrices are flat and row-major. A
 * call that fails throws an {@link EngineError} and nothing else, and no input of any kind makes
 * the engine trap. These types need neither the DOM's nor Node's.
 *
 * @example
 * const { Model, Index } = await load();
 * const model = await Model.load("model.safetensors");
 * const index = await Index.load("answers.safetensors");
 * const { projected } = model.project(query);
 * const hits = index.search(projected, 10);
 */

/** The id of a cluster or an answer: a bigint only if a number could not hold it exactly. */
export type Id = number | bigint;

/** The error that every failing call throws. */
export class EngineError extends Error {
  constructor(code: string, message: string, options?: { cause?: unknown });
  /**
   * The kind of error, for programs: `INVALID_ARGUMENT`, `DIMENSION_MISMATCH`, `NOT_FINITE`,
   * `ZERO_VECTOR`, `INVALID_MODEL`, `INVALID_EMBEDDER`, `BUFFER_SIZE`, `INVALID_INPUT`,
   * `OUT_OF_MEMORY`, `INTERNAL`, or `IO` if something cannot be fetched or read.
   */
  readonly code: string;
}

/** The instances of a global class, if the program's types have it. */
type Global<Name extends string> = typeof globalThis extends Record<Name, { prototype: infer T }> ? T : never;

/** A `WebAssembly.Module`, if the program's types have it. */
type Module = typeof globalThis extends { WebAssembly: { Module: { prototype: infer T } } } ? T : never;

/**
 * Where a file is: in browsers and workers what `fetch` accepts, in Node, Bun and Deno also a
 * path or a `file:` URL.
 */
export type Address = string | Global<"URL">;

export interface LoadOptions {
  /** Whether to load the build with SIMD; by default, if this machine can run it. */
  simd?: boolean;
  /** Whether to load the larger build, which has {@link Embedder}; by default not. */
  embedder?: boolean;
  /**
   * The binary: its address, its bytes, a response, or a `WebAssembly.Module` (for workers, which
   * compile ahead of time). By default the file in `wasm/` beside this module.
   */
  wasm?: Address | ArrayBuffer | ArrayBufferView | Global<"Response"> | Module;
}

/**
 * Loads the engine. Each call creates an engine with its own memory.
 * @throws {EngineError} (the promise rejects) if it cannot be fetched or compiled.
 */
export function load(options?: LoadOptions): Promise<Engine>;

/** Whether this machine can run the build with SIMD. */
export function hasSimd(): boolean;

export interface Engine {
  readonly Model: ModelClass;
  readonly Index: IndexClass;
  /** `fromBytes` throws unless the engine was loaded with `embedder: true`. */
  readonly Embedder: EmbedderClass;
  /** Whether this is the build with SIMD; undefined if the binary was passed to `load`. */
  readonly simd: boolean | undefined;
  /**
   * Size in bytes of the memory for models and indexes; it is reused but never shrinks.
   * An embedder has its own memory, which is released with it.
   */
  readonly memory: number;
}

export interface ModelClass {
  /**
   * Opens a model file (`projection export`). The bytes are copied and checked.
   * @throws {EngineError} if the file is damaged or is no model; the message says what is wrong.
   */
  fromBytes(bytes: Uint8Array | ArrayBuffer): Model;
  /** Fetches or reads a model file and opens it. */
  load(address: Address): Promise<Model>;
}

/** A trained model of any kind. */
export interface Model {
  /** `multi_head`, `residual`, `linear` or `transformer`. */
  readonly kind: string;
  /** Dimension d of queries. */
  readonly inputDim: number;
  /** Dimension o of projected queries. */
  readonly outputDim: number;
  /** The clusters of the heads, ascending: the order of routing weights. */
  readonly headIds: readonly Id[];
  /** NaN for kinds that have none. */
  readonly temperature: number;
  /** Projects a query (d). Returns the projected query (o) and a weight for each head. */
  project(query: Float32Array): Projected;
  /** Projects rows of queries (n × d). Returns rows (n × o and n × heads). */
  projectBatch(queries: Float32Array): Projected;
  /** Explains how a query (d) is moved: the weights of all heads and up to `k` training questions. */
  explain(query: Float32Array, k?: number): Explanation;
  /** Frees the model, which can no longer be used. Otherwise garbage collection frees it. */
  free(): void;
  [Symbol.dispose](): void;
}

export interface Projected {
  projected: Float32Array;
  /** Empty for kinds that do not route. */
  weights: Float32Array;
}

export interface Explanation {
  /** All heads, the largest weight first. */
  heads: {
    id: Id;
    weight: number;
    /** Cosine with the head's centroid, or with its nearest training question. */
    similarity: number;
  }[];
  /** For a residual projection: training questions near the query, the largest weight first. */
  questions: {
    /** The question's number among all training questions of the model. */
    index: number;
    headId: Id;
    weight: number;
    /** Cosine with the query. */
    similarity: number;
  }[];
}

export interface IndexClass {
  /** Opens a file of answers (`answers.safetensors` of an exported folder). */
  fromBytes(bytes: Uint8Array | ArrayBuffer): Index;
  /** Fetches or reads a file of answers and opens it. */
  load(address: Address): Promise<Index>;
  /** Builds an index of rows (n × d), which need not have length 1, with an id for each row. */
  fromVectors(ids: ArrayLike<Id>, vectors: Float32Array): Index;
}

export interface SearchOptions {
  /** Ids of the answers that may be found. By default all; unknown ids are ignored. */
  allowed?: ArrayLike<Id>;
}

/** Answers in memory, searched exactly. */
export interface Index {
  /** Number of answers. */
  readonly length: number;
  readonly dim: number;
  /** Returns the k answers nearest by cosine, best first, or all if there are fewer. */
  search(query: Float32Array, k: number, options?: SearchOptions): Hit[];
  /** Searches for each row of queries (n × d), faster than n calls of {@link search}. */
  searchBatch(queries: Float32Array, k: number, options?: SearchOptions): Hit[][];
  /** Adds rows (n × d) with ids that the index does not have. After an error, nothing is added. */
  add(ids: ArrayLike<Id>, vectors: Float32Array): void;
  /** Adds rows (n × d); ids that the index has already get the new ones. */
  replace(ids: ArrayLike<Id>, vectors: Float32Array): void;
  /** Removes the answers with these ids and returns their number. Unknown ids are ignored. */
  remove(ids: ArrayLike<Id>): number;
  free(): void;
  [Symbol.dispose](): void;
}

export interface Hit {
  answerId: Id;
  /** Cosine, from -1 to 1. */
  score: number;
}

export interface EmbedderOptions {
  /**
   * The most tokens of a text: `max_seq_length` of `sentence_bert_config.json` (256 for
   * all-MiniLM-L6-v2). By default as many as the model has positions.
   */
  maxTokens?: number;
  /** Whether texts are lower-cased first: `do_lower_case` of the same file. By default not. */
  lowerCase?: boolean;
  /** Whether vectors are scaled to length 1. By default they are, as most models require it. */
  normalise?: boolean;
  /**
   * The object in `tokenizer_config.json`, whose `do_lower_case`, `strip_accents` and
   * `tokenize_chinese_chars` override the tokenizer. By default the tokenizer is what its own
   * file says.
   */
  tokenizerConfig?: object;
  /** The object in `config_sentence_transformers.json`: default prompt and truncation. */
  sentenceTransformersConfig?: object;
  /**
   * The fingerprint of the embedding model that made the vectors to be searched:
   * `embedding_model_fingerprint` of an exported folder's manifest. Another model is refused
   * with `INVALID_EMBEDDER`. By default, and if it is null, any model is accepted.
   */
  fingerprint?: object | null;
}

export interface EmbedderClass {
  /** Opens the files of an embedding model of sentence-transformers (BERT with mean pooling). */
  fromBytes(
    model: Uint8Array | ArrayBuffer,
    tokenizer: Uint8Array | ArrayBuffer,
    config: Uint8Array | ArrayBuffer,
    options?: EmbedderOptions,
  ): Embedder;
}

/** Text to vector. */
export interface Embedder {
  readonly dim: number;
  /** What decides the vectors: hashes of weights and tokenizer, and the settings. */
  readonly fingerprint: Readonly<Record<string, unknown>>;
  /** Returns the vector of a text. Tokens after the first `maxTokens` do not change it. */
  embed(text: string): Float32Array;
  free(): void;
  [Symbol.dispose](): void;
}
