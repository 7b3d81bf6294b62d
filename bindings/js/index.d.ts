/**
 * Semantic projections: a model that was trained elsewhere moves the embedding of a question
 * to where its answer lies. Everything runs here, without a server.
 *
 * Vectors are `Float32Array`s of any length above zero, matrices flat and row-major. What
 * goes wrong throws an {@link EngineError}; nothing else is thrown, and no input of any kind
 * makes the engine trap.
 *
 * @example
 * const { Model, Index } = await load();
 * const model = Model.fromBytes(new Uint8Array(await (await fetch("model.safetensors")).arrayBuffer()));
 * const { projected } = model.project(query);
 * const hits = index.search(projected, 10);
 */

/** A cluster's or an answer's id: a bigint only where a number could not hold it exactly. */
export type Id = number | bigint;

/** What every failing call throws. */
export interface EngineError extends Error {
  /**
   * What went wrong, for programs: `INVALID_ARGUMENT`, `DIMENSION_MISMATCH`, `NOT_FINITE`,
   * `ZERO_VECTOR`, `INVALID_MODEL`, `INVALID_EMBEDDER`, `BUFFER_SIZE`, `INVALID_INPUT`,
   * `OUT_OF_MEMORY` or `INTERNAL`.
   */
  code: string;
}

export interface LoadOptions {
  /** Whether to take the build with SIMD; by default, where this machine can run it. */
  simd?: boolean;
  /** Whether to take the larger build, which has {@link Embedder}; by default not. */
  embedder?: boolean;
  /**
   * The binary: its bytes, a compiled module (as workers that compile ahead of time have it),
   * a response, or its address. By default the file in `wasm/` beside this module.
   */
  wasm?: ArrayBuffer | ArrayBufferView | WebAssembly.Module | Response | URL | string;
}

/** Loads the engine. Each call makes an engine with memory of its own. */
export function load(options?: LoadOptions): Promise<Engine>;

/** Whether this machine can run the build with SIMD. */
export function hasSimd(): boolean;

export interface Engine {
  readonly Model: ModelClass;
  readonly Index: IndexClass;
  /** `fromBytes` throws unless the engine was loaded with `embedder: true`. */
  readonly Embedder: EmbedderClass;
  /** Whether this is the build with SIMD; undefined where the binary was given. */
  readonly simd: boolean | undefined;
  /**
   * Bytes of memory that models and indexes have taken; it is used again but never shrinks.
   * An embedder has memory of its own, which goes with it.
   */
  readonly memory: number;
}

export interface ModelClass {
  /**
   * Opens a model file (`projection export`). The bytes are copied and checked.
   * @throws {EngineError} for a file that is damaged or no model, naming what is wrong.
   */
  fromBytes(bytes: Uint8Array | ArrayBuffer): Model;
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
  /** NaN for kinds without one. */
  readonly temperature: number;
  /** Projects a query (d): the projected query (o), and a weight for each head. */
  project(query: Float32Array): Projected;
  /** The same for rows of queries (n × d), into rows (n × o and n × heads). */
  projectBatch(queries: Float32Array): Projected;
  /** What pulls a query (d): its heads, the largest weight first, and up to `k` training questions. */
  explain(query: Float32Array, k?: number): Explanation;
  /** Gives the memory back; the model is of no more use. Without it, garbage collection does. */
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
  /** Training questions near the query, the largest weight first, of a residual projection. */
  questions: {
    /** The question's number among all of the model's. */
    index: number;
    headId: Id;
    weight: number;
    /** Cosine with the query. */
    similarity: number;
  }[];
}

export interface IndexClass {
  /** Opens a file of answers (`answers.safetensors` of an edge folder). */
  fromBytes(bytes: Uint8Array | ArrayBuffer): Index;
  /** Makes an index of rows (n × d), which need not have length 1, and an id for each. */
  fromVectors(ids: ArrayLike<Id>, vectors: Float32Array): Index;
}

/** Answers in memory, searched exactly. */
export interface Index {
  /** Number of answers. */
  readonly length: number;
  readonly dim: number;
  /** The nearest answers by cosine, best first: k of them, or all where there are fewer. */
  search(query: Float32Array, k: number): Hit[];
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
   * The most tokens of a text, `max_seq_length` of `sentence_bert_config.json` (256 for
   * all-MiniLM-L6-v2); by default as many as the model has positions.
   */
  maxTokens?: number;
  /** Whether texts are lower-cased first, `do_lower_case` of the same file; by default not. */
  lowerCase?: boolean;
  /** Whether vectors are scaled to length 1; by default so, as most models want it. */
  normalise?: boolean;
}

export interface EmbedderClass {
  /** Opens the files of a sentence-transformers model (BERT with mean pooling). */
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
  /** The vector of a text; what comes after the most tokens does not change it. */
  embed(text: string): Float32Array;
  free(): void;
  [Symbol.dispose](): void;
}
