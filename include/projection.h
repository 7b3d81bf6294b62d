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
 * with projection_index_free. May be used by many threads at once.
 */
typedef struct projection_index projection_index;

/**
 * A trained model. Free it with projection_model_free. May be used by many threads at
 * once.
 */
typedef struct projection_model projection_model;

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
   * Is added to what vectors say about answers that no head of the model is for. Needs a
   * model with heads and an index of a store.
   */
  double unheaded_offset;
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

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PROJECTION_H */
