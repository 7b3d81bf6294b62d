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
 * An answer that was found.
 */
typedef struct {
  /**
   * The answer's id.
   */
  int64_t answer_id;
  /**
   * Cosine of the query, or of the projected query, and the answer.
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
 * Loads projection `id` from the folder of its files: embeddings/{model_name}, or
 * embeddings. `temperature` is that of the routing, above 0; 0.1 is the usual one.
 */
projection_status projection_model_load(const char *folder,
                                        int64_t id,
                                        double temperature,
                                        projection_model **model,
                                        projection_error **error);

/**
 * Opens projection `id` of the store whose database is the file `database`, at the
 * temperature that the database gives.
 */
projection_status projection_model_open(const char *database,
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
 * Temperature of the routing; NaN for NULL.
 */
double projection_model_temperature(const projection_model *model);

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

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PROJECTION_H */
