/*
 * What callers and files can get wrong, apart from NULL and lengths (arguments.c).
 * usage: errors CONFORMANCE_FOLDER FIXTURES_FOLDER
 */
#include "errors.h"

#include <stdio.h>
#include <stdlib.h>

enum { D = 8, N = 3, K = 5, ANSWERS = 4 };

static const char *root;
static const char *const create = "{\"mode\": \"create\"}";
static projection_model *model;
static projection_searcher *searcher_;
static char *model_path;

static const float vectors[ANSWERS * D] = {
    1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,
    0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0,
};

static void open_all(void)
{
    static const int64_t ids[ANSWERS] = {40, 30, 20, 10};
    model_path = join(root, "models/d8_mixed");
    SUCCEEDS(projection_model_load, model_path, 1, 0.1, &model);
    SUCCEEDS(projection_searcher_from_vectors, ids, vectors, ANSWERS, D, &searcher_);
}

static void statuses(void)
{
    /* The documented numbers: programs store and compare them. */
    static const struct {
        projection_status status;
        int number;
        const char *name;
    } all[] = {
        {PROJECTION_STATUS_OK, 0, "ok"},
        {PROJECTION_STATUS_INVALID_ARGUMENT, 1, "invalid argument"},
        {PROJECTION_STATUS_DIMENSION_MISMATCH, 2, "dimension mismatch"},
        {PROJECTION_STATUS_NOT_FINITE, 3, "not finite"},
        {PROJECTION_STATUS_ZERO_VECTOR, 4, "zero vector"},
        {PROJECTION_STATUS_NOT_FOUND, 5, "not found"},
        {PROJECTION_STATUS_IO, 6, "io"},
        {PROJECTION_STATUS_INVALID_ARRAY, 7, "invalid array"},
        {PROJECTION_STATUS_INVALID_MODEL, 8, "invalid model"},
        {PROJECTION_STATUS_INVALID_STORE, 9, "invalid store"},
        {PROJECTION_STATUS_AMBIGUOUS_MODEL, 10, "ambiguous model"},
        {PROJECTION_STATUS_BUSY, 11, "busy"},
        {PROJECTION_STATUS_INVALID_EMBEDDER, 12, "invalid embedder"},
        {PROJECTION_STATUS_BUFFER_SIZE, 13, "buffer size"},
        {PROJECTION_STATUS_INVALID_INPUT, 14, "invalid input"},
        {PROJECTION_STATUS_INTERNAL, 15, "internal"},
        {PROJECTION_STATUS_PANIC, 16, "panic"},
        {PROJECTION_STATUS_CANCELLED, 17, "cancelled"},
    };
    static const int32_t unknown[] = {-1, 18, INT32_MIN, INT32_MAX};
    size_t i;
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK((int)all[i].status == all[i].number);
        CHECK(strcmp(projection_status_name(all[i].number), all[i].name) == 0);
    }
    for (i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        CHECK(strcmp(projection_status_name(unknown[i]), "unknown status") == 0);
    }
    CHECK(strspn(projection_version(), "0123456789.") == strlen(projection_version()));
    CHECK(strchr(projection_version(), '.') != NULL);
}

/* A query that is refused, alone and as the last of a batch. */
static void refused_query(projection_status expected, const char *word, const float *query)
{
    float batch[N * D];
    size_t i;
    for (i = 0; i < N * D; i++) {
        batch[i] = i < (N - 1) * D ? 1.0f : query[i - (N - 1) * D];
    }
    FAILS(expected, word, projection_model_project, model, query, D, out.projected, D,
          out.weights, 4);
    FAILS(expected, word, projection_searcher_search, searcher_, NULL, query, D, NULL, NULL, K,
          &out.hits);
    FAILS(expected, word, projection_searcher_search, searcher_, model, query, D, NULL, NULL,
          K, &out.hits);
    FAILS(expected, "row 2", projection_model_project_batch, model, batch, N, D, out.projected,
          N * D, out.weights, N * 4, 1, NULL, NULL);
    FAILS(expected, "row 2", projection_searcher_search_batch, searcher_, NULL, batch, N, D,
          NULL, NULL, K, &out.hits);
    FAILS(expected, "row 2", projection_searcher_search_batch, searcher_, model, batch, N, D,
          NULL, NULL, K, &out.hits);
    check_untouched();
}

static void queries(void)
{
    float query[D];
    size_t i, at;
    const float bad[] = {(float)NAN, (float)INFINITY, -(float)INFINITY};
    for (at = 0; at < D; at++) {
        for (i = 0; i < sizeof bad / sizeof *bad; i++) {
            char word[32];
            memset(query, 0, sizeof query);
            query[at] = bad[i];
            snprintf(word, sizeof word, "index %lu", (unsigned long)at);
            refused_query(PROJECTION_STATUS_NOT_FINITE, word, query);
        }
    }
    memset(query, 0, sizeof query);
    refused_query(PROJECTION_STATUS_ZERO_VECTOR, "zero", query);
    query[3] = -0.0f;
    refused_query(PROJECTION_STATUS_ZERO_VECTOR, "zero", query);
}

static void vectors_of_an_index(void)
{
    static const int64_t twice[] = {5, 6, 5}, ids[] = {5, 6, 7};
    float bad[3 * D];
    memcpy(bad, vectors, sizeof bad);
    FAILS(INVALID_ARGUMENT, "id 5", projection_searcher_from_vectors, twice, bad, 3, D, &out.searcher);
    bad[2 * D + 1] = (float)NAN;
    FAILS(PROJECTION_STATUS_NOT_FINITE, "answer 7", projection_searcher_from_vectors, ids, bad, 3, D,
          &out.searcher);
    memset(bad + D, 0, D * sizeof *bad);
    FAILS(PROJECTION_STATUS_ZERO_VECTOR, "answer 6", projection_searcher_from_vectors, ids, bad, 3,
          D, &out.searcher);
    check_untouched();
}

static void temperatures(void)
{
    const double bad[] = {0.0, -0.0, -1.0, NAN, INFINITY, -INFINITY};
    size_t i;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        FAILS(INVALID_ARGUMENT, "temperature", projection_model_load, model_path, 1, bad[i],
              &out.model);
        FAILS(INVALID_ARGUMENT, "temperature", projection_model_with_temperature, model, bad[i],
              &out.model);
    }
    check_untouched();
    CHECK(projection_model_temperature(model) == 0.1);
}

/* Texts that are no paths or no UTF-8. */
static void texts(void)
{
    static const char *const bad[] = {"ab\xff", "\xc3(", "\x80", "\xed\xa0\x80", "\xf0\x9f"};
    char *database = join(root, "legacy_store/lda.db");
    size_t i;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        FAILS(INVALID_ARGUMENT, "path is not UTF-8", projection_array_load, bad[i], &out.array);
        FAILS(INVALID_ARGUMENT, "folder is not UTF-8", projection_model_load, bad[i], 1, 0.1,
              &out.model);
        FAILS(INVALID_ARGUMENT, "database is not UTF-8", open_model, bad[i], 1,
              &out.model);
        FAILS(INVALID_ARGUMENT, "database is not UTF-8", open_searcher, bad[i], NULL,
              &out.searcher);
        FAILS(INVALID_ARGUMENT, "model_name is not UTF-8", open_searcher, database,
              bad[i], &out.searcher);
    }
    FAILS(INVALID_ARGUMENT, "path is empty", projection_array_load, "", &out.array);
    FAILS(INVALID_ARGUMENT, "folder is empty", projection_model_load, "", 1, 0.1, &out.model);
    FAILS(INVALID_ARGUMENT, "database is empty", open_model, "", 1, &out.model);
    FAILS(INVALID_ARGUMENT, "database is empty", open_searcher, "", NULL, &out.searcher);
    FAILS(INVALID_ARGUMENT, "database is empty", projection_store_open, "", create, &out.store);
    check_untouched();
    free(database);
}

static void missing_files(void)
{
    const projection_status not_found = PROJECTION_STATUS_NOT_FOUND;
    const char *path = "no/such/ü.file";
    FAILS(not_found, path, projection_array_load, path, &out.array);
    FAILS(not_found, path, projection_model_load, path, 1, 0.1, &out.model);
    FAILS(not_found, path, open_model, path, 1, &out.model);
    FAILS(not_found, path, open_searcher, path, NULL, &out.searcher);
    /* A folder where a file is due. */
    FAILS(PROJECTION_STATUS_IO, root, projection_array_load, root, &out.array);
    FAILS(PROJECTION_STATUS_INVALID_STORE, root, open_model, root, 1, &out.model);
    FAILS(PROJECTION_STATUS_INVALID_STORE, root, open_searcher, root, NULL, &out.searcher);
    FAILS(not_found, "no/such", projection_store_open, path, create, &out.store);
    FAILS(PROJECTION_STATUS_INVALID_STORE, root, projection_store_open, root, create, &out.store);
    FAILS(not_found, "9223372036854775807", projection_model_load, model_path, INT64_MAX, 0.1,
          &out.model);
    FAILS(not_found, "-9223372036854775808", projection_model_load, model_path, INT64_MIN, 0.1,
          &out.model);
    check_untouched();
}

static void stores(const char *fixtures)
{
    enum { MODEL = 1, INDEX = 2, BOTH = 3 };
    static const struct {
        const char *file;
        int opens;
        projection_status status;
        const char *word;
    } bad[] = {
        {"text.db", BOTH, PROJECTION_STATUS_INVALID_STORE, "text.db"},
        {"empty.db", BOTH, PROJECTION_STATUS_INVALID_STORE, "empty.db"},
        {"cut.db", BOTH, PROJECTION_STATUS_INVALID_STORE, "cut.db"},
        {"other_program.db", BOTH, PROJECTION_STATUS_INVALID_STORE, "not a projection store"},
        {"newer.db", BOTH, PROJECTION_STATUS_INVALID_STORE, "schema version 99"},
        {"no_table.db", BOTH, PROJECTION_STATUS_INVALID_STORE, "cluster_heads"},
        {"no_column.db", BOTH, PROJECTION_STATUS_INVALID_STORE, "temperature"},
        {"zero_temperature.db", MODEL, PROJECTION_STATUS_INVALID_ARGUMENT, "temperature 0"},
        {"text_temperature.db", MODEL, PROJECTION_STATUS_INVALID_STORE, "temperature"},
        {"no_heads.db", MODEL, PROJECTION_STATUS_INVALID_MODEL, "no_heads.db"},
        {"missing_head.db", MODEL, PROJECTION_STATUS_NOT_FOUND, "gone.npy"},
        {"outside_head.db", MODEL, PROJECTION_STATUS_NOT_FOUND, "/dev/zero"},
        {"two_models.db", INDEX, PROJECTION_STATUS_AMBIGUOUS_MODEL, "other-model"},
        {"no_vectors.db", INDEX, PROJECTION_STATUS_NOT_FOUND, "no_vectors.db"},
        {"missing_vector.db", INDEX, PROJECTION_STATUS_NOT_FOUND, "gone.npy"},
        {"other_dimension.db", INDEX, PROJECTION_STATUS_DIMENSION_MISMATCH, "expected 31"},
    };
    char *folder = join(fixtures, "stores"), *path;
    projection_searcher *opened = NULL;
    size_t i, texts_found = 0;
    int64_t id;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        path = join(folder, bad[i].file);
        if (bad[i].opens & MODEL) {
            FAILS(bad[i].status, bad[i].word, open_model, path, 1, &out.model);
        }
        if (bad[i].opens & INDEX) {
            FAILS(bad[i].status, bad[i].word, open_searcher, path, NULL, &out.searcher);
        }
        free(path);
    }
    path = join(folder, "lda.db");
    FAILS(PROJECTION_STATUS_NOT_FOUND, "no projection 99", open_model, path, 99,
          &out.model);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "other-model", open_searcher, path, "other-model",
          &out.searcher);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "", open_searcher, path, "", &out.searcher);
    check_untouched();
    free(path);

    /* A C string can't hold NUL. */
    path = join(folder, "text_with_nul.db");
    SUCCEEDS(open_searcher, path, NULL, &opened);
    for (id = 0; id < 1000; id++) {
        char *text = answer_text(opened, id);
        texts_found += text != NULL;
        CHECK(text == NULL || strcmp(text, "be fore") == 0);
        free(text);
    }
    CHECK(texts_found == projection_searcher_len(opened));
    projection_searcher_free(opened);
    free(path);
    free(folder);
}

/* No queries, no hits wanted, more hits wanted than there are. */
static void small_and_large_numbers(void)
{
    static const float query[N * D] = {0, 0, 9, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
                                       5, 4, 3, 2, 1, 0, 0, 0};
    projection_searcher *empty = NULL;
    projection_hit hits[N * K];

    fill_outputs();
    SUCCEEDS(projection_model_project_batch, model, NULL, 0, D, NULL, 0, NULL, 0, 1, NULL, NULL);
    SUCCEEDS(projection_model_project_batch, model, query, 0, D, out.projected, 0, out.weights,
             0, 1, NULL, NULL);
    FAILS(DIMENSION_MISMATCH, "queries", projection_model_project_batch, model, query, 0,
          D + 1, out.projected, 0, NULL, 0, 1, NULL, NULL);
    check_untouched();
    SUCCEEDS(projection_searcher_search_batch, searcher_, model, NULL, 0, D, NULL, NULL, K,
             &out.hits);
    CHECK(take_hits(out.hits, NULL, 0) == 0);
    SUCCEEDS(projection_searcher_search, searcher_, model, query, D, NULL, NULL, 0, &out.hits);
    CHECK(take_hits(out.hits, NULL, 0) == 0);
    SUCCEEDS(projection_searcher_search_batch, searcher_, NULL, query, N, D, NULL, NULL, 0,
             &out.hits);
    CHECK(take_hits(out.hits, NULL, 0) == 0);
    fill_outputs();

    SUCCEEDS(projection_searcher_search, searcher_, NULL, query, D, NULL, NULL, K, &out.hits);
    CHECK(take_hits(out.hits, hits, N * K) == ANSWERS);
    CHECK(hits[0].answer_id == 20 && hits[1].answer_id == 10);
    /* Equal scores: by id. */
    CHECK(hits[2].answer_id == 30 && hits[3].answer_id == 40 && hits[2].score == 0);
    SUCCEEDS(projection_searcher_search_batch, searcher_, NULL, query, N, D, NULL, NULL, K,
             &out.hits);
    CHECK(take_hits(out.hits, hits, N * K) == N * ANSWERS);
    CHECK(hits[0].answer_id == 20 && hits[2 * ANSWERS].answer_id == 40);
    CHECK(hits[ANSWERS].answer_id == 10 && hits[ANSWERS + 3].answer_id == 40);
    fill_outputs();
    check_untouched();

    SUCCEEDS(projection_searcher_from_vectors, NULL, NULL, 0, D, &empty);
    CHECK(projection_searcher_len(empty) == 0 && projection_searcher_dim(empty) == D);
    SUCCEEDS(projection_searcher_search, empty, model, query, D, NULL, NULL, K, &out.hits);
    CHECK(take_hits(out.hits, NULL, 0) == 0);
    projection_searcher_free(empty);
    fill_outputs();
}

static void models_and_indexes_of_other_sizes(void)
{
    static const float query[D] = {1, 2, 3, 4, 5, 6, 7, 8};
    char *path = join(root, "models/d8_to_d3");
    projection_model *narrow = NULL;
    SUCCEEDS(projection_model_load, path, 1, 0.1, &narrow);
    FAILS(DIMENSION_MISMATCH, "expected 8", projection_searcher_search, searcher_, narrow,
          query, D, NULL, NULL, K, &out.hits);
    FAILS(DIMENSION_MISMATCH, "expected 8", projection_searcher_search_batch, searcher_,
          narrow, query, 1, D, NULL, NULL, K, &out.hits);
    check_untouched();
    projection_model_free(narrow);
    free(path);
}

static void arrays(void)
{
    char *path = join(root, "models/d8_fortran/mh_3_cluster_2_W.npy");
    projection_array *array = NULL;
    SUCCEEDS(projection_array_load, path, &array);
    CHECK(projection_array_ndim(array) == 2);
    CHECK(projection_array_shape(array, 0) == D && projection_array_shape(array, 1) == D);
    CHECK(projection_array_shape(array, 2) == 0 && projection_array_shape(array, SIZE_MAX) == 0);
    CHECK(projection_array_len(array) == D * D);
    projection_array_free(array);
    free(path);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        stop("usage: errors CONFORMANCE_FOLDER FIXTURES_FOLDER");
    }
    root = argv[1];
    group("statuses and version");
    statuses();
    open_all();
    fill_outputs();
    group("queries that are refused");
    queries();
    group("vectors that are refused");
    vectors_of_an_index();
    group("temperatures that are refused");
    temperatures();
    group("texts that are refused");
    texts();
    group("missing files");
    missing_files();
    group("damaged stores");
    stores(argv[2]);
    group("small and large numbers");
    small_and_large_numbers();
    group("models and indexes of other sizes");
    models_and_indexes_of_other_sizes();
    group("arrays");
    arrays();
    projection_searcher_free(searcher_);
    projection_model_free(model);
    free(model_path);
    return finish();
}
