/*
 * projection.h: semantic projections in C.
 *
 * Ownership. A function that fills in a `projection_x **` gives the caller a handle, which
 * exactly one function, `projection_x_free`, takes back. Freeing NULL does nothing. What a
 * handle's functions point into (a text, an array's data) lives as long as the handle.
 *
 * Errors. Functions that can fail return a `projection_status`, 0 for success. Their last
 * parameter, which may be NULL, receives an error with a message that the caller frees. It
 * should point to NULL: what it points to is overwritten. There is no global or
 * thread-local state. A defect of the library ends the call that meets it, with
 * PROJECTION_STATUS_PANIC; functions without a status then return what they return for NULL,
 * projection_error_code PROJECTION_STATUS_PANIC, and version and status name are "".
 *
 * Buffers belong to the caller, who passes their lengths in elements. Outputs, handles
 * among them, are written only on success and must not overlap inputs.
 *
 * Threads. A `const` handle may be used by any number of threads at once. A handle may be
 * freed when no thread uses it any more.
 *
 * Texts are UTF-8 and end with NUL. Arrays of vectors are row-major.
 */

#ifndef PROJECTION_H
#define PROJECTION_H

/* Generated from crates/projection-ffi by `make header`. Do not edit. */

#include <stddef.h>
#include <stdint.h>

/**
 * A `hybrid_weight`: what training chose for the model, else 0.2.
 */
#define PROJECTION_HYBRID_WEIGHT_OF_MODEL -1.0

/**
 * What became of a call. The numbers are stable and never reused; later versions may add
 * some.
 */
typedef enum {
  /**
   * Success.
   */
  PROJECTION_STATUS_OK = 0,
  /**
   * An argument is NULL, not UTF-8, or outside what the call accepts.
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
   * A file, folder, model or other named thing does not exist.
   */
  PROJECTION_STATUS_NOT_FOUND = 5,
  /**
   * The operating system refused to read or write.
   */
  PROJECTION_STATUS_IO = 6,
  /**
   * A .npy file is damaged or of a kind that is not read.
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
   * A model id or name is missing or not enough to choose among several.
   */
  PROJECTION_STATUS_AMBIGUOUS_MODEL = 10,
  /**
   * Another process is writing to the store.
   */
  PROJECTION_STATUS_BUSY = 11,
  /**
   * The files of a text model are damaged, do not fit together or are of an unknown kind.
   */
  PROJECTION_STATUS_INVALID_EMBEDDER = 12,
  /**
   * A caller's buffer has the wrong length.
   */
  PROJECTION_STATUS_BUFFER_SIZE = 13,
  /**
   * A question-answer file is of no known shape.
   */
  PROJECTION_STATUS_INVALID_INPUT = 14,
  /**
   * A defect of the library.
   */
  PROJECTION_STATUS_INTERNAL = 15,
  /**
   * A defect of the library that was stopped at this call.
   */
  PROJECTION_STATUS_PANIC = 16,
  /**
   * The caller's progress function stopped the work.
   */
  PROJECTION_STATUS_CANCELLED = 17,
} projection_status;

/**
 * What a model is.
 */
typedef enum {
  /**
   * Of NULL, or of a kind that has no number yet.
   */
  PROJECTION_KIND_UNKNOWN = 0,
  /**
   * One head a cluster, mixed by softmax.
   */
  PROJECTION_KIND_MULTI_HEAD = 1,
  /**
   * The query and what training learned to add to it.
   */
  PROJECTION_KIND_RESIDUAL = 2,
  /**
   * One matrix; it has no heads and no temperature.
   */
  PROJECTION_KIND_LINEAR = 3,
  /**
   * A distilled network, from a file of its own; it has no heads and no temperature.
   */
  PROJECTION_KIND_TRANSFORMER = 4,
} projection_kind;

/**
 * How a model keeps its vectors.
 */
typedef enum {
  /**
   * Of NULL, or of a precision that has no number yet.
   */
  PROJECTION_PRECISION_UNKNOWN = 0,
  /**
   * Single precision.
   */
  PROJECTION_PRECISION_F32 = 1,
  /**
   * bfloat16, in half the memory: the direction of projected queries changes by about a
   * hundred-thousandth.
   */
  PROJECTION_PRECISION_BF16 = 2,
  /**
   * Bytes with a scale for each vector, in a quarter of the memory.
   */
  PROJECTION_PRECISION_INT8 = 3,
} projection_precision;

/**
 * What vectors say about an answer.
 */
typedef enum {
  /**
   * The cosine of the query, or of the projected query, and the answer.
   */
  PROJECTION_SCORE_MODE_COSINE = 0,
  /**
   * That, or 0.8 times the cosine of the query and the nearest training question of the
   * answer's cluster, whichever is more. For residual models and indexes of a store.
   */
  PROJECTION_SCORE_MODE_MAX_NEAREST_QUESTION = 1,
  /**
   * The cosine, and for answers that no head of the model is for the options'
   * `unheaded_offset`, or where that is 0 the one that training chose. For models with
   * heads and indexes of a store.
   */
  PROJECTION_SCORE_MODE_HEADED_UNHEADED = 2,
} projection_score_mode;

/**
 * An array of floats. Free it with projection_array_free. May be used by many threads at
 * once.
 */
typedef struct projection_array projection_array;

/**
 * A text model. Free it with projection_embedder_free. May be used by many threads at
 * once.
 */
typedef struct projection_embedder projection_embedder;

/**
 * An error that a call gave. Free it with projection_error_free. May be read by many
 * threads at once.
 */
typedef struct projection_error projection_error;

/**
 * What moved a query, how far, and what became of the answers' ranks. Free it with
 * projection_explanation_free. May be used by many threads at once.
 */
typedef struct projection_explanation projection_explanation;

/**
 * Answer vectors with their ids, and their texts where they come from a store. Free it
 * with projection_index_free. May be used by many threads at once: what changes it waits for
 * the searches under way, and these for it.
 */
typedef struct projection_index projection_index;

/**
 * A trained model. Free it with projection_model_free. May be used by many threads at
 * once.
 */
typedef struct projection_model projection_model;

/**
 * A text that a call gave, UTF-8. Free it with projection_text_free. May be read by many
 * threads at once.
 */
typedef struct projection_text projection_text;

/**
 * How to distil. All but `size` may be 0.
 */
typedef struct {
  /**
   * Size of this structure, as the caller knows it. Later versions may add to its end.
   */
  size_t size;
  /**
   * Id of the projection to distil; NULL for the newest.
   */
  const int64_t *projection;
  /**
   * Attention heads, a divisor of the dimension, and encoder layers; 0 for such that
   * heads^layers is near the teacher's number of heads.
   */
  size_t heads;
  /**
   * See `heads`.
   */
  size_t layers;
  /**
   * Width of the layers' inner part; 0 is 512.
   */
  size_t ff_dim;
  /**
   * Epochs at most, each over queries made anew; 0 is 200.
   */
  size_t epochs;
  /**
   * Queries an epoch; 0 is 4096.
   */
  size_t samples;
  /**
   * Queries a step; 0 is 128, or `samples` where those are fewer.
   */
  size_t batch;
  /**
   * Highest learning rate; 0 is 0.003.
   */
  double rate;
  /**
   * Share of the inner values that training drops.
   */
  double dropout;
  /**
   * L of the loss (1 - L) MSE + L (1 - cosine), 0 to 1; NULL is 0.7.
   */
  const double *cosine_weight;
  /**
   * Share of the questions that is held out, without `test`; 0 is 0.2.
   */
  double held_out;
  /**
   * Vectors of questions (n x d) that the teacher was not trained on, to measure with, .npy;
   * NULL for none.
   */
  const char *test;
  /**
   * The same seed gives the same transformer.
   */
  uint64_t seed;
  /**
   * Threads; 0 for as many as the machine has. The result does not depend on it.
   */
  size_t threads;
} projection_distill_options;

/**
 * Is called now and then during long work, on the thread that called: with the caller's
 * `context`, the `stage` of the work, such as "tuning", how many of how many steps are done,
 * and the loss of the last step, NaN where there is none. The text lives until the function
 * returns. It returns 0 to stop the work, which then ends with PROJECTION_STATUS_CANCELLED,
 * and any other number to go on. It may call the library, but not for the same store.
 */
typedef int32_t (*projection_progress)(void *context,
                                       const char *stage,
                                       uint64_t done,
                                       uint64_t total,
                                       double loss);

/**
 * What to export. All but `size` may be 0.
 */
typedef struct {
  /**
   * Size of this structure, as the caller knows it. Later versions may add to its end.
   */
  size_t size;
  /**
   * Id of the projection; NULL for the newest.
   */
  const int64_t *projection;
  /**
   * "safetensors", which is the default for NULL, holds everything and opens in every
   * language of the engine; "onnx" is a graph for ONNX Runtime.
   */
  const char *format;
  /**
   * Softmax temperature; 0 for the recorded one.
   */
  double temperature;
  /**
   * How a multi-head projection's vectors are kept: "f32", which is the default for NULL,
   * "bf16" or "int8"; see projection_model_with_precision.
   */
  const char *precision;
} projection_export_options;

/**
 * What to measure. All but `size` may be 0, which cross-validates the newest projection.
 *
 * Test questions are given as a question-answer file, `test` with `model_dir`, or as vectors,
 * `test_questions` with `test_labels`. Without, questions and then answers with all their
 * questions are left out in turn, and every method is trained again on the others.
 */
typedef struct {
  /**
   * Size of this structure, as the caller knows it. Later versions may add to its end.
   */
  size_t size;
  /**
   * Ids of the projections; none stands for the newest.
   */
  const int64_t *projections;
  /**
   * Number of these ids.
   */
  size_t projections_len;
  /**
   * Question-answer file of test questions, whose answers the store has.
   */
  const char *test;
  /**
   * Folder of the text model that the store was embedded with.
   */
  const char *model_dir;
  /**
   * Vectors of test questions (n x d), .npy.
   */
  const char *test_questions;
  /**
   * Ids of their right answers (n), .npy of integers.
   */
  const char *test_labels;
  /**
   * The text model whose vectors are used; NULL for that of the projections, or the only
   * one.
   */
  const char *model_name;
  /**
   * Folds of the cross-validation, at least 2; 0 is 4.
   */
  size_t folds;
  /**
   * Seed of the folds and of the intervals.
   */
  uint64_t seed;
  /**
   * 1 for every question with its ranks, confusions, and other parameters.
   */
  int32_t details;
  /**
   * Models in files of their own, beside the projections. They need test questions.
   */
  const char *const *models;
  /**
   * Number of these files.
   */
  size_t models_len;
  /**
   * What multi-head projections and models are measured in too, projection_precision
   * numbers, beside what they are in single precision.
   */
  const int32_t *precisions;
  /**
   * Number of these.
   */
  size_t precisions_len;
} projection_evaluate_options;

/**
 * How answers are scored. All but `size` may be 0, which is a search by cosine:
 * `projection_search_options options = {sizeof options};`.
 *
 * With s what vectors say, from -1 to S for the best answer, and b the answer's BM25, at
 * most B, hybrid search ranks by (1 - w) (s + 1) / (S + 1) + w b / B.
 */
typedef struct {
  /**
   * Size of this structure, as the caller knows it. Later versions may add to its end.
   */
  size_t size;
  /**
   * What vectors say, a projection_score_mode.
   */
  int32_t score_mode;
  /**
   * Weight w of BM25 over the answers' texts, from 0, vectors only, to 1, words only; or
   * PROJECTION_HYBRID_WEIGHT_OF_MODEL.
   */
  double hybrid_weight;
  /**
   * Is added to what vectors say about answers that no head of the model is for; 0 is none,
   * and with PROJECTION_SCORE_MODE_HEADED_UNHEADED the one that training chose. Needs a
   * model with heads and an index of a store.
   */
  double unheaded_offset;
  /**
   * The ids of the answers that may be found, `allowed_len` of them in any order; NULL for
   * all, and any other pointer with `allowed_len` 0 for none. Scores do not depend on it, and
   * ids of no answer are passed over.
   */
  const int64_t *allowed;
  /**
   * See there.
   */
  size_t allowed_len;
  /**
   * Threads that the queries of a batch, or the answers to be compared with one query, are
   * shared out among; they end before the call returns. 0 and 1 are the caller's thread.
   * The results do not depend on it.
   */
  size_t threads;
} projection_search_options;

/**
 * A head's routing weight.
 */
typedef struct {
  /**
   * The head's cluster.
   */
  int64_t cluster_id;
  /**
   * Its weight.
   */
  float weight;
} projection_explained_head;

/**
 * A training question near the query.
 */
typedef struct {
  /**
   * The question's cluster.
   */
  int64_t cluster_id;
  /**
   * Its row among the model's questions of the cluster.
   */
  size_t row;
  /**
   * Its cosine with the query.
   */
  double similarity;
  /**
   * Its weight; all weights sum to 1.
   */
  double weight;
  /**
   * Its text, which lives as long as the explanation; NULL where the index is not of a
   * store that still has the question.
   */
  const char *text;
} projection_explained_question;

/**
 * An answer that was found, with the parts of its score.
 */
typedef struct {
  /**
   * The answer's id.
   */
  int64_t answer_id;
  /**
   * Rank from 1.
   */
  size_t rank;
  /**
   * Rank by plain cosine; 0 where query and answers have different dimensions.
   */
  size_t rank_before;
  /**
   * What it was ranked by.
   */
  float score;
  /**
   * Score by plain cosine; NaN where there is none.
   */
  float score_before;
  /**
   * Cosine with the query, or with the projected query.
   */
  float cosine;
  /**
   * Cosine of the query with the nearest training question of the answer's cluster; NaN
   * where it did not count, or there is none.
   */
  float nearest_question;
  /**
   * BM25; NaN where words did not count.
   */
  double bm25;
  /**
   * Whether a head of the model is for the answer: 1, 0, or -1 where the model has no
   * heads or the index is not of a store.
   */
  int32_t headed;
} projection_explained_hit;

/**
 * How to import. All but `size` may be 0.
 */
typedef struct {
  /**
   * Size of this structure, as the caller knows it. Later versions may add to its end.
   */
  size_t size;
  /**
   * 1 to try again first what failed or was interrupted before, else 0.
   */
  int32_t retry_failed;
} projection_import_options;

/**
 * Vectors of the caller's own text model. The texts may be NULL, all others are needed.
 */
typedef struct {
  /**
   * Size of this structure, as the caller knows it. Later versions may add to its end.
   */
  size_t size;
  /**
   * Name of the text model that gave the vectors.
   */
  const char *model_name;
  /**
   * Vectors of the answers, .npy.
   */
  const char *answers;
  /**
   * Vectors of the questions, .npy.
   */
  const char *questions;
  /**
   * For each question the row of its answer from 0, or -1 for none, .npy of integers.
   */
  const char *labels;
  /**
   * JSON with a text for each row, {"answers": [...], "questions": [...]}; NULL for
   * placeholders.
   */
  const char *texts;
} projection_import_vectors_options;

/**
 * An answer that was found.
 */
typedef struct {
  /**
   * The answer's id.
   */
  int64_t answer_id;
  /**
   * Cosine of the query, or of the projected query, and the answer, unless options ask for
   * another score.
   */
  float score;
} projection_hit;

/**
 * What making lists found out.
 */
typedef struct {
  /**
   * The share of the true 1, 10 and 32 nearest answers that queries find that were held
   * out, the least of them; 1 where searches stay exact.
   */
  double recall;
  /**
   * The share of all answers that they read on average.
   */
  double read;
  /**
   * Number of lists; 1 where searches stay exact.
   */
  size_t lists;
} projection_lists;

/**
 * How to train. All but `size` may be 0: then kind, terms and parameters are chosen by
 * cross-validation.
 */
typedef struct {
  /**
   * Size of this structure, as the caller knows it. Later versions may add to its end.
   */
  size_t size;
  /**
   * "auto", "residual", "multi-head", "linear" or "ridge"; NULL is "auto", the kind that
   * cross-validation finds best.
   */
  const char *method;
  /**
   * 1 to choose terms and parameters by cross-validation, which "auto" does anyway.
   */
  int32_t tune;
  /**
   * 1 to store the model even where its validation is below plain cosine.
   */
  int32_t force;
  /**
   * Share of the questions to be expected whose answer has no training questions, from 0 to
   * 1; NULL is 0.5 where there are such answers, else 0.
   */
  const double *unheaded;
  /**
   * The same seed gives the same model.
   */
  uint64_t seed;
  /**
   * Softmax temperature of routing or rotation; 0 is 0.1.
   */
  double temperature;
  /**
   * A name for people, or NULL.
   */
  const char *name;
  /**
   * The text model whose vectors are used; NULL for the only one that has vectors.
   */
  const char *model_name;
  /**
   * Folder of a text model: logged queries with helpful feedback become questions first.
   * NULL for none.
   */
  const char *feedback_model_dir;
} projection_train_options;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The library's version, such as "0.1.0".
 */
const char *projection_version(void);

/**
 * Loads a .npy file of float16, float32 or float64 numbers, little-endian, of one or two
 * dimensions, in any order. The values become row-major float32.
 */
projection_status projection_array_load(const char *path,
                                        projection_array **array,
                                        projection_error **error);

/**
 * Number of dimensions, 1 or 2; 0 for NULL.
 */
size_t projection_array_ndim(const projection_array *array);

/**
 * Length of the dimension `axis`, counted from 0; 0 where there is none and for NULL.
 */
size_t projection_array_shape(const projection_array *array, size_t axis);

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
 * Distils a projection of a store into a transformer, which is written to the .safetensors
 * file `output`; a file that was there is replaced only by the complete new one. `options` may
 * be NULL. The store is only read. Work that is stopped writes nothing. The progress function
 * is told the stage "distilling" after each epoch, with the epoch's mean loss.
 *
 * The result is JSON, {"projection_id", "kind", "model", "output", "heads", "layers", "ff_dim",
 * "weights", "epochs", "best_epoch", "seconds", "held_out", "trained", "notes"}, where held_out
 * and trained are {"questions", "mean_cosine", "min_cosine", "same_first" or null}: how near
 * the transformer is to the projection.
 */
projection_status projection_distill(const char *database,
                                     const char *output,
                                     const projection_distill_options *options,
                                     projection_progress progress,
                                     void *context,
                                     projection_text **result,
                                     projection_error **error);

/**
 * Distils a model into a transformer, `student`, with `n` questions of the model's input
 * dimension, row-major, four or more. `options` may be NULL; `projection` and `test` of it must
 * be. Progress as for projection_distill.
 */
projection_status projection_model_distill(const projection_model *teacher,
                                           const float *questions,
                                           size_t n,
                                           const projection_distill_options *options,
                                           projection_progress progress,
                                           void *context,
                                           projection_model **student,
                                           projection_error **error);

/**
 * Writes a projection of a store to the file `output`, for programs that have no store. A file
 * that was there is replaced only by the complete new one. `options` may be NULL. The store is
 * only read.
 *
 * The result is JSON, {"projection_id", "kind", "temperature" or null, "precision", "heads",
 * "input_dim", "output_dim", "format", "output", "bytes"}.
 */
projection_status projection_export(const char *database,
                                    const char *output,
                                    const projection_export_options *options,
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
 * Embeds a text into `vector`, `vector_len` = dim.
 */
projection_status projection_embedder_embed(const projection_embedder *embedder,
                                            const char *text,
                                            float *vector,
                                            size_t vector_len,
                                            projection_error **error);

/**
 * Embeds `n` texts into the rows of `vectors`, `vectors_len` = n * dim.
 */
projection_status projection_embedder_embed_batch(const projection_embedder *embedder,
                                                  const char *const *texts,
                                                  size_t n,
                                                  float *vectors,
                                                  size_t vectors_len,
                                                  projection_error **error);

/**
 * Frees a text model. NULL is allowed.
 */
void projection_embedder_free(projection_embedder *embedder);

/**
 * The status that the call which gave `error` returned; PROJECTION_STATUS_OK for NULL.
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
 * A short English name of a status, such as "dimension mismatch"; "unknown status" for
 * numbers that are none. Never NULL, never to be freed.
 */
const char *projection_status_name(int32_t status);

/**
 * Measures projections of a store beside cosine, BM25 and the nearest training question.
 * `options` may be NULL. The store is only read.
 *
 * The result is JSON, {"store", "model", "answers", "seed", "warnings", "notes", "regimes":
 * [{"regime": "test", "closed" or "open", "questions", "headed_questions", "headed_answers",
 * "training_questions", "methods": [{"method", "projection_id", "model_file", "precision",
 * "against_exact", "all", "headed", "unheaded"}], "details"}]}, where against_exact is null or
 * how a rounded projection differs, {"mean_cosine", "least_cosine", "recall_at_1"}, and all, headed and unheaded are {"questions", "recall_at_1", "recall_at_5",
 * "mrr_at_10", "ndcg_at_10", each {"value", "low", "high"}, "gained", "lost",
 * "p_against_cosine"} or null. The first method is cosine.
 */
projection_status projection_evaluate(const char *database,
                                      const projection_evaluate_options *options,
                                      projection_progress progress,
                                      void *context,
                                      projection_text **result,
                                      projection_error **error);

/**
 * Searches for `k` answers as projection_index_search_with_options does, and says why they
 * were found.
 */
projection_status projection_index_explain(const projection_index *index,
                                           const projection_model *model,
                                           const float *query,
                                           size_t query_len,
                                           const char *text,
                                           const projection_search_options *options,
                                           size_t k,
                                           projection_explanation **explanation,
                                           projection_error **error);

/**
 * Says how `model` moves a query, without a search: the explanation has no hits, and its
 * training questions have no texts.
 */
projection_status projection_model_explain(const projection_model *model,
                                           const float *query,
                                           size_t query_len,
                                           projection_explanation **explanation,
                                           projection_error **error);

/**
 * Angle between the query and the projected query in degrees; NaN for NULL, without a
 * model, or where the two have different dimensions.
 */
double projection_explanation_angle(const projection_explanation *explanation);

/**
 * Weight of BM25 in the scores, 0 where words did not count; NaN for NULL.
 */
double projection_explanation_hybrid_weight(const projection_explanation *explanation);

/**
 * 1 where the training questions move the query, 0 where they only give the routing
 * weights, or for NULL.
 */
int32_t projection_explanation_questions_move(const projection_explanation *explanation);

/**
 * The routing weights of the model's heads by ascending cluster, `count` of them; NULL for
 * none. They live as long as the explanation.
 */
const projection_explained_head *projection_explanation_heads(const projection_explanation *explanation,
                                                              size_t *count);

/**
 * The training questions behind the routing weights, the largest weight first, `count` of
 * them; NULL for none, as for models that are not residual. They live as long as the
 * explanation.
 */
const projection_explained_question *projection_explanation_questions(const projection_explanation *explanation,
                                                                      size_t *count);

/**
 * The answers that were found, best first, `count` of them; NULL for none. They live as
 * long as the explanation.
 */
const projection_explained_hit *projection_explanation_hits(const projection_explanation *explanation,
                                                            size_t *count);

/**
 * Frees an explanation. NULL is allowed.
 */
void projection_explanation_free(projection_explanation *explanation);

/**
 * Imports the question-answer files `paths`, `n` of them, and those of folders among them,
 * into the store whose database is the file `database`, which is made where there is none
 * and `n` is not 0. A file that can't be imported does not keep the others from it. `options`
 * may be NULL.
 *
 * The result is JSON, {"store", "files": [{"file", "outcome", "clusters", "answers",
 * "questions", "removed", "error": {"kind", "message"}}]}; outcome is "imported", "replaced",
 * "unchanged", "moved", a known file at another path, "failed", which has an error, or
 * "missing", a file that a folder had before.
 */
projection_status projection_import(const char *database,
                                    const char *const *paths,
                                    size_t n,
                                    const projection_import_options *options,
                                    projection_progress progress,
                                    void *context,
                                    projection_text **result,
                                    projection_error **error);

/**
 * Imports vectors and labels into the store whose database is the file `database`, which is
 * made where there is none. Everything becomes visible together, or nothing.
 *
 * The result is JSON, {"store", "model", "outcome", "dimension", "answers", "questions",
 * "removed", "answers_without_question", "questions_without_answer"}.
 */
projection_status projection_import_vectors(const char *database,
                                            const projection_import_vectors_options *options,
                                            projection_text **result,
                                            projection_error **error);

/**
 * Reads the answers of the store whose database is the file `database`. `model_name` is
 * the text model whose vectors are read; NULL stands for the only one there is.
 */
projection_status projection_index_open(const char *database,
                                        const char *model_name,
                                        projection_index **index,
                                        projection_error **error);

/**
 * Makes an index of `n` vectors of `dim` values each, which are copied. `ids` holds `n`
 * different ids.
 */
projection_status projection_index_from_vectors(const int64_t *ids,
                                                const float *vectors,
                                                size_t n,
                                                size_t dim,
                                                projection_index **index,
                                                projection_error **error);

/**
 * Number of answers; 0 for NULL.
 */
size_t projection_index_len(const projection_index *index);

/**
 * Dimension of the answers' vectors; 0 for NULL.
 */
size_t projection_index_dim(const projection_index *index);

/**
 * The text of an answer, valid until the index is freed; NULL where the index has none.
 */
const char *projection_index_text(const projection_index *index, int64_t answer_id);

/**
 * Finds the answers nearest to a query by cosine, best first, equal ones by ascending id.
 * With a model, the query is projected first; NULL stands for none. `hits` has room for
 * `hits_len` >= k answers; `found` receives how many there are, k or all.
 */
projection_status projection_index_search(const projection_index *index,
                                          const projection_model *model,
                                          const float *query,
                                          size_t query_len,
                                          size_t k,
                                          projection_hit *hits,
                                          size_t hits_len,
                                          size_t *found,
                                          projection_error **error);

/**
 * Searches for `n` queries of `query_dim` values each. The hits of query i begin at
 * `hits[i * k]`, `hits_len` = n * k; `found` receives how many there are for each query, k
 * or all, which is the same for every query.
 */
projection_status projection_index_search_batch(const projection_index *index,
                                                const projection_model *model,
                                                const float *queries,
                                                size_t n,
                                                size_t query_dim,
                                                size_t k,
                                                projection_hit *hits,
                                                size_t hits_len,
                                                size_t *found,
                                                projection_error **error);

/**
 * Frees an index. NULL is allowed.
 */
void projection_index_free(projection_index *index);

/**
 * Adds `n` answers of `dim` values each, which are copied. `ids` holds `n` different ids that
 * the index does not have. `texts` holds their texts, or is NULL; a text may be NULL too.
 * Nothing is added after an error. Lists are kept up.
 */
projection_status projection_index_add(const projection_index *index,
                                       const int64_t *ids,
                                       const float *vectors,
                                       size_t n,
                                       size_t dim,
                                       const char *const *texts,
                                       projection_error **error);

/**
 * Removes the answers with these `n` ids; other ids are passed over. `removed` receives how
 * many there were, and may be NULL. A store keeps them. Texts that the index gave stay valid.
 */
projection_status projection_index_remove(const projection_index *index,
                                          const int64_t *ids,
                                          size_t n,
                                          size_t *removed,
                                          projection_error **error);

/**
 * Puts the answers into lists, so that searches find the nearest of many without comparing a
 * query with each: at least 99% of them, for queries that are held out. `found`, which may be
 * NULL, receives what was found out. Where lists cannot do that, and below 16,384 answers,
 * searches stay exact.
 *
 * `queries` are `n` queries of `query_dim` values that are like those to come, projected by
 * `model` where that is not NULL; a few hundred of them make sure that the promise holds for
 * such. NULL and 0 stand for none. Up to `threads` threads work, 0 counts as 1. The index
 * waits for all other use, and takes a quarter more memory.
 */
projection_status projection_index_make_lists(const projection_index *index,
                                              const projection_model *model,
                                              const float *queries,
                                              size_t n,
                                              size_t query_dim,
                                              size_t threads,
                                              projection_lists *found,
                                              projection_error **error);

/**
 * Forgets the lists of an index: searches are exact again. NULL is allowed.
 */
void projection_index_drop_lists(const projection_index *index);

/**
 * Loads projection `id`, of whatever kind, from the folder of its files:
 * embeddings/{model_name}, or embeddings. `temperature` is that of the routing, above 0; 0.1
 * is the usual one. A linear model has none, and takes no notice.
 */
projection_status projection_model_load(const char *folder,
                                        int64_t id,
                                        double temperature,
                                        projection_model **model,
                                        projection_error **error);

/**
 * Loads projection `id` as projection_model_load does, at the temperature that its files
 * say. Those of a multi-head model may not: that is PROJECTION_STATUS_INVALID_ARGUMENT.
 */
projection_status projection_model_load_as_trained(const char *folder,
                                                   int64_t id,
                                                   projection_model **model,
                                                   projection_error **error);

/**
 * Opens projection `id`, of whatever kind, of the store whose database is the file
 * `database`, at the temperature that the database gives. Existing stores may have a linear
 * projection and one with heads of the same id: then the one with heads; see
 * projection_model_open_kind.
 */
projection_status projection_model_open(const char *database,
                                        int64_t id,
                                        projection_model **model,
                                        projection_error **error);

/**
 * Opens projection `id` as projection_model_open does, as a model of `kind`, a
 * projection_kind. A residual projection opens as a multi-head one too.
 */
projection_status projection_model_open_kind(const char *database,
                                             int32_t kind,
                                             int64_t id,
                                             projection_model **model,
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
 * Number of heads, which is that of routing weights; 0 for NULL.
 */
size_t projection_model_num_heads(const projection_model *model);

/**
 * Temperature of the routing; NaN for a linear model, which has none, and for NULL.
 */
double projection_model_temperature(const projection_model *model);

/**
 * The kind of a model; PROJECTION_KIND_UNKNOWN for NULL.
 */
projection_kind projection_model_kind(const projection_model *model);

/**
 * Cluster ids of the heads in ascending order, which is that of routing weights. `ids_len`
 * is the number of heads.
 */
projection_status projection_model_head_ids(const projection_model *model,
                                            int64_t *ids,
                                            size_t ids_len,
                                            projection_error **error);

/**
 * Makes a copy of `model` at another temperature. The vectors are shared, and each of the
 * two is freed on its own.
 */
projection_status projection_model_with_temperature(const projection_model *model,
                                                    double temperature,
                                                    projection_model **copy,
                                                    projection_error **error);

/**
 * Projects a query of `query_len` = input_dim values into `projected`, of `projected_len`
 * = output_dim values. `weights` receives the routing weights, `weights_len` = num_heads;
 * it may be NULL, with `weights_len` 0.
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
 * output_dim values, `weights`, which may be NULL with `weights_len` 0, n × num_heads.
 */
projection_status projection_model_project_batch(const projection_model *model,
                                                 const float *queries,
                                                 size_t n,
                                                 size_t query_dim,
                                                 float *projected,
                                                 size_t projected_len,
                                                 float *weights,
                                                 size_t weights_len,
                                                 projection_error **error);

/**
 * projection_model_project_batch on up to `threads` threads, which share the queries out and
 * end before it returns; 0 and 1 are the caller's thread. How the queries are shared out may
 * change last bits.
 */
projection_status projection_model_project_batch_on(const projection_model *model,
                                                    size_t threads,
                                                    const float *queries,
                                                    size_t n,
                                                    size_t query_dim,
                                                    float *projected,
                                                    size_t projected_len,
                                                    float *weights,
                                                    size_t weights_len,
                                                    projection_error **error);

/**
 * Frees a model. NULL is allowed.
 */
void projection_model_free(projection_model *model);

/**
 * Opens the model in the .safetensors file `path`, of whatever kind, at the temperature that
 * the file gives. The file is mapped: as long as the model lives, it must not be changed in
 * place, which could change results or, where it is cut short, end the process. Replacing
 * it by renaming another one, as projection_model_save_file does, or removing it is safe.
 * The values of a file of more than 1 MiB are checked when the model is first used.
 */
projection_status projection_model_load_file(const char *path,
                                             projection_model **model,
                                             projection_error **error);

/**
 * Reads a model from the `len` bytes of such a file. They are copied, and all values are
 * checked.
 */
projection_status projection_model_from_bytes(const uint8_t *bytes,
                                              size_t len,
                                              projection_model **model,
                                              projection_error **error);

/**
 * Writes a model to the file `path`, which projection_model_load_file opens in every
 * language. A file that was there is replaced only by the complete new one.
 */
projection_status projection_model_save_file(const projection_model *model,
                                             const char *path,
                                             projection_error **error);

/**
 * Gives kind and parameters of a model as JSON, as a model file has them: for a transformer
 * embed_dim, num_heads, num_layers, ff_dim and dropout.
 */
projection_status projection_model_parameters(const projection_model *model,
                                              projection_text **text,
                                              projection_error **error);

/**
 * How a model keeps its vectors; PROJECTION_PRECISION_UNKNOWN for NULL.
 */
projection_precision projection_model_precision(const projection_model *model);

/**
 * Makes a copy of `model` that keeps its vectors in `precision`, a projection_precision: it
 * takes less memory and is faster where there are many heads. projection_model_save_file
 * keeps the precision. Each of the two models is freed on its own. Only multi-head models do
 * that: for others, and for another precision than that of a model which is rounded already,
 * it is PROJECTION_STATUS_INVALID_ARGUMENT.
 */
projection_status projection_model_with_precision(const projection_model *model,
                                                  int32_t precision,
                                                  projection_model **copy,
                                                  projection_error **error);

/**
 * projection_index_search with options. `text` is the query in words; NULL stands for none,
 * which hybrid search refuses.
 */
projection_status projection_index_search_with_options(const projection_index *index,
                                                       const projection_model *model,
                                                       const float *query,
                                                       size_t query_len,
                                                       const char *text,
                                                       const projection_search_options *options,
                                                       size_t k,
                                                       projection_hit *hits,
                                                       size_t hits_len,
                                                       size_t *found,
                                                       projection_error **error);

/**
 * projection_index_search_batch with options. `texts` are the `n` queries in words, and
 * NULL stands for none.
 */
projection_status projection_index_search_batch_with_options(const projection_index *index,
                                                             const projection_model *model,
                                                             const float *queries,
                                                             size_t n,
                                                             size_t query_dim,
                                                             const char *const *texts,
                                                             const projection_search_options *options,
                                                             size_t k,
                                                             projection_hit *hits,
                                                             size_t hits_len,
                                                             size_t *found,
                                                             projection_error **error);

/**
 * Makes an empty store whose database is the file `database`, where there is none; its
 * folder must exist. The database of a store that is there is checked, and gets the tables
 * that early programs did not know.
 */
projection_status projection_store_create(const char *database,
                                          projection_error **error);

/**
 * The text, which ends with NUL, valid until it is freed; "" for NULL.
 */
const char *projection_text_data(const projection_text *text);

/**
 * Its length in bytes without the NUL; 0 for NULL.
 */
size_t projection_text_len(const projection_text *text);

/**
 * Frees a text. NULL is allowed.
 */
void projection_text_free(projection_text *text);

/**
 * Gives a vector to every text of a store that has none, by the text model in `model_dir`.
 * In the store it is called `model_name`, or like its folder where that is NULL. Work that is
 * stopped keeps what was done, and the next call goes on from there.
 *
 * The result is JSON, {"store", "model", "dimension", "answers", "questions"}: how many got a
 * vector.
 */
projection_status projection_embed_store(const char *database,
                                         const char *model_dir,
                                         const char *model_name,
                                         projection_progress progress,
                                         void *context,
                                         projection_text **result,
                                         projection_error **error);

/**
 * Trains a model on the vectors of a store, stores it and leaves older ones as they are.
 * `options` may be NULL. A model whose validation is below plain cosine is not stored, which is
 * PROJECTION_STATUS_INVALID_MODEL, unless `force` asks for it. Training that is stopped leaves
 * the store's models as they were.
 *
 * The result is JSON, {"id", "method", "kind", "name", "model", "temperature", "heads",
 * "questions", "clusters_left_out", "terms", "hybrid_weight", "unheaded_offset", "validation",
 * "feedback_questions", "notes"}; what there is not is null or left out.
 */
projection_status projection_train(const char *database,
                                   const projection_train_options *options,
                                   projection_progress progress,
                                   void *context,
                                   projection_text **result,
                                   projection_error **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PROJECTION_H */
