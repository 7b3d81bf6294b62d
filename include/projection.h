/*
 * projection.h: semantic projections in C.
 *
 * Ownership. A function that fills in a `projection_x **` returns a handle, which exactly one
 * function, `projection_x_free`, frees. Freeing NULL does nothing. What a handle's functions
 * point to (a text, an array's data) lives as long as the handle.
 *
 * Errors. Functions that can fail return a `projection_status`, 0 for success. Their last
 * parameter, which may be NULL, receives an error with a message; the caller frees it. It should
 * point to NULL, because it is overwritten. There is no global or thread-local state. A defect
 * of the library ends the call with PROJECTION_STATUS_PANIC. Functions without a status then
 * return what they return for NULL, projection_error_code returns PROJECTION_STATUS_PANIC, and
 * version and status name are "".
 *
 * Buffers belong to the caller, who passes their lengths in elements. Outputs, including
 * handles, are written only on success and must not overlap inputs.
 *
 * Threads. Any number of threads may use a `const` handle at once. A handle may be freed when
 * no thread uses it any more.
 *
 * Texts are UTF-8 and end with NUL. Arrays of vectors are row-major.
 *
 * Options of calls that take long are JSON objects. A key that is missing has its default, an
 * unknown key is an error. Reports are JSON; later versions may add keys.
 */

#ifndef PROJECTION_H
#define PROJECTION_H

/* Generated from crates/projection-ffi by `make header`. Do not edit. */

#include <stddef.h>
#include <stdint.h>

/**
 * Result code of a call. The numbers are stable and never reused; later versions may add some.
 */
typedef enum projection_status {
  /**
   * Success.
   */
  PROJECTION_STATUS_OK = 0,
  /**
   * An argument is outside what the call accepts, such as a temperature of zero.
   */
  PROJECTION_STATUS_INVALID_ARGUMENT = 1,
  /**
   * Two vectors, or a vector and a model, have different dimensions.
   */
  PROJECTION_STATUS_DIMENSION_MISMATCH = 2,
  /**
   * A vector holds NaN or infinity.
   */
  PROJECTION_STATUS_NOT_FINITE = 3,
  /**
   * A vector that needs a direction is zero.
   */
  PROJECTION_STATUS_ZERO_VECTOR = 4,
  /**
   * A file, folder, model, answer or other named thing does not exist.
   */
  PROJECTION_STATUS_NOT_FOUND = 5,
  /**
   * The operating system refused to read or write.
   */
  PROJECTION_STATUS_IO = 6,
  /**
   * A .npy file is damaged or of an unsupported type.
   */
  PROJECTION_STATUS_INVALID_ARRAY = 7,
  /**
   * The files or rows of a model do not fit together.
   */
  PROJECTION_STATUS_INVALID_MODEL = 8,
  /**
   * A file is not a store of a schema that this version knows.
   */
  PROJECTION_STATUS_INVALID_STORE = 9,
  /**
   * An id or name is missing, or matches more than one model.
   */
  PROJECTION_STATUS_AMBIGUOUS_MODEL = 10,
  /**
   * Another process is writing to the store.
   */
  PROJECTION_STATUS_BUSY = 11,
  /**
   * The files of an embedding model are damaged, do not fit together or are of an unknown kind.
   */
  PROJECTION_STATUS_INVALID_EMBEDDER = 12,
  /**
   * A buffer of the caller has the wrong length.
   */
  PROJECTION_STATUS_BUFFER_SIZE = 13,
  /**
   * A question-answer file does not have a known format.
   */
  PROJECTION_STATUS_INVALID_INPUT = 14,
  /**
   * A defect of the engine.
   */
  PROJECTION_STATUS_INTERNAL = 15,
  /**
   * A defect of the engine that was caught at the boundary to another language.
   */
  PROJECTION_STATUS_PANIC = 16,
  /**
   * The caller cancelled the work.
   */
  PROJECTION_STATUS_CANCELLED = 17,
} projection_status;

/**
 * A `hybrid_weight`: the one that training chose for the model, else 0.2.
 */
#define PROJECTION_HYBRID_WEIGHT_OF_MODEL -1.0

/**
 * The kind of a model.
 */
typedef enum {
  /**
   * NULL, or a kind that has no number yet.
   */
  PROJECTION_KIND_UNKNOWN = 0,
  /**
   * One head per cluster, mixed by softmax.
   */
  PROJECTION_KIND_MULTI_HEAD = 1,
  /**
   * The query plus what training learned to add to it.
   */
  PROJECTION_KIND_RESIDUAL = 2,
  /**
   * One matrix. It has no heads and no temperature.
   */
  PROJECTION_KIND_LINEAR = 3,
  /**
   * A distilled network, from a file of its own. It has no heads and no temperature.
   */
  PROJECTION_KIND_TRANSFORMER = 4,
} projection_kind;

/**
 * How a model stores its vectors.
 */
typedef enum {
  /**
   * NULL, or a precision that has no number yet.
   */
  PROJECTION_PRECISION_UNKNOWN = 0,
  /**
   * Single precision.
   */
  PROJECTION_PRECISION_F32 = 1,
  /**
   * bfloat16, in half the memory. The direction of projected queries changes by about 1e-5.
   */
  PROJECTION_PRECISION_BF16 = 2,
  /**
   * int8 with a scale for each vector, in a quarter of the memory.
   */
  PROJECTION_PRECISION_INT8 = 3,
} projection_precision;

/**
 * How vectors score an answer.
 */
typedef enum {
  /**
   * The cosine of the (projected) query and the answer, plus an offset for answers without
   * training questions: `unseen_offset`, or if that is 0 the one that training chose for the
   * model. Without a model, with one that has no offset, and in a searcher that is not one of a
   * store, it is the cosine alone. The default.
   */
  PROJECTION_SCORE_MODE_SEEN_UNSEEN = 0,
  /**
   * The cosine, or 0.8 times the cosine of the query and the nearest training question of the
   * answer's cluster if that is larger. For residual models and searchers of a store.
   */
  PROJECTION_SCORE_MODE_MAX_NEAREST_QUESTION = 1,
  /**
   * The cosine alone, without the offset that training chose.
   */
  PROJECTION_SCORE_MODE_COSINE = 2,
} projection_score_mode;

/**
 * An array of floats. Free it with projection_array_free. Any number of threads may use it at
 * once.
 */
typedef struct projection_array projection_array;

/**
 * An embedding model. Free it with projection_embedder_free. Any number of threads may use it at
 * once.
 */
typedef struct projection_embedder projection_embedder;

/**
 * An error returned by a call. Free it with projection_error_free. Any number of threads may
 * read it at once.
 */
typedef struct projection_error projection_error;

/**
 * Answers found by a search, with their texts. Free it with projection_hits_free. Any number of
 * threads may read it at once.
 */
typedef struct projection_hits projection_hits;

/**
 * A trained model. Free it with projection_model_free. Any number of threads may use it at
 * once.
 */
typedef struct projection_model projection_model;

/**
 * Answer vectors with their ids, and their texts if they come from a store. Free it with
 * projection_searcher_free. Any number of threads may use it at once. A search finds the answers
 * as they were before a change or as they are after it; changes wait for each other, and none
 * waits for the search of a batch.
 */
typedef struct projection_searcher projection_searcher;

/**
 * An open store. Free it with projection_store_free. Any number of threads may use it; their
 * calls wait for each other. Models and searchers opened from a store do not depend on it.
 */
typedef struct projection_store projection_store;

/**
 * A text returned by a call, UTF-8. Free it with projection_text_free. Any number of threads
 * may read it at once.
 */
typedef struct projection_text projection_text;

/**
 * Progress callback, invoked on the calling thread with the caller's `context`, the `stage` of
 * the work, such as "tuning", the number of steps that are done and their total, and the loss of
 * the last step, which is NaN if the stage has none. `stage` is valid until the callback returns.
 * Return non-zero to cancel: the call then returns PROJECTION_STATUS_CANCELLED. The callback is
 * invoked several times a second, at times with the numbers that it had before. It may call the
 * library, but not for the same store, and not to change the same searcher.
 */
typedef int32_t (*projection_progress)(void *context,
                                       const char *stage,
                                       uint64_t done,
                                       uint64_t total,
                                       double loss);

/**
 * Recall and cost measured while building an approximate index. Later versions do not change this
 * structure.
 */
typedef struct {
  /**
   * The smallest share of the true 1, 10 and 32 nearest answers, heads or training questions
   * that held-out queries find; 1 if search is exact.
   */
  double recall;
  /**
   * The share of all vectors that a query reads on average; 1 if search is exact.
   */
  double read;
  /**
   * Number of inverted lists; 1 if search is exact.
   */
  size_t lists;
} projection_index_stats;

/**
 * A teacher of the caller, invoked on the calling thread with the caller's `context`. It writes the
 * projections of `n` queries, row-major and of length 1, into the rows of `projected`. Return
 * non-zero to cancel: the call then returns PROJECTION_STATUS_CANCELLED.
 */
typedef int32_t (*projection_teacher)(void *context,
                                      const float *queries,
                                      size_t n,
                                      float *projected);

/**
 * How answers are scored. All fields but `size` may be 0, which is the default:
 * `projection_search_options options = {sizeof options};`.
 *
 * With s the score by vectors, from -1 to S for the best answer, and b the answer's BM25 score, at
 * most B, hybrid search ranks by (1 - w) (s + 1) / (S + 1) + w b / B.
 */
typedef struct {
  /**
   * Size of this structure as the caller knows it. Later versions may add fields at the end.
   */
  size_t size;
  /**
   * How vectors score an answer, a projection_score_mode.
   */
  int32_t score_mode;
  /**
   * Weight w of BM25 over the answers' texts, from 0 (vectors only) to 1 (words only), or
   * PROJECTION_HYBRID_WEIGHT_OF_MODEL.
   */
  double hybrid_weight;
  /**
   * Added to the scores by vectors of answers without training questions. 0 is the offset that
   * training chose with PROJECTION_SCORE_MODE_SEEN_UNSEEN, else none. Another number needs a
   * model with heads and a searcher of a store.
   */
  double unseen_offset;
  /**
   * Ids of the answers that may be found, `allowed_len` of them in any order. NULL allows all;
   * any other pointer with `allowed_len` 0 allows none. Scores do not depend on it, and unknown
   * ids are ignored.
   */
  const int64_t *allowed;
  /**
   * Number of allowed ids.
   */
  size_t allowed_len;
  /**
   * Number of threads that share the queries of a batch, or the answers for one query. They end
   * before the call returns. 0 and 1 are the calling thread. Results do not depend on it.
   */
  size_t threads;
  /**
   * Called during the search of a batch, whose steps are queries; it may be NULL.
   */
  projection_progress progress;
  /**
   * Passed to `progress`.
   */
  void *context;
} projection_search_options;

/**
 * An answer found by a search. Later versions do not change this structure.
 */
typedef struct {
  /**
   * The answer's id.
   */
  int64_t answer_id;
  /**
   * Cosine of the (projected) query and the answer, unless the options ask for another score.
   */
  float score;
  /**
   * The answer's text, in which NUL characters are spaces; NULL if it has none.
   */
  const char *text;
} projection_hit;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The library's version, such as "0.1.0".
 */
const char *projection_version(void);

/**
 * The text, which ends with NUL, valid until it is freed; "" for NULL.
 */
const char *projection_text_data(const projection_text *text);

/**
 * The length of the text in bytes, without the NUL; 0 for NULL.
 */
size_t projection_text_len(const projection_text *text);

/**
 * Frees a text. NULL is allowed.
 */
void projection_text_free(projection_text *text);

/**
 * Loads a .npy file of float16, float32 or float64 numbers, in either byte order, of one or two
 * dimensions, in C or Fortran order. The values become row-major float32.
 */
projection_status projection_array_load(const char *path,
                                        projection_array **array,
                                        projection_error **error);

/**
 * Number of dimensions, 1 or 2; 0 for NULL.
 */
size_t projection_array_ndim(const projection_array *array);

/**
 * Length of the dimension `axis`, counted from 0; 0 if there is no such dimension, and for NULL.
 */
size_t projection_array_shape(const projection_array *array,
                              size_t axis);

/**
 * Number of values; 0 for NULL.
 */
size_t projection_array_len(const projection_array *array);

/**
 * The values, row-major, valid until the array is freed; NULL for NULL.
 */
const float *projection_array_data(const projection_array *array);

/**
 * Frees an array. NULL is allowed.
 */
void projection_array_free(projection_array *array);

/**
 * Adds `n` answers of `dim` values each, which are copied. `ids` holds `n` different ids that the
 * searcher does not have. `texts` holds their texts, or is NULL; a text may be NULL too. After an
 * error, nothing is added. An approximate index is kept up to date.
 */
projection_status projection_searcher_add(const projection_searcher *searcher,
                                          const int64_t *ids,
                                          const float *vectors,
                                          size_t n,
                                          size_t dim,
                                          const char *const *texts,
                                          projection_error **error);

/**
 * Adds `n` answers as projection_searcher_add does; those that the searcher has already get the
 * new vector and the new text, or none, and stay in their clusters. A search finds the old answers
 * or the new ones, never a mixture. After an error, nothing has changed.
 */
projection_status projection_searcher_replace(const projection_searcher *searcher,
                                              const int64_t *ids,
                                              const float *vectors,
                                              size_t n,
                                              size_t dim,
                                              const char *const *texts,
                                              projection_error **error);

/**
 * Removes the answers with these `n` ids; unknown ids are ignored. `removed`, which may be NULL,
 * receives the number of removed answers. The store keeps them.
 */
projection_status projection_searcher_remove(const projection_searcher *searcher,
                                             const int64_t *ids,
                                             size_t n,
                                             size_t *removed,
                                             projection_error **error);

/**
 * Builds an approximate index of the answers, so that a query is compared with a few of them
 * only. Held-out queries find at least 99% of the nearest answers. `stats`, which may be NULL,
 * receives what was measured. If the index cannot reach that, or if there are fewer than 16,384
 * answers, search stays exact.
 *
 * `queries` are `n` queries of `query_dim` values that resemble later ones. They are projected by
 * `model` unless that is NULL. A few hundred make sure that the 99% hold for such queries. NULL
 * and 0 stand for none. Up to `threads` threads work; 0 counts as 1. Searches go on meanwhile, other
 * changes wait. The index takes a quarter more memory. After an error the searcher is as before.
 */
projection_status projection_searcher_build_index(const projection_searcher *searcher,
                                                  const projection_model *model,
                                                  const float *queries,
                                                  size_t n,
                                                  size_t query_dim,
                                                  size_t threads,
                                                  projection_progress progress,
                                                  void *context,
                                                  projection_index_stats *stats,
                                                  projection_error **error);

/**
 * Drops the approximate index: search is exact again. NULL is allowed.
 */
void projection_searcher_drop_index(const projection_searcher *searcher);

/**
 * Distills a projection of a store into a transformer, which is written to the .safetensors file
 * `output`. An existing file is replaced only by the complete new one. The store is only read. If
 * the work is cancelled, nothing is written. The stage of `progress` is "distilling", a step is an
 * epoch, with its mean loss.
 *
 * `options` is a JSON object with these keys, all optional, or NULL:
 * - "projection": id of the projection; default the active one
 * - "test": .npy file of question vectors (n x d) that the projection was not trained on, to
 *   measure with; default a share of the questions, see "held_out"
 * - "heads" and "layers": attention heads, a divisor of the dimension, and encoder layers;
 *   default such that heads^layers is near the projection's number of heads
 * - "ff_dim": width of the layers' inner part; default 512
 * - "epochs": maximum number of epochs; default 200
 * - "samples": queries per epoch; default 4096
 * - "batch": queries per step; default 128, at most "samples"
 * - "rate": highest learning rate; default 0.003
 * - "dropout": share of the inner values that training drops; default 0
 * - "cosine_weight": L of the loss (1 - L) MSE + L (1 - cosine), 0 to 1; default 0.7
 * - "held_out": share of the questions that is held out; default 0.2
 * - "seed": integer; the same seed produces the same transformer; default 0
 * - "threads": default one per processor; the result does not depend on it
 *
 * The result is JSON, {"projection_id", "kind", "model", "output", "heads", "layers", "ff_dim",
 * "weights", "epochs", "best_epoch", "seconds", "held_out", "trained", "notes"}. "held_out" and
 * "trained" are {"questions", "mean_cosine", "min_cosine", "same_first" or null}: how close the
 * transformer is to the projection.
 */
projection_status projection_distill(const char *database,
                                     const char *output,
                                     const char *options,
                                     projection_progress progress,
                                     void *context,
                                     projection_text **result,
                                     projection_error **error);

/**
 * Distills a model into a transformer, `student`, with `n` questions of the model's input
 * dimension, row-major, four or more. `options` and progress are those of projection_distill;
 * "projection" and "test" must be absent.
 */
projection_status projection_model_distill(const projection_model *teacher,
                                           const float *questions,
                                           size_t n,
                                           const char *options,
                                           projection_progress progress,
                                           void *context,
                                           projection_model **student,
                                           projection_error **error);

/**
 * Distills any function into a transformer, `student`. The function `teacher` projects queries of
 * `dim` values to `output_dim` values. The other arguments are those of projection_model_distill.
 */
projection_status projection_function_distill(projection_teacher teacher,
                                              void *teacher_context,
                                              size_t dim,
                                              size_t output_dim,
                                              const float *questions,
                                              size_t n,
                                              const char *options,
                                              projection_progress progress,
                                              void *context,
                                              projection_model **student,
                                              projection_error **error);

/**
 * Writes a projection of a store to the file `output`, for programs that have no store. An
 * existing file is replaced only by the complete new one. The store is only read. If the work is
 * cancelled, nothing is written.
 *
 * `options` is a JSON object with these keys, all optional, or NULL:
 * - "projection": id of the projection; default the active one
 * - "format": "safetensors", the default, which contains everything and opens in every language of
 *   the engine, or "onnx", a graph for ONNX Runtime
 * - "temperature": softmax temperature; default the stored one
 * - "precision": how the vectors of a multi-head projection are stored, "f32", the default,
 *   "bf16" or "int8"; see projection_model_with_precision
 *
 * The result is JSON, {"projection_id", "kind", "temperature" or null, "precision", "heads",
 * "input_dim", "output_dim", "format", "output", "bytes", "notes": what the file leaves to its user,
 * such as moved answers to an ONNX graph, "index": {"recall", "read", "lists"} of the approximate index,
 * if there is one}.
 */
projection_status projection_export(const char *database,
                                    const char *output,
                                    const char *options,
                                    projection_progress progress,
                                    void *context,
                                    projection_text **result,
                                    projection_error **error);

/**
 * Loads the sentence-transformers model in `folder`, such as all-MiniLM-L6-v2.
 */
projection_status projection_embedder_load(const char *folder,
                                           projection_embedder **embedder,
                                           projection_error **error);

/**
 * Dimension of the vectors; 0 for NULL.
 */
size_t projection_embedder_dim(const projection_embedder *embedder);

/**
 * Counts the tokens of a text that the model reads: special tokens and the prompt included, and
 * nothing beyond its limit.
 */
projection_status projection_embedder_count_tokens(const projection_embedder *embedder,
                                                   const char *text,
                                                   size_t *tokens,
                                                   projection_error **error);

/**
 * Embeds a text into `vector`, `vector_len` = dim.
 */
projection_status projection_embedder_embed(const projection_embedder *embedder,
                                            const char *text,
                                            float *vector,
                                            size_t vector_len,
                                            projection_error **error);

/**
 * Embeds `n` texts into the rows of `vectors`, `vectors_len` = n * dim. A step of `progress`, which
 * may be NULL, is a text.
 */
projection_status projection_embedder_embed_batch(const projection_embedder *embedder,
                                                  const char *const *texts,
                                                  size_t n,
                                                  projection_progress progress,
                                                  void *context,
                                                  float *vectors,
                                                  size_t vectors_len,
                                                  projection_error **error);

/**
 * Refuses an embedding model that did not make the vectors of a store: its vectors may have the
 * same dimension and yet nothing in common with them. `model_name` is the embedding model in the
 * store; NULL stands for the only one there is. The store records a fingerprint of the model that
 * embedded it; if it has none, a few stored texts are embedded and compared with their vectors.
 *
 * It is PROJECTION_STATUS_DIMENSION_MISMATCH for another dimension and
 * PROJECTION_STATUS_INVALID_EMBEDDER for another model. Whoever knows better does not call this.
 */
projection_status projection_store_check_embedder(const projection_store *store,
                                                  const char *model_name,
                                                  const projection_embedder *embedder,
                                                  projection_error **error);

/**
 * Frees an embedding model. NULL is allowed.
 */
void projection_embedder_free(projection_embedder *embedder);

/**
 * The status returned with `error`; PROJECTION_STATUS_OK for NULL.
 */
projection_status projection_error_code(const projection_error *error);

/**
 * The message, in English, valid until the error is freed; "" for NULL.
 */
const char *projection_error_message(const projection_error *error);

/**
 * Frees an error. NULL is allowed.
 */
void projection_error_free(projection_error *error);

/**
 * A short English name of a status, such as "dimension mismatch"; "unknown status" for other
 * numbers. Never NULL, never to be freed.
 */
const char *projection_status_name(int32_t status);

/**
 * Evaluates projections of a store beside cosine, BM25 and the nearest training question. The
 * store is only read.
 *
 * `options` is a JSON object with these keys, all optional, or NULL, which cross-validates the
 * active projection:
 * - "projections": ids of projections; default the active one
 * - "models": files of further models, which need test questions
 * - "precisions": "f32", "bf16" or "int8", in which multi-head models are evaluated too
 * - "test" and "model_dir": question-answer file of test questions, whose answers the store has,
 *   and folder of the embedding model of the store; another one is
 *   PROJECTION_STATUS_INVALID_EMBEDDER, unless "force" is true
 * - "test_file": how that file is read, as "files" of projection_import; "split" is "test" by
 *   default
 * - "test_questions" and "test_labels": .npy files of test questions (n x d) and of the ids of
 *   their answers (n); without test questions, questions and then answers with all their
 *   questions are left out in turn, and every method is trained again on the others
 * - "model_name": the embedding model whose vectors are used; default that of the projections
 * - "folds": folds of the cross-validation, at least 2; default 4
 * - "seed": integer seed of folds and intervals; default 0
 * - "details": true for every question with its ranks, confusions, and other parameters
 *
 * The result is JSON, {"store", "model", "answers", "seed", "warnings", "notes", "protocols":
 * [{"protocol": "test", "closed" or "open", "questions", "seen_questions", "seen_answers",
 * "training_questions", "methods": [{"method", "projection_id", "model_file", "precision",
 * "against_exact", "all", "seen", "unseen"}], "details"}]}. "against_exact" is null or how a
 * rounded projection differs, {"mean_cosine", "least_cosine", "recall_at_1"}; "all", "seen" and
 * "unseen" are {"questions", "recall_at_1", "recall_at_5", "mrr_at_10", "ndcg_at_10", each
 * {"value", "low", "high"}, "gained", "lost", "p_against_cosine"} or null. The first method is
 * cosine.
 */
projection_status projection_evaluate(const char *database,
                                      const char *options,
                                      projection_progress progress,
                                      void *context,
                                      projection_text **result,
                                      projection_error **error);

/**
 * Searches for `k` answers as projection_searcher_search does, and explains why they were found.
 *
 * The result is JSON; what does not apply is null:
 *
 *     {"angle": degrees between the query and the projected query,
 *      "hybrid_weight": weight of BM25 in the scores, 0 without words,
 *      "unseen_offset": added to the scores of answers without training questions,
 *      "heads": [{"cluster_id", "weight"}], the routing weights by ascending cluster,
 *      "questions_move": whether the training questions move the query; if false, they only
 *          determine the routing weights,
 *      "questions": [{"cluster_id", "row", "similarity", "weight", "question_id", "text"}], the
 *          training questions behind the routing weights of a residual model, the largest weight
 *          first; id and text are null if the store no longer has the question,
 *      "hits": [{"answer_id", "text", "rank" from 1, "score", "cosine" with the (projected) query,
 *          "rank_before" and "score_before" by plain cosine, "nearest_question": cosine of the
 *          query with the nearest training question of the answer's cluster, "bm25", "seen":
 *          whether the answer has training questions}], best first}
 */
projection_status projection_searcher_explain(const projection_searcher *searcher,
                                              const projection_model *model,
                                              const float *query,
                                              size_t query_len,
                                              const char *text,
                                              const projection_search_options *options,
                                              size_t k,
                                              projection_text **result,
                                              projection_error **error);

/**
 * Explains how `model` moves a query, without a search. The result is that of
 * projection_searcher_explain, without hits and without ids and texts of training questions.
 */
projection_status projection_model_explain(const projection_model *model,
                                           const float *query,
                                           size_t query_len,
                                           projection_text **result,
                                           projection_error **error);

/**
 * Imports the question-answer files `paths`, `n` of them, and those in folders among them, into
 * the store whose database is the file `database`. The store is created if it does not exist and
 * `n` is not 0. A file that cannot be imported does not stop the others. If the work is cancelled,
 * files that were imported stay.
 *
 * `options` is a JSON object with these keys, all optional, or NULL:
 * - "retry_failed": true to retry first what failed or was interrupted before
 * - "skip_invalid": true to leave out entries that are wrong instead of refusing their file
 * - "files": how files are read, an object with these keys, all optional: "format" ("json",
 *   "jsonl", "csv" or "tsv"; default what name and content of a file say), "question_column",
 *   "answer_column" and "id_column" (names of columns or fields; default the usual ones), and
 *   "split" (which qrels of a BEIR folder are imported; default "train")
 *
 * A file may be compressed with gzip. A folder with corpus.jsonl and queries.jsonl is a BEIR
 * folder; of other folders, all files of a known format are imported. "-" is standard input.
 *
 * The result is JSON, {"store", "files": [{"file", "outcome", "clusters", "answers", "questions",
 * "removed", "skipped", "warnings": [text], "error": {"kind", "message"}}]}; the last three are
 * absent if there are none. "outcome" is "imported", "replaced", "unchanged",
 * "moved" (a known file at another path), "failed", with an error, or "missing" (a file that a
 * folder had before).
 */
projection_status projection_import(const char *database,
                                    const char *const *paths,
                                    size_t n,
                                    const char *options,
                                    projection_progress progress,
                                    void *context,
                                    projection_text **result,
                                    projection_error **error);

/**
 * Imports precomputed embeddings and labels into the store whose database is the file `database`,
 * which is created if it does not exist. Everything becomes visible at once, or nothing, as when
 * the work is cancelled.
 *
 * `options` is a JSON object with these keys, all but "texts" required:
 * - "model_name": name of the embedding model that computed the vectors
 * - "answers" and "questions": .npy files of their vectors
 * - "labels": .npy file with an integer for each question, the row of its answer from 0, or -1
 * - "texts": JSON file with a text for each row, {"answers": [...], "questions": [...]}; default
 *   placeholders
 *
 * The result is JSON, {"store", "model", "outcome", "dimension", "answers", "questions",
 * "removed", "answers_without_question", "questions_without_answer"}.
 */
projection_status projection_import_embeddings(const char *database,
                                               const char *options,
                                               projection_progress progress,
                                               void *context,
                                               projection_text **result,
                                               projection_error **error);

/**
 * Loads projection `id`, of any kind, from the folder of its files:
 * embeddings/{model_name}, or embeddings. `temperature` is that of the routing, above 0; 0.1
 * is the usual value. Linear models have none and ignore it.
 */
projection_status projection_model_load(const char *folder,
                                        int64_t id,
                                        double temperature,
                                        projection_model **model,
                                        projection_error **error);

/**
 * Loads projection `id` as projection_model_load does, at the temperature stored in its files.
 * The files of a multi-head model may have none: the call then returns
 * PROJECTION_STATUS_INVALID_ARGUMENT.
 */
projection_status projection_model_load_as_trained(const char *folder,
                                                   int64_t id,
                                                   projection_model **model,
                                                   projection_error **error);

/**
 * Opens the model in the .safetensors file `path`, of any kind, at the temperature stored in the
 * file. The file is mapped. While the model lives, the file must not be changed in place: that
 * could change results or, if the file is truncated, end the process. It is safe to remove the
 * file, or to replace it by renaming another one, as projection_model_save_file does. The values
 * of a file of more than 1 MiB are checked when the model is first used. If another program may
 * change the file in place, read it and use projection_model_from_bytes.
 */
projection_status projection_model_load_file(const char *path,
                                             projection_model **model,
                                             projection_error **error);

/**
 * Reads a model from the `len` bytes of such a file. The bytes are copied, and all values are
 * checked.
 */
projection_status projection_model_from_bytes(const uint8_t *bytes,
                                              size_t len,
                                              projection_model **model,
                                              projection_error **error);

/**
 * Writes a model to the file `path`, which projection_model_load_file opens in every language.
 * An existing file is replaced only by the complete new one.
 */
projection_status projection_model_save_file(const projection_model *model,
                                             const char *path,
                                             projection_error **error);

/**
 * Returns the kind and the parameters of a model as JSON, as a model file contains them: for a
 * transformer embed_dim, num_heads, num_layers, ff_dim and dropout.
 */
projection_status projection_model_parameters(const projection_model *model,
                                              projection_text **text,
                                              projection_error **error);

/**
 * Dimension of queries; 0 for NULL.
 */
size_t projection_model_input_dim(const projection_model *model);

/**
 * Dimension of projected queries; 0 for NULL.
 */
size_t projection_model_output_dim(const projection_model *model);

/**
 * Number of heads, which is the number of routing weights; 0 for NULL.
 */
size_t projection_model_num_heads(const projection_model *model);

/**
 * Temperature of the routing; NaN for a model without one, and for NULL.
 */
double projection_model_temperature(const projection_model *model);

/**
 * Whether a model moves the answers that it was trained on towards their questions. Searchers of a
 * store then compare projected queries with the moved answers; another index has to hold those, see
 * projection_searcher_vectors. 1 or 0; 0 for NULL.
 */
int32_t projection_model_moves_answers(const projection_model *model);

/**
 * The kind of a model; PROJECTION_KIND_UNKNOWN for NULL.
 */
projection_kind projection_model_kind(const projection_model *model);

/**
 * How a model stores its vectors; PROJECTION_PRECISION_UNKNOWN for NULL.
 */
projection_precision projection_model_precision(const projection_model *model);

/**
 * Cluster ids of the heads in ascending order, which is the order of routing weights.
 * `ids_len` is the number of heads.
 */
projection_status projection_model_head_ids(const projection_model *model,
                                            int64_t *ids,
                                            size_t ids_len,
                                            projection_error **error);

/**
 * Frees a model. NULL is allowed.
 */
void projection_model_free(projection_model *model);

/**
 * Returns a copy of `model` with another temperature. The two share their vectors, and each is
 * freed on its own.
 */
projection_status projection_model_with_temperature(const projection_model *model,
                                                    double temperature,
                                                    projection_model **copy,
                                                    projection_error **error);

/**
 * Returns a copy of `model` that stores its vectors in `precision`, a projection_precision. The
 * copy takes less memory and is faster if there are many heads. projection_model_save_file keeps
 * the precision. Each of the two models is freed on its own. Only multi-head models can be
 * rounded, and only once: otherwise the call returns PROJECTION_STATUS_INVALID_ARGUMENT.
 */
projection_status projection_model_with_precision(const projection_model *model,
                                                  int32_t precision,
                                                  projection_model **copy,
                                                  projection_error **error);

/**
 * Returns a copy of `model` with an approximate index of its heads or training questions, so that
 * a query is compared with a few of them only. Held-out queries find at least 99% of the nearest.
 * projection_model_save_file keeps the index. If the index cannot reach that, if there are fewer
 * than 16,384 heads or questions, or if all heads take part anyway, the copy has none. Up to
 * `threads` threads work; 0 counts as 1. The result does not depend on their number. Each of the
 * two models is freed on its own.
 */
projection_status projection_model_build_index(const projection_model *model,
                                               size_t threads,
                                               projection_progress progress,
                                               void *context,
                                               projection_model **copy,
                                               projection_error **error);

/**
 * Recall and cost measured while building the approximate index of `model`. For a model without
 * one, which searches exactly, there is one inverted list, and all of it is read.
 */
projection_status projection_model_index_stats(const projection_model *model,
                                               projection_index_stats *stats,
                                               projection_error **error);

/**
 * Projects a query of `query_len` = input_dim values into `projected`, of `projected_len` =
 * output_dim values. `weights` receives the routing weights, `weights_len` = num_heads; it may be
 * NULL, with `weights_len` 0.
 */
projection_status projection_model_project(const projection_model *model,
                                           const float *query,
                                           size_t query_len,
                                           float *projected,
                                           size_t projected_len,
                                           float *weights,
                                           size_t weights_len,
                                           projection_error **error);

/**
 * Projects `n` queries of `query_dim` = input_dim values each. `projected` receives n ×
 * output_dim values; `weights`, which may be NULL with `weights_len` 0, receives n × num_heads.
 * Up to `threads` threads share the queries and end before the call returns; 0 and 1 are the
 * calling thread. The last bits of a result may depend on how queries are shared. The steps of
 * `progress` are queries; if it cancels the work, some of the results may have been written.
 */
projection_status projection_model_project_batch(const projection_model *model,
                                                 const float *queries,
                                                 size_t n,
                                                 size_t query_dim,
                                                 float *projected,
                                                 size_t projected_len,
                                                 float *weights,
                                                 size_t weights_len,
                                                 size_t threads,
                                                 projection_progress progress,
                                                 void *context,
                                                 projection_error **error);

/**
 * Finds the `k` best answers to a query, best first, equal scores by ascending id. `model` projects
 * the query; NULL searches for the query itself. `text` is the query in words, which only hybrid
 * search needs, or NULL. `options` may be NULL. There are fewer than `k` hits only if there are no
 * more answers.
 */
projection_status projection_searcher_search(const projection_searcher *searcher,
                                             const projection_model *model,
                                             const float *query,
                                             size_t query_len,
                                             const char *text,
                                             const projection_search_options *options,
                                             size_t k,
                                             projection_hits **hits,
                                             projection_error **error);

/**
 * Searches for `n` queries of `query_dim` values each. `texts` are the queries in words; it may be
 * NULL, and so may each of them. The hits of each query follow those of the one before; all queries
 * have the same number of hits.
 */
projection_status projection_searcher_search_batch(const projection_searcher *searcher,
                                                   const projection_model *model,
                                                   const float *queries,
                                                   size_t n,
                                                   size_t query_dim,
                                                   const char *const *texts,
                                                   const projection_search_options *options,
                                                   size_t k,
                                                   projection_hits **hits,
                                                   projection_error **error);

/**
 * Number of hits, of all queries together; 0 for NULL.
 */
size_t projection_hits_len(const projection_hits *hits);

/**
 * The hits, valid until they are freed; NULL for NULL.
 */
const projection_hit *projection_hits_data(const projection_hits *hits);

/**
 * Frees hits and their texts. NULL is allowed.
 */
void projection_hits_free(projection_hits *hits);

/**
 * Makes a searcher of `n` vectors of `dim` values each, which are copied. `ids` holds `n`
 * different ids.
 */
projection_status projection_searcher_from_vectors(const int64_t *ids,
                                                   const float *vectors,
                                                   size_t n,
                                                   size_t dim,
                                                   projection_searcher **searcher,
                                                   projection_error **error);

/**
 * Number of answers; 0 for NULL.
 */
size_t projection_searcher_len(const projection_searcher *searcher);

/**
 * Dimension of the answers' vectors; 0 for NULL.
 */
size_t projection_searcher_dim(const projection_searcher *searcher);

/**
 * Ids of the answers in the searcher's order. `ids_len` is the number of answers.
 */
projection_status projection_searcher_ids(const projection_searcher *searcher,
                                          int64_t *ids,
                                          size_t ids_len,
                                          projection_error **error);

/**
 * Copies the vectors at length 1 that a search with `model` compares with, for another index: the
 * answers where `model` moves them, see projection_model_moves_answers, or as they are with NULL.
 * The rows of `vectors` are in the searcher's order, `vectors_len` = number of answers * dimension.
 */
projection_status projection_searcher_vectors(const projection_searcher *searcher,
                                              const projection_model *model,
                                              float *vectors,
                                              size_t vectors_len,
                                              projection_error **error);

/**
 * Returns a copy of the text of an answer, in which NUL characters are spaces. `text` receives NULL
 * if it has none, or if there is no such answer.
 */
projection_status projection_searcher_text(const projection_searcher *searcher,
                                           int64_t answer_id,
                                           projection_text **text,
                                           projection_error **error);

/**
 * Frees a searcher. NULL is allowed.
 */
void projection_searcher_free(projection_searcher *searcher);

/**
 * Opens the store whose database is the file `database`, such as lda.db.
 *
 * `options` is a JSON object with these keys, all optional, or NULL:
 * - "mode": "read", the default; "write"; or "create", which also creates an empty store if there
 *   is none, in a folder that must exist, and adds tables that early programs did not know
 * - "allow_outside_paths": true to let paths in the database lead outside the store's folder,
 *   only for databases that are trusted
 */
projection_status projection_store_open(const char *database,
                                        const char *options,
                                        projection_store **store,
                                        projection_error **error);

/**
 * Opens projection `id` at the temperature stored in the database, as a model of `kind`, a
 * projection_kind; PROJECTION_KIND_UNKNOWN opens it as what it is. Existing stores may have a
 * linear projection and one with heads with the same id: then the one with heads, unless `kind`
 * is PROJECTION_KIND_LINEAR. A residual projection can be opened as a multi-head one.
 */
projection_status projection_store_model(const projection_store *store,
                                         int64_t id,
                                         int32_t kind,
                                         projection_model **model,
                                         projection_error **error);

/**
 * Opens the active projection for queries by the embedding model `model_name`, of any kind; NULL
 * stands for the embedding model of the last activation. It is PROJECTION_STATUS_NOT_FOUND if
 * there is none.
 */
projection_status projection_store_active_model(const projection_store *store,
                                                const char *model_name,
                                                projection_model **model,
                                                projection_error **error);

/**
 * Reads the answers of a store. `model_name` is the embedding model whose vectors are read; NULL
 * stands for the only one there is. The searcher is a snapshot of the store.
 */
projection_status projection_store_searcher(const projection_store *store,
                                            const char *model_name,
                                            projection_searcher **searcher,
                                            projection_error **error);

/**
 * Makes a searcher of the centroids of the heads of projection `id`, whose answer ids are the
 * heads' clusters. It is PROJECTION_STATUS_NOT_FOUND if the projection has no heads.
 */
projection_status projection_store_head_searcher(const projection_store *store,
                                                 int64_t id,
                                                 projection_searcher **searcher,
                                                 projection_error **error);

/**
 * Builds an approximate index of projection `id` as projection_model_build_index does, and stores
 * it in a file beside the projection's others. Whoever opens the projection afterwards has it;
 * programs that do not know it are not affected. `stats`, which may be NULL, receives what was
 * measured. If an index is not worth building, none is stored.
 *
 * An index that is damaged, or was built from other vectors than the projection has now, is
 * ignored: rebuild it. projection_store_index_stats reports that.
 */
projection_status projection_store_build_index(const projection_store *store,
                                               int64_t id,
                                               size_t threads,
                                               projection_progress progress,
                                               void *context,
                                               projection_index_stats *stats,
                                               projection_error **error);

/**
 * Recall and cost measured while building the stored index of projection `id`, in `stats`, which
 * may be NULL; without a stored index, one inverted list that is read as a whole. It is
 * PROJECTION_STATUS_INVALID_MODEL if the index is damaged or was built from other vectors than the
 * projection has now: the projection opens without it.
 */
projection_status projection_store_index_stats(const projection_store *store,
                                               int64_t id,
                                               projection_index_stats *stats,
                                               projection_error **error);

/**
 * Frees a store. NULL is allowed.
 */
void projection_store_free(projection_store *store);

/**
 * Lists the trained models, in ascending order of id. Of two models with one id, the one with
 * heads comes first.
 *
 * The result is JSON, [{"id", "kind": "multi_head", "residual" or "linear", "name" or null,
 * "model": the embedding model of queries, "answer_model": that of answers, "temperature" or
 * null, "heads" or null, "created_at" or null, "metrics": what was measured when the model was
 * trained, or null, "active": whether it is the active one of its embedding model, "default":
 * whether it answers where neither a projection nor an embedding model is named}].
 */
projection_status projection_store_models(const projection_store *store,
                                          projection_text **result,
                                          projection_error **error);

/**
 * Changes which projection is active, what one is called, or deletes one. The store must be open
 * for writing.
 *
 * `change` is a JSON object, one of
 * - {"action": "activate", "id"}: makes a projection the active one of its embedding model
 * - {"action": "rollback", "model_name"}: returns to the projection that was active before; the
 *   name is optional, as in projection_store_active_model
 * - {"action": "rename", "id", "name"}: null removes its name
 * - {"action": "delete", "id", "force"}: deletes a projection with its files; the active one only
 *   if "force", which is optional, is true
 *
 * "linear", optional beside "id", is true for the linear one of two projections with one id.
 * The result is the list of models as in projection_store_models.
 */
projection_status projection_store_change_models(const projection_store *store,
                                                 const char *change,
                                                 projection_text **result,
                                                 projection_error **error);

/**
 * Says what a person should know before the store is used: values of a wrong type, with table and
 * row, and files that another database in the folder names too. The result is JSON, [text], empty
 * if there is nothing to say. All tables are read.
 */
projection_status projection_store_warnings(const projection_store *store,
                                            projection_text **result,
                                            projection_error **error);

/**
 * Lists the embedding models. The result is JSON, [{"model_id", "name", "dimension"}].
 */
projection_status projection_store_embedding_models(const projection_store *store,
                                                    projection_text **result,
                                                    projection_error **error);

/**
 * Lists the clusters. The result is JSON, [{"cluster_id", "name" or null, "answers",
 * "questions"}]; the last two are numbers of texts.
 */
projection_status projection_store_clusters(const projection_store *store,
                                            projection_text **result,
                                            projection_error **error);

/**
 * Lists the answers that have a vector by the embedding model `model_name`, in ascending order of
 * id; NULL stands for the only one there is. The result is JSON, [{"answer_id", "text"}].
 */
projection_status projection_store_answers(const projection_store *store,
                                           const char *model_name,
                                           projection_text **result,
                                           projection_error **error);

/**
 * Returns what the imported files say of answers beside their texts, such as a title or a URL. The
 * result is JSON, an object that has an object for the id of each answer that has some.
 */
projection_status projection_store_metadata(const projection_store *store,
                                            projection_text **result,
                                            projection_error **error);

/**
 * Reads the vectors of the answers `ids`, `n` of them, by the embedding model `model_name`, as
 * they are stored, into the rows of `vectors`, `vectors_len` = n * dimension.
 */
projection_status projection_store_vectors(const projection_store *store,
                                           const char *model_name,
                                           const int64_t *ids,
                                           size_t n,
                                           float *vectors,
                                           size_t vectors_len,
                                           projection_error **error);

/**
 * Returns a JSON string that changes whenever answers, clusters, embeddings or models change, and
 * not when the query log grows.
 */
projection_status projection_store_fingerprint(const projection_store *store,
                                               projection_text **result,
                                               projection_error **error);

/**
 * Adds queries with feedback to the query log, all of them or none. The store must be open for
 * writing.
 *
 * `entries` is JSON, [{"query", "helpful": true or false, "selected": id of the right answer,
 * only if helpful, "results": ids of the answers shown, best first, "projection_id",
 * "model_name"}]; all but the first two are optional. An entry whose right answer the store does
 * not have is not added.
 *
 * The result is JSON, an array with the new row's id for each entry, or null if it was not added.
 */
projection_status projection_store_log_feedback(const projection_store *store,
                                                const char *entries,
                                                projection_text **result,
                                                projection_error **error);

/**
 * Embeds every text of a store that has no vector yet, with the embedding model in `model_dir`.
 * If the work is cancelled, finished vectors are kept, and the next call continues.
 *
 * `options` is a JSON object with these keys, all optional, or NULL:
 * - "model_name": what the store calls the embedding model; default the name of its folder
 * - "force": true to embed even if another embedding model made the vectors that are there, which
 *   otherwise is PROJECTION_STATUS_INVALID_EMBEDDER
 * - "no_titles": true to embed the texts of answers without their titles, which come first
 *   otherwise
 *
 * The result is JSON, {"store", "model", "dimension", "answers", "questions", "notes"}; "answers"
 * and "questions" are numbers of new vectors.
 */
projection_status projection_embed_store(const char *database,
                                         const char *model_dir,
                                         const char *options,
                                         projection_progress progress,
                                         void *context,
                                         projection_text **result,
                                         projection_error **error);

/**
 * Trains a model on the vectors of a store and stores it; older models stay. It becomes the active
 * one of the embedding model unless cross-validation finds it worse than the active one; "notes"
 * say why. Programs that know only multi-head projections use a residual one as such.
 *
 * A model that scores below plain cosine in its validation is not stored, which is
 * PROJECTION_STATUS_INVALID_MODEL, unless `force` is set. If training is cancelled, the store's
 * models stay as they were.
 *
 * `options` is a JSON object with these keys, all optional, or NULL:
 * - "method": "auto", "residual", "multi-head", "linear" or "ridge"; default "auto", the kind
 *   that cross-validation finds best
 * - "tune": true to choose terms and parameters by cross-validation, which "auto" always does
 * - "query_only": true to leave answers where they are, for an index outside of the store that
 *   holds the answers' own vectors
 * - "force": true to store the model even if its validation is below plain cosine
 * - "unseen": expected share of questions whose answer has no training questions, 0 to 1;
 *   default 0.5 if there are such answers, else 0
 * - "seed": integer; the same seed produces the same model; default 0
 * - "temperature": softmax temperature of routing or rotation; default 0.1
 * - "name": a name for people
 * - "model_name": the embedding model whose vectors are used; default the only one with vectors
 * - "feedback_model_dir": folder of an embedding model; logged queries with helpful feedback
 *   become questions before training; another model than that of the vectors is
 *   PROJECTION_STATUS_INVALID_EMBEDDER unless `force` is set
 *
 * The result is JSON, {"id", "method", "kind", "name", "model", "temperature", "heads",
 * "questions", "clusters_left_out", "terms", "hybrid_weight", "unseen_offset", "validation",
 * "feedback_questions", "notes", "active": the id of the active projection}; what does not apply
 * is null or absent.
 */
projection_status projection_train(const char *database,
                                   const char *options,
                                   projection_progress progress,
                                   void *context,
                                   projection_text **result,
                                   projection_error **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PROJECTION_H */
