/*
 * NULL, wrong lengths, overlaps and misaligned addresses for every function that takes a
 * pointer, except those of the embedding model (embedder.c). usage: arguments FOLDER
 */
#include "errors.h"

#include <stdlib.h>

/* A model of 8 dimensions to 3, and 2 vectors to search. */
enum { D = 8, O = 3, N = 2, K = 2 };

static projection_model *model;
static projection_searcher *searcher_;
static char *array_path, *model_path, *database;
static size_t heads;
static const float queries[N * D] = {1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1};
static const int64_t ids[N] = {7, 3};
static const projection_search_options plain = {sizeof plain, 0, 0, 0, 0, 0, 0, 0, 0};
static projection_hit found[N * K];

static void open_all(const char *root)
{
    static const float vectors[N * O] = {1, 2, 3, 3, 2, 1};
    array_path = join(root, "cases/d8_to_d3-t0.1/queries.npy");
    model_path = join(root, "models/d8_to_d3");
    database = join(root, "legacy_store/lda.db");
    SUCCEEDS(projection_model_load, model_path, 1, 0.1, &model);
    SUCCEEDS(projection_searcher_from_vectors, ids, vectors, N, O, &searcher_);
    heads = projection_model_num_heads(model);
    CHECK(projection_model_input_dim(model) == D && projection_model_output_dim(model) == O);
}

static void null_handles(void)
{
    NULL_HANDLE(projection_array_ndim, array, projection_array_ndim(NULL) == 0);
    NULL_HANDLE(projection_array_shape, array, projection_array_shape(NULL, 0) == 0);
    NULL_HANDLE(projection_array_len, array, projection_array_len(NULL) == 0);
    NULL_HANDLE(projection_array_data, array, projection_array_data(NULL) == NULL);
    NULL_HANDLE(projection_array_free, array, (projection_array_free(NULL), 1));
    NULL_HANDLE(projection_error_code, error, projection_error_code(NULL) == 0);
    NULL_HANDLE(projection_error_message, error, *projection_error_message(NULL) == '\0');
    NULL_HANDLE(projection_error_free, error, (projection_error_free(NULL), 1));
    NULL_HANDLE(projection_searcher_len, searcher, projection_searcher_len(NULL) == 0);
    NULL_HANDLE(projection_searcher_dim, searcher, projection_searcher_dim(NULL) == 0);
    NULL_HANDLE(projection_hits_len, hits, projection_hits_len(NULL) == 0);
    NULL_HANDLE(projection_hits_data, hits, projection_hits_data(NULL) == NULL);
    NULL_HANDLE(projection_hits_free, hits, (projection_hits_free(NULL), 1));
    NULL_HANDLE(projection_searcher_free, searcher, (projection_searcher_free(NULL), 1));
    NULL_HANDLE(projection_model_input_dim, model, projection_model_input_dim(NULL) == 0);
    NULL_HANDLE(projection_model_output_dim, model, projection_model_output_dim(NULL) == 0);
    NULL_HANDLE(projection_model_num_heads, model, projection_model_num_heads(NULL) == 0);
    NULL_HANDLE(projection_model_kind, model,
                projection_model_kind(NULL) == PROJECTION_KIND_UNKNOWN);
    NULL_HANDLE(projection_model_moves_answers, model, !projection_model_moves_answers(NULL));
    NULL_HANDLE(projection_model_precision, model,
                projection_model_precision(NULL) == PROJECTION_PRECISION_UNKNOWN);
    NULL_HANDLE(projection_model_temperature, model, isnan(projection_model_temperature(NULL)));
    NULL_HANDLE(projection_model_free, model, (projection_model_free(NULL), 1));
    NULL_HANDLE(projection_store_free, store, (projection_store_free(NULL), 1));
    NULL_HANDLE(projection_embedder_dim, embedder, projection_embedder_dim(NULL) == 0);
    NULL_HANDLE(projection_embedder_free, embedder, (projection_embedder_free(NULL), 1));
}

static void null_arguments(void)
{
    projection_text *parameters = NULL;
    projection_index_stats stats;
    const float *q = queries;

    memset(&stats, 0, sizeof stats);
    NULL_ARGUMENT(projection_array_load, path, NULL, &out.array);
    NULL_ARGUMENT(projection_array_load, array, array_path, NULL);
    NULL_ARGUMENT(projection_model_load, folder, NULL, 1, 0.1, &out.model);
    NULL_ARGUMENT(projection_model_load, model, model_path, 1, 0.1, NULL);
    NULL_ARGUMENT(projection_model_load_as_trained, folder, NULL, 1, &out.model);
    NULL_ARGUMENT(projection_model_load_as_trained, model, model_path, 1, NULL);
    NULL_ARGUMENT(projection_model_load_file, path, NULL, &out.model);
    NULL_ARGUMENT(projection_model_load_file, model, model_path, NULL);
    NULL_ARGUMENT(projection_model_from_bytes, bytes, NULL, 8, &out.model);
    NULL_ARGUMENT(projection_model_from_bytes, model, (const unsigned char *)"12345678", 8, NULL);
    NULL_ARGUMENT(projection_model_save_file, model, NULL, "m.safetensors");
    NULL_ARGUMENT(projection_model_save_file, path, model, NULL);
    NULL_ARGUMENT(projection_model_parameters, model, NULL, &parameters);
    NULL_ARGUMENT(projection_model_parameters, text, model, NULL);
    CHECK(parameters == NULL);
    FAILS(PROJECTION_STATUS_INVALID_MODEL, "damaged",
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
    NULL_ARGUMENT(projection_model_build_index, model, NULL, 1, NULL, NULL, &out.model);
    NULL_ARGUMENT(projection_model_build_index, copy, model, 1, NULL, NULL, NULL);
    NULL_ARGUMENT(projection_model_index_stats, model, NULL, &stats);
    NULL_ARGUMENT(projection_model_index_stats, stats, model, NULL);
    NULL_ARGUMENT(projection_model_project, model, NULL, q, D, out.projected, O, NULL, 0);
    NULL_ARGUMENT(projection_model_project, query, model, NULL, D, out.projected, O, NULL, 0);
    NULL_ARGUMENT(projection_model_project, projected, model, q, D, NULL, O, NULL, 0);
    /* Routing weights that are not there can't have a length. */
    FAILS(INVALID_ARGUMENT, "argument weights is NULL", projection_model_project, model, q, D,
          out.projected, O, NULL, heads);
    NULL_ARGUMENT(projection_model_project_batch, model, NULL, q, N, D, out.projected, N * O,
                  NULL, 0, 2, NULL, NULL);
    NULL_ARGUMENT(projection_model_project_batch, queries, model, NULL, N, D, out.projected,
                  N * O, NULL, 0, 2, NULL, NULL);
    NULL_ARGUMENT(projection_model_project_batch, projected, model, q, N, D, NULL, N * O, NULL,
                  0, 2, NULL, NULL);
    FAILS(INVALID_ARGUMENT, "argument weights is NULL", projection_model_project_batch, model,
          q, N, D, out.projected, N * O, NULL, N * heads, 2, NULL, NULL);
    NULL_ARGUMENT(projection_searcher_ids, searcher, NULL, out.ids, N);
    NULL_ARGUMENT(projection_searcher_ids, ids, searcher_, NULL, N);
    FAILS(BUFFER_SIZE, "ids", projection_searcher_ids, searcher_, out.ids, N + 1);
    NULL_ARGUMENT(projection_searcher_vectors, searcher, NULL, NULL, out.projected, N * O);
    NULL_ARGUMENT(projection_searcher_vectors, vectors, searcher_, NULL, NULL, N * O);
    FAILS(BUFFER_SIZE, "vectors", projection_searcher_vectors, searcher_, NULL, out.projected, 1);
    NULL_ARGUMENT(projection_searcher_from_vectors, ids, NULL, q, N, O, &out.searcher);
    NULL_ARGUMENT(projection_searcher_from_vectors, vectors, ids, NULL, N, O, &out.searcher);
    NULL_ARGUMENT(projection_searcher_from_vectors, searcher, ids, q, N, O, NULL);
    NULL_ARGUMENT(projection_searcher_search, searcher, NULL, model, q, D, NULL, NULL, K,
                  &out.hits);
    NULL_ARGUMENT(projection_searcher_search, query, searcher_, model, NULL, D, NULL, NULL, K,
                  &out.hits);
    NULL_ARGUMENT(projection_searcher_search, hits, searcher_, model, q, D, NULL, NULL, K,
                  NULL);
    NULL_ARGUMENT(projection_searcher_search_batch, searcher, NULL, model, q, N, D, NULL, NULL,
                  K, &out.hits);
    NULL_ARGUMENT(projection_searcher_search_batch, queries, searcher_, model, NULL, N, D,
                  NULL, NULL, K, &out.hits);
    NULL_ARGUMENT(projection_searcher_search_batch, hits, searcher_, model, q, N, D, NULL,
                  NULL, K, NULL);
    check_untouched();
}

/* Adding, removing and the approximate index. The searcher is as it was at the end. */
static void changes(void)
{
    static const int64_t new_ids[1] = {900};
    static const int64_t twice[2] = {900, 900};
    static const char *const texts[1] = {NULL}, *const broken[1] = {"\xff"};
    static const char *const words[2] = {"new", "other"};
    char *text;
    const float *q = queries;
    projection_search_options some = plain;
    projection_index_stats stats = {0, 0, 0};
    size_t removed = 0;
    NULL_ARGUMENT(projection_searcher_add, searcher, NULL, new_ids, q, 1, O, NULL);
    NULL_ARGUMENT(projection_searcher_add, ids, searcher_, NULL, q, 1, O, NULL);
    NULL_ARGUMENT(projection_searcher_add, vectors, searcher_, new_ids, NULL, 1, O, NULL);
    OPTIONAL_ARGUMENT(projection_searcher_add, texts, searcher_, new_ids, q, 1, O, NULL);
    FAILS(INVALID_ARGUMENT, "two vectors with the id 900", projection_searcher_add, searcher_, new_ids,
          q, 1, O, texts);
    FAILS(DIMENSION_MISMATCH, "vectors", projection_searcher_add, searcher_, ids, q, N, O + 1, NULL);
    CHECK(projection_searcher_len(searcher_) == N + 1);
    NULL_ARGUMENT(projection_searcher_replace, searcher, NULL, new_ids, q, 1, O, NULL);
    NULL_ARGUMENT(projection_searcher_replace, ids, searcher_, NULL, q, 1, O, NULL);
    NULL_ARGUMENT(projection_searcher_replace, vectors, searcher_, new_ids, NULL, 1, O, NULL);
    FAILS(INVALID_ARGUMENT, "two vectors with the id 900", projection_searcher_replace, searcher_,
          twice, q, 2, O, words);
    FAILS(INVALID_ARGUMENT, "UTF-8", projection_searcher_replace, searcher_, new_ids, q, 1, O,
          broken);
    SUCCEEDS(projection_searcher_replace, searcher_, new_ids, q, 1, O, words);
    text = answer_text(searcher_, 900);
    CHECK(text != NULL && strcmp(text, "new") == 0 && projection_searcher_len(searcher_) == N + 1);
    free(text);
    OPTIONAL_ARGUMENT(projection_searcher_replace, texts, searcher_, new_ids, q, 1, O, NULL);
    CHECK(answer_text(searcher_, 900) == NULL && projection_searcher_len(searcher_) == N + 1);
    NULL_ARGUMENT(projection_searcher_text, searcher, NULL, 900, &out.text);
    NULL_ARGUMENT(projection_searcher_text, text, searcher_, 900, NULL);
    some.allowed = new_ids;
    some.allowed_len = 1;
    SUCCEEDS(projection_searcher_search, searcher_, NULL, q, O, NULL, &some, K, &out.hits);
    CHECK(take_hits(out.hits, found, K) == 1 && found[0].answer_id == 900);
    some.allowed_len = 0;
    SUCCEEDS(projection_searcher_search_batch, searcher_, NULL, q, N, O, NULL, &some, K,
             &out.hits);
    CHECK(take_hits(out.hits, NULL, 0) == 0);
    some.allowed = NULL;
    some.allowed_len = 1;
    FAILS(INVALID_ARGUMENT, "options.allowed is NULL", projection_searcher_search, searcher_,
          NULL, q, O, NULL, &some, K, &out.hits);
    NULL_ARGUMENT(projection_searcher_remove, searcher, NULL, new_ids, 1, &removed);
    NULL_ARGUMENT(projection_searcher_remove, ids, searcher_, NULL, 1, &removed);
    SUCCEEDS(projection_searcher_remove, searcher_, new_ids, 1, &removed);
    CHECK(removed == 1 && projection_searcher_len(searcher_) == N);
    OPTIONAL_ARGUMENT(projection_searcher_remove, removed, searcher_, new_ids, 1, NULL);
    NULL_ARGUMENT(projection_searcher_build_index, searcher, NULL, model, q, N, D, 1,
                  NULL, NULL, &stats);
    NULL_ARGUMENT(projection_searcher_build_index, queries, searcher_, model, NULL, N, D,
                  1, NULL, NULL, &stats);
    FAILS(DIMENSION_MISMATCH, "queries", projection_searcher_build_index, searcher_, model, q, 1, D + 1, 1, NULL, NULL,
          &stats);
    OPTIONAL_ARGUMENT(projection_searcher_build_index, model, searcher_, NULL, q, N, O, 1,
                      NULL, NULL, &stats);
    OPTIONAL_ARGUMENT(projection_searcher_build_index, context, searcher_, NULL, q, N, O, 1,
                      stop_at_once, NULL, &stats);
    OPTIONAL_ARGUMENT(projection_searcher_build_index, stats, searcher_, model, NULL, 0, 0, 1,
                      NULL, NULL, NULL);
    CHECK(stats.lists == 1 && stats.recall >= 1 && stats.read >= 1);
    NULL_HANDLE(projection_searcher_drop_index, searcher, (projection_searcher_drop_index(NULL), 1));
    projection_searcher_drop_index(searcher_);
    fill_outputs();
}

static void null_arguments_beside_options(void)
{
    const float *q = queries;
    const char *const *none = NULL;
    NULL_ARGUMENT(projection_searcher_search, searcher, NULL, model, q, D, NULL, &plain, K,
                  &out.hits);
    NULL_ARGUMENT(projection_searcher_search, query, searcher_, model, NULL, D, NULL, &plain,
                  K, &out.hits);
    NULL_ARGUMENT(projection_searcher_search, hits, searcher_, model, q, D, NULL, &plain, K,
                  NULL);
    NULL_ARGUMENT(projection_searcher_search_batch, searcher, NULL, model, q, N, D, none,
                  &plain, K, &out.hits);
    NULL_ARGUMENT(projection_searcher_search_batch, queries, searcher_, model, NULL, N, D,
                  none, &plain, K, &out.hits);
    NULL_ARGUMENT(projection_searcher_search_batch, hits, searcher_, model, q, N, D, none,
                  &plain, K, NULL);
    NULL_ARGUMENT(projection_searcher_explain, searcher, NULL, model, q, D, NULL, &plain, K,
                  &out.text);
    NULL_ARGUMENT(projection_searcher_explain, query, searcher_, model, NULL, D, NULL, &plain, K,
                  &out.text);
    NULL_ARGUMENT(projection_searcher_explain, result, searcher_, model, q, D, NULL, &plain, K,
                  NULL);
    check_untouched();
}

static void optional_arguments_beside_options(void)
{
    projection_text *text = NULL;
    OPTIONAL_ARGUMENT(projection_searcher_search, model, searcher_, NULL, queries, O, "words",
                      &plain, K, &out.hits);
    projection_hits_free(out.hits);
    OPTIONAL_ARGUMENT(projection_searcher_search, text, searcher_, model, queries, D, NULL,
                      &plain, K, &out.hits);
    projection_hits_free(out.hits);
    OPTIONAL_ARGUMENT(projection_searcher_search, options, searcher_, model, queries, D,
                      "words", NULL, K, &out.hits);
    projection_hits_free(out.hits);
    OPTIONAL_ARGUMENT(projection_searcher_search_batch, model, searcher_, NULL, queries, N, O,
                      NULL, &plain, K, &out.hits);
    projection_hits_free(out.hits);
    OPTIONAL_ARGUMENT(projection_searcher_search_batch, texts, searcher_, model, queries, N, D,
                      NULL, &plain, K, &out.hits);
    projection_hits_free(out.hits);
    OPTIONAL_ARGUMENT(projection_searcher_search_batch, options, searcher_, model, queries, N,
                      D, NULL, NULL, K, &out.hits);
    projection_hits_free(out.hits);
    OPTIONAL_ARGUMENT(projection_searcher_explain, text, searcher_, model, queries, D, NULL, &plain, K,
                      &text);
    projection_text_free(text);
    OPTIONAL_ARGUMENT(projection_searcher_explain, options, searcher_, model, queries, D, NULL, NULL,
                      K, &text);
    projection_text_free(text);
    OPTIONAL_ARGUMENT(projection_searcher_explain, model, searcher_, NULL, queries, O, NULL, &plain, K,
                      &text);
    projection_text_free(text);
    fill_outputs();
}

/* Stores: every function with NULL, and with what else is wrong. */
static void store_arguments(void)
{
    static const char *const wrong[] = {"{\"mode\": \"append\"}", "{\"mode\": 1}", "[]", "{", "\xff"};
    projection_store *store = NULL;
    projection_searcher *searcher = NULL;
    projection_model *opened = NULL;
    projection_text *text = NULL;
    projection_index_stats stats = {0, 0, 0};
    int64_t *all;
    float *vectors;
    size_t i, n;
    NULL_ARGUMENT(projection_store_open, database, NULL, NULL, &out.store);
    NULL_ARGUMENT(projection_store_open, store, database, NULL, NULL);
    FAILS(INVALID_ARGUMENT, "unknown field `mod`", projection_store_open, database,
          "{\"mod\": \"read\"}", &out.store);
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        FAILS(INVALID_ARGUMENT, "argument options", projection_store_open, database, wrong[i],
              &out.store);
    }
    OPTIONAL_ARGUMENT(projection_store_open, options, database, NULL, &store);
    NULL_ARGUMENT(projection_store_model, store, NULL, 1, 0, &out.model);
    NULL_ARGUMENT(projection_store_model, model, store, 1, 0, NULL);
    FAILS(INVALID_ARGUMENT, "kind is 9", projection_store_model, store, 1, 9, &out.model);
    NULL_ARGUMENT(projection_store_active_model, store, NULL, NULL, &out.model);
    NULL_ARGUMENT(projection_store_active_model, model, store, NULL, NULL);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "'other'", projection_store_active_model, store, "other",
          &out.model);
    NULL_ARGUMENT(projection_store_change_models, store, NULL, "{}", &out.text);
    NULL_ARGUMENT(projection_store_change_models, change, store, NULL, &out.text);
    NULL_ARGUMENT(projection_store_change_models, result, store, "{}", NULL);
    FAILS(INVALID_ARGUMENT, "action", projection_store_change_models, store, "{\"id\": 1}",
          &out.text);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "99", projection_store_change_models, store,
          "{\"action\": \"delete\", \"id\": 99}", &out.text);
    NULL_ARGUMENT(projection_store_searcher, store, NULL, NULL, &out.searcher);
    NULL_ARGUMENT(projection_store_searcher, searcher, store, NULL, NULL);
    NULL_ARGUMENT(projection_store_head_searcher, store, NULL, 1, &out.searcher);
    NULL_ARGUMENT(projection_store_head_searcher, searcher, store, 1, NULL);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "99", projection_store_head_searcher, store, 99,
          &out.searcher);
    NULL_ARGUMENT(projection_store_models, store, NULL, &out.text);
    NULL_ARGUMENT(projection_store_models, result, store, NULL);
    NULL_ARGUMENT(projection_store_embedding_models, store, NULL, &out.text);
    NULL_ARGUMENT(projection_store_embedding_models, result, store, NULL);
    NULL_ARGUMENT(projection_store_warnings, store, NULL, &out.text);
    NULL_ARGUMENT(projection_store_warnings, result, store, NULL);
    NULL_ARGUMENT(projection_store_clusters, store, NULL, &out.text);
    NULL_ARGUMENT(projection_store_clusters, result, store, NULL);
    NULL_ARGUMENT(projection_store_answers, store, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_store_answers, result, store, NULL, NULL);
    NULL_ARGUMENT(projection_store_metadata, store, NULL, &out.text);
    NULL_ARGUMENT(projection_store_metadata, result, store, NULL);
    NULL_ARGUMENT(projection_store_fingerprint, store, NULL, &out.text);
    NULL_ARGUMENT(projection_store_fingerprint, result, store, NULL);
    NULL_ARGUMENT(projection_store_log_feedback, store, NULL, "[]", &out.text);
    NULL_ARGUMENT(projection_store_log_feedback, entries, store, NULL, &out.text);
    NULL_ARGUMENT(projection_store_log_feedback, result, store, "[]", NULL);
    FAILS(INVALID_ARGUMENT, "unknown field `question`", projection_store_log_feedback, store,
          "[{\"question\": \"why?\"}]", &out.text);
    NULL_ARGUMENT(projection_store_vectors, store, NULL, NULL, ids, 1, out.projected, 32);
    NULL_ARGUMENT(projection_store_vectors, ids, store, NULL, NULL, 1, out.projected, 32);
    NULL_ARGUMENT(projection_store_vectors, vectors, store, NULL, ids, 1, NULL, 32);
    FAILS(BUFFER_SIZE, "vectors", projection_store_vectors, store, NULL, ids, 1, out.projected, 31);
    NULL_ARGUMENT(projection_store_build_index, store, NULL, 1, 1, NULL, NULL, &stats);
    NULL_ARGUMENT(projection_store_index_stats, store, NULL, 1, &stats);
    check_untouched();

    OPTIONAL_ARGUMENT(projection_store_build_index, stats, store, 1, 1, NULL, NULL, NULL);
    OPTIONAL_ARGUMENT(projection_store_build_index, context, store, 1, 1, stop_at_once, NULL,
                      &stats);
    OPTIONAL_ARGUMENT(projection_store_index_stats, stats, store, 1, NULL);
    SUCCEEDS(projection_store_index_stats, store, 1, &stats);
    CHECK(stats.lists == 1 && stats.recall == 1.0 && stats.read == 1.0);
    OPTIONAL_ARGUMENT(projection_store_searcher, model_name, store, NULL, &searcher);
    n = projection_searcher_len(searcher);
    CHECK(n > 0 && projection_searcher_dim(searcher) == 32);
    all = (int64_t *)allocate(n * sizeof *all);
    vectors = (float *)allocate(n * 32 * sizeof *vectors);
    SUCCEEDS(projection_searcher_ids, searcher, all, n);
    OPTIONAL_ARGUMENT(projection_searcher_vectors, model, searcher, NULL, vectors, n * 32);
    OPTIONAL_ARGUMENT(projection_store_vectors, model_name, store, NULL, all, n, vectors, n * 32);
    CHECK(vectors[0] != 0);
    OPTIONAL_ARGUMENT(projection_store_answers, model_name, store, NULL, &text);
    CHECK(strncmp(projection_text_data(text), "[{\"answer_id\":", 14) == 0);
    projection_text_free(text);
    projection_searcher_free(searcher);
    searcher = NULL;
    SUCCEEDS(projection_store_head_searcher, store, 1, &searcher);
    OPTIONAL_ARGUMENT(projection_store_active_model, model_name, store, NULL, &opened);
    CHECK(projection_searcher_len(searcher) > 0 && projection_model_input_dim(opened) == 32);
    projection_searcher_free(searcher);
    projection_model_free(opened);
    SUCCEEDS(projection_store_models, store, &text);
    CHECK(strstr(projection_text_data(text), "\"kind\":\"multi_head\"") != NULL);
    projection_text_free(text);
    projection_store_free(store);
    free(all);
    free(vectors);
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
    /* Version 1 ends before `allowed`; every size from there on is accepted. */
    const size_t first = offsetof(projection_search_options, allowed);
    const size_t sizes[] = {0, 1, sizeof(size_t), first - 1, 4097, SIZE_MAX};
    const double weights[] = {-0.5, 1.5, NAN, INFINITY};
    size_t i;
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        options.size = sizes[i];
        FAILS(INVALID_ARGUMENT, "options.size", projection_searcher_search, searcher_, model,
              queries, D, NULL, &options, K, &out.hits);
    }
    options = plain;
    for (i = 0; i < sizeof weights / sizeof *weights; i++) {
        options.hybrid_weight = weights[i];
        FAILS(INVALID_ARGUMENT, "from 0 to 1", projection_searcher_search, searcher_, model,
              queries, D, "words", &options, K, &out.hits);
    }
    /* What a searcher without texts and clusters cannot do. */
    options.hybrid_weight = PROJECTION_HYBRID_WEIGHT_OF_MODEL;
    FAILS(INVALID_ARGUMENT, "texts", projection_searcher_search, searcher_, model, queries, D,
          "words", &options, K, &out.hits);
    FAILS(INVALID_ARGUMENT, "text", projection_searcher_search_batch, searcher_, model,
          queries, N, D, NULL, &options, K, &out.hits);
    options = plain;
    options.unseen_offset = 0.5;
    FAILS(INVALID_ARGUMENT, "clusters", projection_searcher_explain, searcher_, model, queries, D, NULL,
          &options, K, &out.text);
    options = plain;
    options.score_mode = PROJECTION_SCORE_MODE_MAX_NEAREST_QUESTION;
    FAILS(INVALID_ARGUMENT, "residual", projection_searcher_explain, searcher_, model, queries, D, NULL,
          &options, K, &out.text);
    options.score_mode = 7;
    FAILS(INVALID_ARGUMENT, "score_mode 7", projection_searcher_explain, searcher_, model, queries, D,
          NULL, &options, K, &out.text);
    FAILS(INVALID_ARGUMENT, "UTF-8", projection_searcher_explain, searcher_, model, queries, D, "\xff",
          &plain, K, &out.text);
    FAILS(DIMENSION_MISMATCH, "query", projection_searcher_explain, searcher_, model, queries, O, NULL,
          &plain, K, &out.text);
    options = plain;
    options.progress = stop_at_once;
    FAILS(PROJECTION_STATUS_CANCELLED, "cancelled by the caller",
          projection_searcher_search_batch, searcher_, model, queries, N, D, NULL, &options, K,
          &out.hits);
    options = plain;
    for (i = first; i <= sizeof options; i++) {
        /* Exactly as much memory as the size says. */
        projection_search_options *shorter = (projection_search_options *)allocate(i);
        memcpy(shorter, &plain, i);
        shorter->size = i;
        SUCCEEDS(projection_searcher_search, searcher_, model, queries, D, NULL, shorter, K,
                 &out.hits);
        CHECK(take_hits(out.hits, found, K) == K);
        free(shorter);
    }
    fill_outputs();
    memset(&larger, 0, sizeof larger);
    larger.known.size = sizeof larger;
    larger.unknown[3] = 1;
    FAILS(INVALID_ARGUMENT, "does not know", projection_searcher_search, searcher_, model,
          queries, D, NULL, &larger.known, K, &out.hits);
    check_untouched();
    larger.unknown[3] = 0;
    SUCCEEDS(projection_searcher_search, searcher_, model, queries, D, NULL, &larger.known, K,
             &out.hits);
    CHECK(take_hits(out.hits, found, K) == K);
    fill_outputs();
}

static void optional_arguments(void)
{
    OPTIONAL_ARGUMENT(projection_model_project, weights, model, queries, D, out.projected, O,
                      NULL, 0);
    OPTIONAL_ARGUMENT(projection_model_project_batch, weights, model, queries, N, D,
                      out.projected, N * O, NULL, 0, 1, NULL, NULL);
    OPTIONAL_ARGUMENT(projection_model_project_batch, weights, model, queries, N, D,
                      out.projected, N * O, NULL, 0, 2, NULL, NULL);
    OPTIONAL_ARGUMENT(projection_searcher_search_batch, model, searcher_, NULL, queries, N, O,
                      NULL, NULL, K, &out.hits);
    projection_hits_free(out.hits);
    OPTIONAL_CANCELLED(projection_model_project_batch, context, model, queries, N, D,
                       out.projected, N * O, NULL, 0, 1, stop_at_once, NULL);
    /* So few heads get no index, and take no time. */
    OPTIONAL_ARGUMENT(projection_model_build_index, context, model, 1, stop_at_once, NULL,
                      &out.model);
    projection_model_free(out.model);
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
        FAILS(DIMENSION_MISMATCH, "query", projection_searcher_search, searcher_, model, q,
              length, NULL, NULL, K, &out.hits);
        length = wrong_length(O, i);
        FAILS(DIMENSION_MISMATCH, "query", projection_searcher_search, searcher_, NULL, q,
              length, NULL, NULL, K, &out.hits);
        FAILS(BUFFER_SIZE, "projected", projection_model_project, model, q, D, p, length, w,
              heads);
        length = wrong_length(N * O, i);
        FAILS(BUFFER_SIZE, "projected", projection_model_project_batch, model, q, N, D, p,
              length, w, N * heads, 1, NULL, NULL);
        length = wrong_length(heads, i);
        FAILS(BUFFER_SIZE, "ids", projection_model_head_ids, model, out.ids, length);
        FAILS(BUFFER_SIZE, "weights", projection_model_project, model, q, D, p, O, w, length);
        length = wrong_length(N * heads, i);
        FAILS(BUFFER_SIZE, "weights", projection_model_project_batch, model, q, N, D, p, N * O,
              w, length, 1, NULL, NULL);
        FAILS(BUFFER_SIZE, "weights", projection_model_project_batch, model, q, N, D, p, N * O,
              w, length, 2, NULL, NULL);
        length = wrong_length(N * K, i);
    }
    for (i = 0; i < WRONG_LENGTHS; i++) {
        /* Twice this dimension overflows for some, and is a wrong dimension for all. */
        projection_error *error = NULL;
        projection_status status;
        length = wrong_length(D, i);
        status = projection_model_project_batch(model, q, N, length, p, N * O, w, N * heads, 1,
                                                NULL, NULL, &error);
        CHECK(status == (length > SIZE_MAX / N ? INVALID_ARGUMENT : DIMENSION_MISMATCH));
        check_status(status, status, error, "queries", __FILE__, __LINE__);
        error = NULL;
        status = projection_searcher_search_batch(searcher_, model, q, N, length, NULL, NULL, K,
                                                  &out.hits, &error);
        CHECK(status == (length > SIZE_MAX / N ? INVALID_ARGUMENT : DIMENSION_MISMATCH));
        check_status(status, status, error, "queries", __FILE__, __LINE__);
    }
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
              model, q, n, D, out.projected, O, NULL, 0, 1, NULL, NULL);
        FAILS(INVALID_ARGUMENT, "more than memory can hold", projection_searcher_search_batch,
              searcher_, model, q, n, D, NULL, NULL, 1, &out.hits);
        FAILS(INVALID_ARGUMENT, "", projection_searcher_from_vectors, ids, q, n, O, &out.searcher);
        FAILS(INVALID_ARGUMENT, "", projection_searcher_from_vectors, ids, q, n, 0, &out.searcher);
        /* Vectors without values take no memory, however many there are. */
        FAILS(DIMENSION_MISMATCH, "queries", projection_model_project_batch, model, q, n, 0,
              out.projected, O, NULL, 0, 1, NULL, NULL);
        FAILS(DIMENSION_MISMATCH, "queries", projection_searcher_search_batch, searcher_,
              model, q, n, 0, NULL, NULL, 0, &out.hits);
    }
    FAILS(INVALID_ARGUMENT, "dimension 0", projection_searcher_from_vectors, ids, q, N, 0,
          &out.searcher);
    check_untouched();
}

static void overlaps(void)
{
    /* All in one piece of memory, at every distance up to touching each other. */
    float memory[64];
    size_t at, i;
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
            FAILS(INVALID_ARGUMENT, "overlaps", projection_model_project_batch, model, query,
                  N, D, other, N * O, NULL, 0, 1, NULL, NULL);
        }
    }
    for (i = 0; i < 64; i++) {
        CHECK(memory[i] == (float)(i + 1));
    }
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
    FAILS(INVALID_ARGUMENT, "aligned", open_model, database, 1,
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
    FAILS(INVALID_ARGUMENT, "aligned", open_searcher, database, NULL,
          MISALIGNED(projection_searcher *));
    FAILS(INVALID_ARGUMENT, "aligned", projection_searcher_from_vectors, MISALIGNED(int64_t), q, N,
          O, &out.searcher);
    FAILS(INVALID_ARGUMENT, "aligned", projection_searcher_from_vectors, ids, MISALIGNED(float), N,
          O, &out.searcher);
    FAILS(INVALID_ARGUMENT, "aligned", projection_searcher_search, searcher_, model, q, D,
          NULL, NULL, K, MISALIGNED(projection_hits *));
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
    store_arguments();
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
    projection_searcher_free(searcher_);
    projection_model_free(model);
    free(array_path);
    free(model_path);
    free(database);
    return finish();
}
