/*
 * A panic inside the library ends at the call. The library is built with the feature
 * `inject-panics`, so that the function that PROJECTION_PANIC_IN names panics; an ordinary
 * library takes no notice. usage: panics injected|ordinary CONFORMANCE MODEL_FOLDER FIXTURES
 *
 * check_header.py sees to it that each function of the header is here.
 */
#define _POSIX_C_SOURCE 200809L

#include "errors.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int injected;

static void panic_in(const char *function)
{
    if (setenv("PROJECTION_PANIC_IN", function, 1) != 0) {
        stop("can't set the environment");
    }
}

static void panic_nowhere(void)
{
    unsetenv("PROJECTION_PANIC_IN");
}

/* A valid call of a function with a status. */
#define PANICS(function, ...)                                                                  \
    do {                                                                                       \
        projection_error *error_ = NULL;                                                       \
        projection_status status_;                                                             \
        panic_in(#function);                                                                   \
        status_ = function(__VA_ARGS__, &error_);                                              \
        panic_nowhere();                                                                       \
        check_panic(status_, error_, #function);                                               \
        if (injected) {                                                                        \
            panic_in(#function);                                                               \
            CHECK(function(__VA_ARGS__, NULL) == PROJECTION_STATUS_PANIC);                     \
            panic_nowhere();                                                                   \
            check_untouched();                                                                 \
        }                                                                                      \
        check_alive();                                                                         \
    } while (0)

/* A function without a status: what it gives for a panic, and what else. */
#define FALLS_BACK(function, fallback, otherwise)                                              \
    do {                                                                                       \
        int right_;                                                                            \
        panic_in(#function);                                                                   \
        right_ = injected ? (fallback) : (otherwise);                                          \
        panic_nowhere();                                                                       \
        check_at(right_, __FILE__, __LINE__, #function ": wrong value");                       \
        check_alive();                                                                         \
    } while (0)

/* A function that frees, which it does even if it panics. */
#define FREES(function, handle)                                                                \
    do {                                                                                       \
        panic_in(#function);                                                                   \
        function(handle);                                                                      \
        panic_nowhere();                                                                       \
        check_alive();                                                                         \
    } while (0)

static void check_panic(projection_status status, projection_error *error, const char *function)
{
    if (injected) {
        check_status(status, PROJECTION_STATUS_PANIC, error, function, function, 0);
    } else {
        check_status(status, PROJECTION_STATUS_OK, error, "", function, 0);
    }
}

static projection_model *model;

/* The library goes on working. */
static void check_alive(void)
{
    CHECK(projection_model_num_heads(model) == 4);
    CHECK(projection_version()[0] != '\0');
}

static projection_error *an_error(void)
{
    projection_error *error = NULL;
    projection_model *none = NULL;
    CHECK(projection_model_load("no/such/folder", 1, 0.1, &none, &error) != 0);
    return error;
}

static void arrays(const char *path)
{
    projection_array *array = NULL;
    PANICS(projection_array_load, path, &out.array);
    if (!injected) {
        projection_array_free(out.array);
    }
    SUCCEEDS(projection_array_load, path, &array);
    FALLS_BACK(projection_array_ndim, projection_array_ndim(array) == 0,
               projection_array_ndim(array) == 2);
    FALLS_BACK(projection_array_shape, projection_array_shape(array, 1) == 0,
               projection_array_shape(array, 1) == 8);
    FALLS_BACK(projection_array_len, projection_array_len(array) == 0,
               projection_array_len(array) == 64);
    FALLS_BACK(projection_array_data, projection_array_data(array) == NULL,
               projection_array_data(array) != NULL);
    FREES(projection_array_free, array);
}

static void errors(void)
{
    projection_error *error = an_error();
    FALLS_BACK(projection_error_code, projection_error_code(error) == PROJECTION_STATUS_PANIC,
               projection_error_code(error) == PROJECTION_STATUS_NOT_FOUND);
    FALLS_BACK(projection_error_message, *projection_error_message(error) == '\0',
               strstr(projection_error_message(error), "no/such/folder") != NULL);
    FREES(projection_error_free, error);
    FALLS_BACK(projection_status_name, *projection_status_name(5) == '\0',
               strcmp(projection_status_name(5), "not found") == 0);
    FALLS_BACK(projection_version, *projection_version() == '\0', *projection_version() != '\0');
}

static void models(const char *folder, const char *residual)
{
    static const float queries[16] = {1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1};
    projection_model *other = NULL;
    projection_index_stats stats = {0, 0, 0};
    fill_outputs();
    PANICS(projection_model_load, folder, 1, 0.1, &out.model);
    if (!injected) {
        projection_model_free(out.model);
    }
    PANICS(projection_model_load_as_trained, residual, 3, &out.model);
    if (!injected) {
        projection_model_free(out.model);
    }
    PANICS(projection_model_with_temperature, model, 0.5, &out.model);
    if (!injected) {
        projection_model_free(out.model);
    }
    PANICS(projection_model_with_precision, model, PROJECTION_PRECISION_F32, &out.model);
    if (!injected) {
        projection_model_free(out.model);
    }
    PANICS(projection_model_build_index, model, 1, NULL, NULL, &out.model);
    if (!injected) {
        projection_model_free(out.model);
    }
    PANICS(projection_model_index_stats, model, &stats);
    PANICS(projection_model_head_ids, model, out.ids, 4);
    PANICS(projection_model_project, model, queries, 8, out.projected, 8, out.weights, 4);
    PANICS(projection_model_project_batch, model, queries, 2, 8, out.projected, 16,
           out.weights, 8, 1, NULL, NULL);
    PANICS(projection_model_project_batch, model, queries, 2, 8, out.projected, 16,
           out.weights, 8, 2, NULL, NULL);
    FALLS_BACK(projection_model_moves_answers, !projection_model_moves_answers(model),
               !projection_model_moves_answers(model));
    FALLS_BACK(projection_model_precision,
               projection_model_precision(model) == PROJECTION_PRECISION_UNKNOWN,
               projection_model_precision(model) == PROJECTION_PRECISION_F32);
    FALLS_BACK(projection_model_input_dim, projection_model_input_dim(model) == 0,
               projection_model_input_dim(model) == 8);
    FALLS_BACK(projection_model_output_dim, projection_model_output_dim(model) == 0,
               projection_model_output_dim(model) == 8);
    FALLS_BACK(projection_model_num_heads, projection_model_num_heads(model) == 0,
               projection_model_num_heads(model) == 4);
    FALLS_BACK(projection_model_kind, projection_model_kind(model) == PROJECTION_KIND_UNKNOWN,
               projection_model_kind(model) == PROJECTION_KIND_MULTI_HEAD);
    FALLS_BACK(projection_model_temperature, isnan(projection_model_temperature(model)),
               projection_model_temperature(model) == 0.1);
    SUCCEEDS(projection_model_with_temperature, model, 0.5, &other);
    FREES(projection_model_free, other);
}

/* Frees the text of a call that did not panic. */
static void drop_text(void)
{
    if (!injected) {
        projection_text_free(out.text);
    }
}

static void searchers(const char *database)
{
    static const float vectors[16] = {1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1};
    static const int64_t ids[2] = {1, 2}, new_id = 3;
    projection_searcher *index = NULL;
    projection_hits *hits = NULL;
    fill_outputs();
    PANICS(projection_searcher_from_vectors, ids, vectors, 2, 8, &out.searcher);
    if (!injected) {
        projection_searcher_free(out.searcher);
    }
    SUCCEEDS(projection_searcher_from_vectors, ids, vectors, 2, 8, &index);
    PANICS(projection_searcher_search, index, model, vectors, 8, NULL, NULL, 2, &out.hits);
    if (!injected) {
        projection_hits_free(out.hits);
    }
    PANICS(projection_searcher_search_batch, index, model, vectors, 2, 8, NULL, NULL, 2,
           &out.hits);
    if (!injected) {
        projection_hits_free(out.hits);
    }
    SUCCEEDS(projection_searcher_search, index, model, vectors, 8, NULL, NULL, 2, &hits);
    FALLS_BACK(projection_hits_len, projection_hits_len(hits) == 0,
               projection_hits_len(hits) == 2);
    FALLS_BACK(projection_hits_data, projection_hits_data(hits) == NULL,
               projection_hits_data(hits) != NULL);
    FREES(projection_hits_free, hits);
    PANICS(projection_searcher_ids, index, out.ids, 2);
    PANICS(projection_searcher_vectors, index, model, out.projected, 16);
    PANICS(projection_searcher_add, index, &new_id, vectors, 1, 8, NULL);
    PANICS(projection_searcher_replace, index, &new_id, vectors, 1, 8, NULL);
    PANICS(projection_searcher_remove, index, &new_id, 1, NULL);
    PANICS(projection_searcher_build_index, index, NULL, NULL, 0, 0, 1, NULL, NULL, NULL);
    FREES(projection_searcher_drop_index, index);
    FALLS_BACK(projection_searcher_len, projection_searcher_len(index) == 0,
               projection_searcher_len(index) == 2);
    FALLS_BACK(projection_searcher_dim, projection_searcher_dim(index) == 0,
               projection_searcher_dim(index) == 8);
    FREES(projection_searcher_free, index);
    index = NULL;
    SUCCEEDS(open_searcher, database, NULL, &index);
    PANICS(projection_searcher_text, index, 1, &out.text);
    drop_text();
    projection_searcher_free(index);
}

static void stores(const char *database)
{
    projection_store *store = NULL;
    projection_index_stats stats = {0, 0, 0};
    float *vectors = (float *)allocate(32 * sizeof *vectors);
    int64_t id, *ids;
    projection_searcher *searcher = NULL;
    fill_outputs();
    PANICS(projection_store_open, database, NULL, &out.store);
    if (!injected) {
        projection_store_free(out.store);
    }
    SUCCEEDS(projection_store_open, database, NULL, &store);
    PANICS(projection_store_model, store, 1, 0, &out.model);
    if (!injected) {
        projection_model_free(out.model);
    }
    PANICS(projection_store_active_model, store, NULL, &out.model);
    if (!injected) {
        projection_model_free(out.model);
    }
    PANICS(projection_store_searcher, store, NULL, &out.searcher);
    if (!injected) {
        projection_searcher_free(out.searcher);
    }
    PANICS(projection_store_head_searcher, store, 1, &out.searcher);
    if (!injected) {
        projection_searcher_free(out.searcher);
    }
    SUCCEEDS(projection_store_searcher, store, NULL, &searcher);
    ids = (int64_t *)allocate(projection_searcher_len(searcher) * sizeof *ids);
    SUCCEEDS(projection_searcher_ids, searcher, ids, projection_searcher_len(searcher));
    id = ids[0];
    free(ids);
    projection_searcher_free(searcher);
    PANICS(projection_store_vectors, store, NULL, &id, 1, vectors, 32);
    PANICS(projection_store_build_index, store, 1, 1, NULL, NULL, &stats);
    PANICS(projection_store_index_stats, store, 1, &stats);
    PANICS(projection_store_models, store, &out.text);
    drop_text();
    PANICS(projection_store_embedding_models, store, &out.text);
    drop_text();
    PANICS(projection_store_warnings, store, &out.text);
    drop_text();
    PANICS(projection_store_clusters, store, &out.text);
    drop_text();
    PANICS(projection_store_answers, store, NULL, &out.text);
    drop_text();
    PANICS(projection_store_metadata, store, &out.text);
    drop_text();
    PANICS(projection_store_fingerprint, store, &out.text);
    drop_text();
    FREES(projection_store_free, store);
    free(vectors);
}

/* With a residual model, so that there are training questions. */
static void model_files(const char *path)
{
    unsigned char bytes[4096] = {0};
    size_t length = 8;
    projection_text *parameters = NULL;
    FILE *file;
    PANICS(projection_model_parameters, model, &parameters);
    projection_text_free(parameters);
    PANICS(projection_model_save_file, model, path);
    if (!injected) {
        file = fopen(path, "rb");
        length = file == NULL ? 0 : fread(bytes, 1, sizeof bytes, file);
        CHECK(file != NULL && length < sizeof bytes && fclose(file) == 0);
    }
    fill_outputs();
    PANICS(projection_model_load_file, path, &out.model);
    if (!injected) {
        projection_model_free(out.model);
    }
    PANICS(projection_model_from_bytes, bytes, length, &out.model);
    if (!injected) {
        projection_model_free(out.model);
        CHECK(remove(path) == 0);
    }
}

static void explanations(const char *residual)
{
    static const float vectors[16] = {1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1};
    static const int64_t ids[2] = {1, 2};
    static const projection_search_options options = {sizeof options, 0, 0, 0, 0, 0, 0, 0, 0};
    projection_searcher *index = NULL;
    projection_model *moving = NULL;
    fill_outputs();
    SUCCEEDS(projection_searcher_from_vectors, ids, vectors, 2, 8, &index);
    SUCCEEDS(projection_model_load_as_trained, residual, 3, &moving);
    PANICS(projection_searcher_explain, index, moving, vectors, 8, NULL, &options, 2, &out.text);
    drop_text();
    projection_model_free(moving);
    projection_searcher_free(index);
}

static void embedders(const char *folder)
{
    static float vectors[2 * 384];
    static const char *const texts[] = {"one", "two"};
    size_t tokens = 0;
    projection_embedder *embedder = NULL;
    fill_outputs();
    PANICS(projection_embedder_load, folder, &out.embedder);
    if (!injected) {
        projection_embedder_free(out.embedder);
    }
    SUCCEEDS(projection_embedder_load, folder, &embedder);
    PANICS(projection_embedder_embed, embedder, "one", vectors, 384);
    PANICS(projection_embedder_count_tokens, embedder, "one", &tokens);
    CHECK((tokens == 0) == injected);
    PANICS(projection_embedder_embed_batch, embedder, texts, 2, NULL, NULL, vectors, 2 * 384);
    CHECK((vectors[0] == 0) == injected);
    FALLS_BACK(projection_embedder_dim, projection_embedder_dim(embedder) == 0,
               projection_embedder_dim(embedder) == 384);
    FREES(projection_embedder_free, embedder);
}

/* A teacher that leaves queries of 8 values as they are. */
static int32_t copy(void *context, const float *queries, size_t n, float *projected)
{
    (void)context;
    memcpy(projected, queries, n * 8 * sizeof *queries);
    return 0;
}

static void training(const char *fixtures, const char *text_model)
{
    static const char *const train = "{\"method\": \"multi-head\", \"force\": true}";
    static const char *const distill = "{\"epochs\": 1, \"samples\": 8, \"ff_dim\": 8}";
    projection_store *store = NULL;
    projection_embedder *embedder = NULL;
    projection_text *text = NULL;
    static const float query[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    char name[64];
    static const float rows[4][8] = {{1, 2, 3, 4, 5, 6, 7, 8},
                                     {8, 7, 6, 5, 4, 3, 2, 1},
                                     {1, -1, 1, -1, 1, -1, 1, -1},
                                     {1, 0, 0, 2, 0, 0, 3, 0}};
    char *database, *vectors, *file;
    snprintf(name, sizeof name, "training/panics-%ld.safetensors", (long)getpid());
    file = join(fixtures, name);
    snprintf(name, sizeof name, "training/panics-%ld.db", (long)getpid());
    database = join(fixtures, name);
    vectors = embedding_options(fixtures, "mine");
    fill_outputs();
    PANICS(projection_import_embeddings, database, vectors, NULL, NULL, &out.text);
    drop_text();
    SUCCEEDS(projection_import_embeddings, database, vectors, NULL, NULL, &text);
    FALLS_BACK(projection_text_data, *projection_text_data(text) == '\0',
               *projection_text_data(text) == '{');
    FALLS_BACK(projection_text_len, projection_text_len(text) == 0,
               projection_text_len(text) > 0);
    FREES(projection_text_free, text);
    PANICS(projection_import, database, NULL, 0, NULL, NULL, NULL, &out.text);
    drop_text();
    /* Placeholders are no texts: there is nothing to embed. */
    PANICS(projection_embed_store, database, text_model, "{\"model_name\": \"text\"}", NULL, NULL,
           &out.text);
    drop_text();
    SUCCEEDS(projection_store_open, database, NULL, &store);
    SUCCEEDS(projection_embedder_load, text_model, &embedder);
    PANICS(projection_store_check_embedder, store, "text", embedder);
    projection_embedder_free(embedder);
    projection_store_free(store);
    PANICS(projection_train, database, train, NULL, NULL, &out.text);
    drop_text();
    PANICS(projection_evaluate, database, NULL, NULL, NULL, &out.text);
    drop_text();
    PANICS(projection_distill, database, file, distill, NULL, NULL, &out.text);
    drop_text();
    PANICS(projection_export, database, file, NULL, NULL, NULL, &out.text);
    drop_text();
    PANICS(projection_model_distill, model, rows[0], 4, distill, NULL, NULL, &out.model);
    if (!injected) {
        projection_model_free(out.model);
    }
    PANICS(projection_function_distill, copy, NULL, 8, 8, rows[0], 4, distill, NULL, NULL, &out.model);
    if (!injected) {
        projection_model_free(out.model);
    }
    PANICS(projection_model_explain, model, query, 8, &out.text);
    drop_text();
    SUCCEEDS(projection_store_open, database, "{\"mode\": \"write\"}", &store);
    PANICS(projection_store_log_feedback, store, "[]", &out.text);
    drop_text();
    PANICS(projection_store_change_models, store, "{\"action\": \"activate\", \"id\": 1}",
           &out.text);
    drop_text();
    projection_store_free(store);
    free(file);
    free(vectors);
    free(database);
}

int main(int argc, char **argv)
{
    char model_file[4096];
    char *folder, *residual, *database, *array;
    if (argc != 5 || (strcmp(argv[1], "injected") != 0 && strcmp(argv[1], "ordinary") != 0)) {
        stop("usage: panics injected|ordinary CONFORMANCE MODEL_FOLDER FIXTURES");
    }
    injected = strcmp(argv[1], "injected") == 0;
    folder = join(argv[2], "models/d8_mixed");
    residual = join(argv[2], "models/residual_all");
    database = join(argv[2], "legacy_store/lda.db");
    array = join(argv[2], "cases/d8_mixed-t0.1/queries.npy");
    fill_outputs();
    group("panics in arrays");
    SUCCEEDS(projection_model_load, folder, 1, 0.1, &model);
    arrays(array);
    group("panics in errors");
    errors();
    group("panics in models");
    models(folder, residual);
    snprintf(model_file, sizeof model_file, "%s.safetensors", argv[0]);
    group("panics in models of one file");
    model_files(model_file);
    group("panics in searchers");
    searchers(database);
    group("panics in stores");
    stores(database);
    group("panics in explanations");
    explanations(residual);
    group("panics in embedding models");
    embedders(argv[3]);
    group("panics in training");
    training(argv[4], argv[3]);
    projection_model_free(model);
    free(array);
    free(database);
    free(residual);
    free(folder);
    return finish();
}
