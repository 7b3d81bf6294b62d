/*
 * NULL, wrong lengths, overlaps and misaligned addresses for every function that takes a
 * pointer, but for those of the text model (embedder.c). usage: arguments FOLDER
 */
#include "errors.h"

#include <stdlib.h>

/* A model of 8 dimensions to 3, and 2 vectors to search. */
enum { D = 8, O = 3, N = 2, K = 2 };

static projection_model *model;
static projection_index *index_;
static char *array_path, *model_path, *database;
static size_t heads;
static const float queries[N * D] = {1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1};
static const int64_t ids[N] = {7, 3};
static const projection_search_options plain = {sizeof plain, 0, 0, 0, 0, 0, 0};

static void open_all(const char *root)
{
    static const float vectors[N * O] = {1, 2, 3, 3, 2, 1};
    array_path = join(root, "cases/d8_to_d3-t0.1/queries.npy");
    model_path = join(root, "models/d8_to_d3");
    database = join(root, "legacy_store/lda.db");
    SUCCEEDS(projection_model_load, model_path, 1, 0.1, &model);
    SUCCEEDS(projection_index_from_vectors, ids, vectors, N, O, &index_);
    heads = projection_model_num_heads(model);
    CHECK(projection_model_input_dim(model) == D && projection_model_output_dim(model) == O);
}

static void null_handles(void)
{
    size_t count = 1;
    NULL_HANDLE(projection_array_ndim, array, projection_array_ndim(NULL) == 0);
    NULL_HANDLE(projection_array_shape, array, projection_array_shape(NULL, 0) == 0);
    NULL_HANDLE(projection_array_len, array, projection_array_len(NULL) == 0);
    NULL_HANDLE(projection_array_data, array, projection_array_data(NULL) == NULL);
    NULL_HANDLE(projection_array_free, array, (projection_array_free(NULL), 1));
    NULL_HANDLE(projection_error_code, error, projection_error_code(NULL) == 0);
    NULL_HANDLE(projection_error_message, error, *projection_error_message(NULL) == '\0');
    NULL_HANDLE(projection_error_free, error, (projection_error_free(NULL), 1));
    NULL_HANDLE(projection_index_len, index, projection_index_len(NULL) == 0);
    NULL_HANDLE(projection_index_dim, index, projection_index_dim(NULL) == 0);
    NULL_HANDLE(projection_index_text, index, projection_index_text(NULL, 1) == NULL);
    NULL_HANDLE(projection_index_free, index, (projection_index_free(NULL), 1));
    NULL_HANDLE(projection_model_input_dim, model, projection_model_input_dim(NULL) == 0);
    NULL_HANDLE(projection_model_output_dim, model, projection_model_output_dim(NULL) == 0);
    NULL_HANDLE(projection_model_num_heads, model, projection_model_num_heads(NULL) == 0);
    NULL_HANDLE(projection_model_kind, model,
                projection_model_kind(NULL) == PROJECTION_KIND_UNKNOWN);
    NULL_HANDLE(projection_model_precision, model,
                projection_model_precision(NULL) == PROJECTION_PRECISION_UNKNOWN);
    NULL_HANDLE(projection_model_temperature, model, isnan(projection_model_temperature(NULL)));
    NULL_HANDLE(projection_model_free, model, (projection_model_free(NULL), 1));
    NULL_HANDLE(projection_explanation_angle, explanation,
                isnan(projection_explanation_angle(NULL)));
    NULL_HANDLE(projection_explanation_hybrid_weight, explanation,
                isnan(projection_explanation_hybrid_weight(NULL)));
    NULL_HANDLE(projection_explanation_questions_move, explanation,
                projection_explanation_questions_move(NULL) == 0);
    NULL_HANDLE(projection_explanation_heads, explanation,
                projection_explanation_heads(NULL, &count) == NULL && count == 0);
    count = 1;
    NULL_HANDLE(projection_explanation_questions, explanation,
                projection_explanation_questions(NULL, &count) == NULL && count == 0);
    count = 1;
    NULL_HANDLE(projection_explanation_hits, explanation,
                projection_explanation_hits(NULL, &count) == NULL && count == 0);
    NULL_HANDLE(projection_explanation_free, explanation, (projection_explanation_free(NULL), 1));
    NULL_HANDLE(projection_embedder_dim, embedder, projection_embedder_dim(NULL) == 0);
    NULL_HANDLE(projection_embedder_free, embedder, (projection_embedder_free(NULL), 1));
}

static void null_arguments(void)
{
    projection_text *parameters = NULL;
    projection_lists lists;
    const float *q = queries;

    memset(&lists, 0, sizeof lists);
    NULL_ARGUMENT(projection_array_load, path, NULL, &out.array);
    NULL_ARGUMENT(projection_array_load, array, array_path, NULL);
    NULL_ARGUMENT(projection_model_load, folder, NULL, 1, 0.1, &out.model);
    NULL_ARGUMENT(projection_model_load, model, model_path, 1, 0.1, NULL);
    NULL_ARGUMENT(projection_model_load_as_trained, folder, NULL, 1, &out.model);
    NULL_ARGUMENT(projection_model_load_as_trained, model, model_path, 1, NULL);
    NULL_ARGUMENT(projection_model_open, database, NULL, 1, &out.model);
    NULL_ARGUMENT(projection_model_open, model, database, 1, NULL);
    NULL_ARGUMENT(projection_model_open_kind, database, NULL, PROJECTION_KIND_LINEAR, 1,
                  &out.model);
    NULL_ARGUMENT(projection_model_open_kind, model, database, PROJECTION_KIND_LINEAR, 1, NULL);
    FAILS(INVALID_ARGUMENT, "kind is 9", projection_model_open_kind, database, 9, 1, &out.model);
    NULL_ARGUMENT(projection_model_load_file, path, NULL, &out.model);
    NULL_ARGUMENT(projection_model_load_file, model, model_path, NULL);
    NULL_ARGUMENT(projection_model_from_bytes, bytes, NULL, 8, &out.model);
    NULL_ARGUMENT(projection_model_from_bytes, model, (const unsigned char *)"12345678", 8, NULL);
    NULL_ARGUMENT(projection_model_save_file, model, NULL, "m.safetensors");
    NULL_ARGUMENT(projection_model_save_file, path, model, NULL);
    NULL_ARGUMENT(projection_store_create, database, NULL);
    NULL_ARGUMENT(projection_model_parameters, model, NULL, &parameters);
    NULL_ARGUMENT(projection_model_parameters, text, model, NULL);
    CHECK(parameters == NULL);
    FAILS(PROJECTION_STATUS_INVALID_MODEL, "expected a .safetensors file",
          projection_model_from_bytes, NULL, 0, &out.model);
    FAILS(PROJECTION_STATUS_IO, "not a regular file", projection_model_load_file, "/", &out.model);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "no/such", projection_model_save_file, model,
          "no/such.safetensors");
    NULL_ARGUMENT(projection_model_head_ids, model, NULL, out.ids, heads);
    NULL_ARGUMENT(projection_model_head_ids, ids, model, NULL, heads);
    NULL_ARGUMENT(projection_model_with_temperature, model, NULL, 0.1, &out.model);
    NULL_ARGUMENT(projection_model_with_temperature, copy, model, 0.1, NULL);
    NULL_ARGUMENT(projection_model_with_precision, model, NULL, PROJECTION_PRECISION_F32,
                  &out.model);
    NULL_ARGUMENT(projection_model_with_precision, copy, model, PROJECTION_PRECISION_F32, NULL);
    FAILS(INVALID_ARGUMENT, "precision is 0, expected 1, 2 or 3", projection_model_with_precision,
          model, PROJECTION_PRECISION_UNKNOWN, &out.model);
    NULL_ARGUMENT(projection_model_with_lists, model, NULL, 1, &out.model);
    NULL_ARGUMENT(projection_model_with_lists, copy, model, 1, NULL);
    NULL_ARGUMENT(projection_model_lists, model, NULL, &lists);
    NULL_ARGUMENT(projection_model_lists, found, model, NULL);
    NULL_ARGUMENT(projection_model_keep_lists, database, NULL, 1, 1, &lists);
    NULL_ARGUMENT(projection_model_check_lists, database, NULL, 1, &lists);
    OPTIONAL_ARGUMENT(projection_model_keep_lists, found, database, 1, 1, NULL);
    OPTIONAL_ARGUMENT(projection_model_check_lists, found, database, 1, NULL);
    SUCCEEDS(projection_model_check_lists, database, 1, &lists);
    CHECK(lists.lists == 1 && lists.recall == 1.0 && lists.read == 1.0);
    NULL_ARGUMENT(projection_model_project, model, NULL, q, D, out.projected, O, NULL, 0);
    NULL_ARGUMENT(projection_model_project, query, model, NULL, D, out.projected, O, NULL, 0);
    NULL_ARGUMENT(projection_model_project, projected, model, q, D, NULL, O, NULL, 0);
    /* Routing weights that are not there can't have a length. */
    FAILS(INVALID_ARGUMENT, "argument weights is NULL", projection_model_project, model, q, D,
          out.projected, O, NULL, heads);
    NULL_ARGUMENT(projection_model_project_batch, model, NULL, q, N, D, out.projected, N * O,
                  NULL, 0);
    NULL_ARGUMENT(projection_model_project_batch_on, model, NULL, 2, q, N, D, out.projected,
                  N * O, NULL, 0);
    NULL_ARGUMENT(projection_model_project_batch_on, queries, model, 2, NULL, N, D,
                  out.projected, N * O, NULL, 0);
    NULL_ARGUMENT(projection_model_project_batch_on, projected, model, 2, q, N, D, NULL, N * O,
                  NULL, 0);
    FAILS(INVALID_ARGUMENT, "argument weights is NULL", projection_model_project_batch_on, model,
          2, q, N, D, out.projected, N * O, NULL, N * heads);
    NULL_ARGUMENT(projection_model_project_batch, queries, model, NULL, N, D, out.projected,
                  N * O, NULL, 0);
    NULL_ARGUMENT(projection_model_project_batch, projected, model, q, N, D, NULL, N * O, NULL, 0);
    FAILS(INVALID_ARGUMENT, "argument weights is NULL", projection_model_project_batch, model, q,
          N, D, out.projected, N * O, NULL, N * heads);
    NULL_ARGUMENT(projection_index_open, database, NULL, NULL, &out.index);
    NULL_ARGUMENT(projection_index_open, index, database, NULL, NULL);
    NULL_ARGUMENT(projection_index_from_vectors, ids, NULL, q, N, O, &out.index);
    NULL_ARGUMENT(projection_index_from_vectors, vectors, ids, NULL, N, O, &out.index);
    NULL_ARGUMENT(projection_index_from_vectors, index, ids, q, N, O, NULL);
    NULL_ARGUMENT(projection_index_search, index, NULL, model, q, D, K, out.hits, K, &out.found);
    NULL_ARGUMENT(projection_index_search, query, index_, model, NULL, D, K, out.hits, K,
                  &out.found);
    NULL_ARGUMENT(projection_index_search, hits, index_, model, q, D, K, NULL, K, &out.found);
    NULL_ARGUMENT(projection_index_search, found, index_, model, q, D, K, out.hits, K, NULL);
    NULL_ARGUMENT(projection_index_search_batch, index, NULL, model, q, N, D, K, out.hits, N * K,
                  &out.found);
    NULL_ARGUMENT(projection_index_search_batch, queries, index_, model, NULL, N, D, K, out.hits,
                  N * K, &out.found);
    NULL_ARGUMENT(projection_index_search_batch, hits, index_, model, q, N, D, K, NULL, N * K,
                  &out.found);
    NULL_ARGUMENT(projection_index_search_batch, found, index_, model, q, N, D, K, out.hits,
                  N * K, NULL);
    check_untouched();
}

/* Adding, removing and lists. The index is as it was at the end. */
static void changes(void)
{
    static const int64_t new_ids[1] = {900};
    static const char *const texts[1] = {NULL};
    const float *q = queries;
    projection_search_options some = plain;
    projection_lists lists = {0, 0, 0};
    size_t removed = 0;
    NULL_ARGUMENT(projection_index_add, index, NULL, new_ids, q, 1, O, NULL);
    NULL_ARGUMENT(projection_index_add, ids, index_, NULL, q, 1, O, NULL);
    NULL_ARGUMENT(projection_index_add, vectors, index_, new_ids, NULL, 1, O, NULL);
    OPTIONAL_ARGUMENT(projection_index_add, texts, index_, new_ids, q, 1, O, NULL);
    FAILS(INVALID_ARGUMENT, "two vectors with the id 900", projection_index_add, index_, new_ids,
          q, 1, O, texts);
    FAILS(DIMENSION_MISMATCH, "vectors", projection_index_add, index_, ids, q, N, O + 1, NULL);
    CHECK(projection_index_len(index_) == N + 1);
    some.allowed = new_ids;
    some.allowed_len = 1;
    SUCCEEDS(projection_index_search_with_options, index_, NULL, q, O, NULL, &some, K, out.hits, K,
             &out.found);
    CHECK(out.found == 1 && out.hits[0].answer_id == 900);
    some.allowed_len = 0;
    SUCCEEDS(projection_index_search_batch_with_options, index_, NULL, q, N, O, NULL, &some, K,
             out.hits, N * K, &out.found);
    CHECK(out.found == 0);
    some.allowed = NULL;
    some.allowed_len = 1;
    FAILS(INVALID_ARGUMENT, "allowed_len 1", projection_index_search_with_options, index_, NULL, q,
          O, NULL, &some, K, out.hits, K, &out.found);
    NULL_ARGUMENT(projection_index_remove, index, NULL, new_ids, 1, &removed);
    NULL_ARGUMENT(projection_index_remove, ids, index_, NULL, 1, &removed);
    SUCCEEDS(projection_index_remove, index_, new_ids, 1, &removed);
    CHECK(removed == 1 && projection_index_len(index_) == N);
    OPTIONAL_ARGUMENT(projection_index_remove, removed, index_, new_ids, 1, NULL);
    NULL_ARGUMENT(projection_index_make_lists, index, NULL, model, q, N, D, 1, &lists);
    NULL_ARGUMENT(projection_index_make_lists, queries, index_, model, NULL, N, D, 1, &lists);
    FAILS(DIMENSION_MISMATCH, "queries", projection_index_make_lists, index_, model, q, 1, D + 1, 1,
          &lists);
    OPTIONAL_ARGUMENT(projection_index_make_lists, model, index_, NULL, q, N, O, 1, &lists);
    OPTIONAL_ARGUMENT(projection_index_make_lists, found, index_, model, NULL, 0, 0, 1, NULL);
    CHECK(lists.lists == 1 && lists.recall >= 1 && lists.read >= 1);
    NULL_HANDLE(projection_index_drop_lists, index, (projection_index_drop_lists(NULL), 1));
    projection_index_drop_lists(index_);
    fill_outputs();
}

static void null_arguments_beside_options(void)
{
    const float *q = queries;
    const char *const *none = NULL;
    NULL_ARGUMENT(projection_index_search_with_options, index, NULL, model, q, D, NULL, &plain, K,
                  out.hits, K, &out.found);
    NULL_ARGUMENT(projection_index_search_with_options, query, index_, model, NULL, D, NULL,
                  &plain, K, out.hits, K, &out.found);
    NULL_ARGUMENT(projection_index_search_with_options, options, index_, model, q, D, NULL, NULL,
                  K, out.hits, K, &out.found);
    NULL_ARGUMENT(projection_index_search_with_options, hits, index_, model, q, D, NULL, &plain,
                  K, NULL, K, &out.found);
    NULL_ARGUMENT(projection_index_search_with_options, found, index_, model, q, D, NULL, &plain,
                  K, out.hits, K, NULL);
    NULL_ARGUMENT(projection_index_search_batch_with_options, index, NULL, model, q, N, D, none,
                  &plain, K, out.hits, N * K, &out.found);
    NULL_ARGUMENT(projection_index_search_batch_with_options, queries, index_, model, NULL, N, D,
                  none, &plain, K, out.hits, N * K, &out.found);
    NULL_ARGUMENT(projection_index_search_batch_with_options, options, index_, model, q, N, D,
                  none, NULL, K, out.hits, N * K, &out.found);
    NULL_ARGUMENT(projection_index_search_batch_with_options, hits, index_, model, q, N, D, none,
                  &plain, K, NULL, N * K, &out.found);
    NULL_ARGUMENT(projection_index_search_batch_with_options, found, index_, model, q, N, D, none,
                  &plain, K, out.hits, N * K, NULL);
    NULL_ARGUMENT(projection_index_explain, index, NULL, model, q, D, NULL, &plain, K,
                  &out.explanation);
    NULL_ARGUMENT(projection_index_explain, query, index_, model, NULL, D, NULL, &plain, K,
                  &out.explanation);
    NULL_ARGUMENT(projection_index_explain, options, index_, model, q, D, NULL, NULL, K,
                  &out.explanation);
    NULL_ARGUMENT(projection_index_explain, explanation, index_, model, q, D, NULL, &plain, K,
                  NULL);
    check_untouched();
}

static void optional_arguments_beside_options(void)
{
    projection_explanation *found = NULL;
    OPTIONAL_ARGUMENT(projection_index_search_with_options, model, index_, NULL, queries, O,
                      "words", &plain, K, out.hits, K, &out.found);
    OPTIONAL_ARGUMENT(projection_index_search_with_options, text, index_, model, queries, D, NULL,
                      &plain, K, out.hits, K, &out.found);
    OPTIONAL_ARGUMENT(projection_index_search_batch_with_options, model, index_, NULL, queries, N,
                      O, NULL, &plain, K, out.hits, N * K, &out.found);
    OPTIONAL_ARGUMENT(projection_index_search_batch_with_options, texts, index_, model, queries,
                      N, D, NULL, &plain, K, out.hits, N * K, &out.found);
    OPTIONAL_ARGUMENT(projection_index_explain, text, index_, model, queries, D, NULL, &plain, K,
                      &found);
    NULL_HANDLE(projection_explanation_heads, count,
                (projection_explanation_heads(found, NULL) == NULL) == 0);
    NULL_HANDLE(projection_explanation_questions, count,
                (projection_explanation_questions(found, NULL) == NULL) == 1);
    NULL_HANDLE(projection_explanation_hits, count,
                (projection_explanation_hits(found, NULL) == NULL) == 0);
    projection_explanation_free(found);
    found = NULL;
    OPTIONAL_ARGUMENT(projection_index_explain, model, index_, NULL, queries, O, NULL, &plain, K,
                      &found);
    projection_explanation_free(found);
    fill_outputs();
}

/* Sizes and values of the options themselves. */
static void wrong_options(void)
{
    struct {
        projection_search_options known;
        char unknown[16];
    } larger;
    projection_search_options options = plain;
    const size_t sizes[] = {0, 1, sizeof options - 1, 4097, SIZE_MAX};
    const double weights[] = {-0.5, 1.5, NAN, INFINITY};
    size_t i;
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        options.size = sizes[i];
        FAILS(INVALID_ARGUMENT, "options.size", projection_index_search_with_options, index_,
              model, queries, D, NULL, &options, K, out.hits, K, &out.found);
    }
    options = plain;
    for (i = 0; i < sizeof weights / sizeof *weights; i++) {
        options.hybrid_weight = weights[i];
        FAILS(INVALID_ARGUMENT, "from 0 to 1", projection_index_search_with_options, index_,
              model, queries, D, "words", &options, K, out.hits, K, &out.found);
    }
    /* What an index without texts and clusters can't do. */
    options.hybrid_weight = PROJECTION_HYBRID_WEIGHT_OF_MODEL;
    FAILS(INVALID_ARGUMENT, "texts", projection_index_search_with_options, index_, model, queries,
          D, "words", &options, K, out.hits, K, &out.found);
    FAILS(INVALID_ARGUMENT, "text", projection_index_search_batch_with_options, index_, model,
          queries, N, D, NULL, &options, K, out.hits, N * K, &out.found);
    options = plain;
    options.unheaded_offset = 0.5;
    FAILS(INVALID_ARGUMENT, "clusters", projection_index_explain, index_, model, queries, D, NULL,
          &options, K, &out.explanation);
    options = plain;
    options.score_mode = PROJECTION_SCORE_MODE_MAX_NEAREST_QUESTION;
    FAILS(INVALID_ARGUMENT, "residual", projection_index_explain, index_, model, queries, D, NULL,
          &options, K, &out.explanation);
    options.score_mode = PROJECTION_SCORE_MODE_HEADED_UNHEADED;
    FAILS(INVALID_ARGUMENT, "clusters", projection_index_explain, index_, model, queries, D, NULL,
          &options, K, &out.explanation);
    options.score_mode = 7;
    FAILS(INVALID_ARGUMENT, "score_mode 7", projection_index_explain, index_, model, queries, D,
          NULL, &options, K, &out.explanation);
    FAILS(INVALID_ARGUMENT, "UTF-8", projection_index_explain, index_, model, queries, D, "\xff",
          &plain, K, &out.explanation);
    FAILS(DIMENSION_MISMATCH, "query", projection_index_explain, index_, model, queries, O, NULL,
          &plain, K, &out.explanation);
    FAILS(BUFFER_SIZE, "hits", projection_index_search_with_options, index_, model, queries, D,
          NULL, &plain, K, out.hits, K - 1, &out.found);
    FAILS(BUFFER_SIZE, "hits", projection_index_search_batch_with_options, index_, model, queries,
          N, D, NULL, &plain, K, out.hits, N * K + 1, &out.found);
    memset(&larger, 0, sizeof larger);
    larger.known.size = sizeof larger;
    larger.unknown[3] = 1;
    FAILS(INVALID_ARGUMENT, "does not know", projection_index_search_with_options, index_, model,
          queries, D, NULL, &larger.known, K, out.hits, K, &out.found);
    check_untouched();
    larger.unknown[3] = 0;
    SUCCEEDS(projection_index_search_with_options, index_, model, queries, D, NULL, &larger.known,
             K, out.hits, K, &out.found);
    CHECK(out.found == K);
    fill_outputs();
}

static void optional_arguments(void)
{
    projection_index *opened = NULL;
    OPTIONAL_ARGUMENT(projection_model_project, weights, model, queries, D, out.projected, O,
                      NULL, 0);
    OPTIONAL_ARGUMENT(projection_model_project_batch, weights, model, queries, N, D,
                      out.projected, N * O, NULL, 0);
    OPTIONAL_ARGUMENT(projection_model_project_batch_on, weights, model, 2, queries, N, D,
                      out.projected, N * O, NULL, 0);
    OPTIONAL_ARGUMENT(projection_index_search, model, index_, NULL, queries, O, K, out.hits, K,
                      &out.found);
    OPTIONAL_ARGUMENT(projection_index_search_batch, model, index_, NULL, queries, N, O, K,
                      out.hits, N * K, &out.found);
    OPTIONAL_ARGUMENT(projection_index_open, model_name, database, NULL, &opened);
    CHECK(projection_index_len(opened) > 0);
    projection_index_free(opened);
    fill_outputs();
}

static void wrong_lengths(void)
{
    const float *q = queries;
    float *p = out.projected, *w = out.weights;
    size_t length;
    int i;
    for (i = 0; i < WRONG_LENGTHS; i++) {
        length = wrong_length(D, i);
        FAILS(DIMENSION_MISMATCH, "query", projection_model_project, model, q, length, p, O, w,
              heads);
        FAILS(DIMENSION_MISMATCH, "query", projection_index_search, index_, model, q, length, K,
              out.hits, K, &out.found);
        length = wrong_length(O, i);
        FAILS(DIMENSION_MISMATCH, "query", projection_index_search, index_, NULL, q, length, K,
              out.hits, K, &out.found);
        FAILS(BUFFER_SIZE, "projected", projection_model_project, model, q, D, p, length, w,
              heads);
        length = wrong_length(N * O, i);
        FAILS(BUFFER_SIZE, "projected", projection_model_project_batch, model, q, N, D, p, length,
              w, N * heads);
        length = wrong_length(heads, i);
        FAILS(BUFFER_SIZE, "ids", projection_model_head_ids, model, out.ids, length);
        FAILS(BUFFER_SIZE, "weights", projection_model_project, model, q, D, p, O, w, length);
        length = wrong_length(N * heads, i);
        FAILS(BUFFER_SIZE, "weights", projection_model_project_batch, model, q, N, D, p, N * O, w,
              length);
        FAILS(BUFFER_SIZE, "weights", projection_model_project_batch_on, model, 2, q, N, D, p,
              N * O, w, length);
        length = wrong_length(N * K, i);
        FAILS(BUFFER_SIZE, "hits", projection_index_search_batch, index_, model, q, N, D, K,
              out.hits, length, &out.found);
    }
    for (i = 0; i < WRONG_LENGTHS; i++) {
        /* Twice this dimension overflows for some, and is a wrong dimension for all. */
        projection_error *error = NULL;
        projection_status status;
        length = wrong_length(D, i);
        status = projection_model_project_batch(model, q, N, length, p, N * O, w, N * heads,
                                                &error);
        CHECK(status == (length > SIZE_MAX / N ? INVALID_ARGUMENT : DIMENSION_MISMATCH));
        check_status(status, status, error, "queries", __FILE__, __LINE__);
        error = NULL;
        status = projection_index_search_batch(index_, model, q, N, length, K, out.hits, N * K,
                                               &out.found, &error);
        CHECK(status == (length > SIZE_MAX / N ? INVALID_ARGUMENT : DIMENSION_MISMATCH));
        check_status(status, status, error, "queries", __FILE__, __LINE__);
    }
    FAILS(BUFFER_SIZE, "at least 2", projection_index_search, index_, model, q, D, K, out.hits,
          K - 1, &out.found);
    FAILS(BUFFER_SIZE, "at least", projection_index_search, index_, model, q, D, SIZE_MAX,
          out.hits, K, &out.found);
    check_untouched();
}

/* Numbers of vectors whose product with the dimension is no size that memory can have. */
static void wrong_numbers_of_vectors(void)
{
    const float *q = queries;
    const size_t numbers[] = {SIZE_MAX, SIZE_MAX / 2 + 1, SIZE_MAX / D + 1, SIZE_MAX / O + 1};
    size_t i;
    for (i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        size_t n = numbers[i];
        FAILS(INVALID_ARGUMENT, "more than memory can hold", projection_model_project_batch,
              model, q, n, D, out.projected, O, NULL, 0);
        FAILS(INVALID_ARGUMENT, "more than memory can hold", projection_index_search_batch,
              index_, model, q, n, D, 1, out.hits, 1, &out.found);
        FAILS(INVALID_ARGUMENT, "", projection_index_from_vectors, ids, q, n, O, &out.index);
        FAILS(INVALID_ARGUMENT, "", projection_index_from_vectors, ids, q, n, 0, &out.index);
        /* Vectors without values take no memory, however many there are. */
        FAILS(DIMENSION_MISMATCH, "queries", projection_model_project_batch, model, q, n, 0,
              out.projected, O, NULL, 0);
        FAILS(DIMENSION_MISMATCH, "queries", projection_index_search_batch, index_, model, q, n,
              0, 0, out.hits, 0, &out.found);
    }
    FAILS(INVALID_ARGUMENT, "hits", projection_index_search_batch, index_, model, q, N, D,
          SIZE_MAX, out.hits, SIZE_MAX, &out.found);
    FAILS(INVALID_ARGUMENT, "dimension 0", projection_index_from_vectors, ids, q, N, 0,
          &out.index);
    check_untouched();
}

static void overlaps(void)
{
    /* All in one piece of memory, at every distance up to touching each other. */
    float memory[64];
    size_t at, i;
    size_t *inside;
    for (i = 0; i < 64; i++) {
        memory[i] = (float)(i + 1);
    }
    for (at = 0; at <= 24; at++) {
        float *query = memory + 8, *other = memory + at;
        if (at > 8 - O && at < 8 + D) {
            FAILS(INVALID_ARGUMENT, "overlaps", projection_model_project, model, query, D, other,
                  O, NULL, 0);
        }
        if (at > 8 - heads && at < 8 + D) {
            FAILS(INVALID_ARGUMENT, "overlaps", projection_model_project, model, query, D,
                  out.projected, O, other, heads);
        }
        if (at > 8 - heads && at < 8 + O) {
            FAILS(INVALID_ARGUMENT, "overlaps", projection_model_project, model, queries, D,
                  query, O, other, heads);
        }
        if (at + N * O > 8 && at < 8 + N * D) {
            FAILS(INVALID_ARGUMENT, "overlaps", projection_model_project_batch, model, query, N,
                  D, other, N * O, NULL, 0);
        }
    }
    for (i = 0; i < 64; i++) {
        CHECK(memory[i] == (float)(i + 1));
    }
    inside = (size_t *)(void *)&out.hits[1];
    FAILS(INVALID_ARGUMENT, "overlaps", projection_index_search, index_, model, queries, D, K,
          out.hits, K, inside);
    FAILS(INVALID_ARGUMENT, "overlaps", projection_index_search_batch, index_, model, queries, N,
          D, K, out.hits, N * K, inside);
    FAILS(INVALID_ARGUMENT, "overlaps", projection_index_search, index_, model,
          (const float *)(const void *)out.hits, D, K, out.hits, K, &out.found);
    FAILS(INVALID_ARGUMENT, "overlaps", projection_index_search_batch, index_, model,
          (const float *)(const void *)out.hits, N, D, K, out.hits, N * K, &out.found);
    inside = (size_t *)(void *)out.weights;
    FAILS(INVALID_ARGUMENT, "overlaps", projection_index_search, index_, model, out.weights, D, K,
          out.hits, K, inside);
    FAILS(INVALID_ARGUMENT, "overlaps", projection_index_search_batch, index_, model, out.weights,
          N, D, K, out.hits, N * K, inside);
    check_untouched();

    /* Touching is not overlapping. */
    SUCCEEDS(projection_model_project, model, memory, D, memory + D, O, memory + D + O, heads);
    SUCCEEDS(projection_model_project, model, memory + 32, D, memory + 32 - O, O, NULL, 0);
}

/* An address inside `memory` that no number starts at. The conversion is what is tested. */
#define MISALIGNED(type) ((type *)(void *)(memory + 1))

static void misaligned(void)
{
    static char memory[1024];
    const float *q = queries;
    float *p = out.projected;
    FAILS(INVALID_ARGUMENT, "aligned", projection_array_load, array_path,
          MISALIGNED(projection_array *));
    FAILS(INVALID_ARGUMENT, "aligned", projection_model_load, model_path, 1, 0.1,
          MISALIGNED(projection_model *));
    FAILS(INVALID_ARGUMENT, "aligned", projection_model_open, database, 1,
          MISALIGNED(projection_model *));
    FAILS(INVALID_ARGUMENT, "aligned", projection_model_with_temperature, model, 1,
          MISALIGNED(projection_model *));
    FAILS(INVALID_ARGUMENT, "aligned", projection_model_head_ids, model, MISALIGNED(int64_t),
          heads);
    FAILS(INVALID_ARGUMENT, "aligned", projection_model_project, model, MISALIGNED(float), D, p,
          O, NULL, 0);
    FAILS(INVALID_ARGUMENT, "aligned", projection_model_project, model, q, D, MISALIGNED(float),
          O, NULL, 0);
    FAILS(INVALID_ARGUMENT, "aligned", projection_model_project, model, q, D, p, O,
          MISALIGNED(float), heads);
    FAILS(INVALID_ARGUMENT, "aligned", projection_index_open, database, NULL,
          MISALIGNED(projection_index *));
    FAILS(INVALID_ARGUMENT, "aligned", projection_index_from_vectors, MISALIGNED(int64_t), q, N,
          O, &out.index);
    FAILS(INVALID_ARGUMENT, "aligned", projection_index_from_vectors, ids, MISALIGNED(float), N,
          O, &out.index);
    FAILS(INVALID_ARGUMENT, "aligned", projection_index_search, index_, model, q, D, K,
          MISALIGNED(projection_hit), K, &out.found);
    FAILS(INVALID_ARGUMENT, "aligned", projection_index_search, index_, model, q, D, K, out.hits,
          K, MISALIGNED(size_t));
    /* Where the error can't be stored, the status still comes. */
    CHECK(projection_model_project(model, q, 1, p, O, NULL, 0, MISALIGNED(projection_error *)) ==
          DIMENSION_MISMATCH);
    check_untouched();
}

int main(int argc, char **argv)
{
    group("setting up");
    open_all(argc == 2 ? argv[1] : (stop("usage: arguments FOLDER"), ""));
    fill_outputs();
    group("NULL for a handle of functions without a status");
    null_handles();
    group("NULL for every other argument");
    null_arguments();
    null_arguments_beside_options();
    group("NULL for what may be NULL");
    optional_arguments();
    changes();
    optional_arguments_beside_options();
    group("wrong options");
    wrong_options();
    group("wrong lengths");
    wrong_lengths();
    group("wrong numbers of vectors");
    wrong_numbers_of_vectors();
    group("arrays that overlap");
    overlaps();
    group("misaligned addresses");
    misaligned();
    projection_index_free(index_);
    projection_model_free(model);
    free(array_path);
    free(model_path);
    free(database);
    return finish();
}
