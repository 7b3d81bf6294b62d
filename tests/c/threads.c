/*
 * 16 threads share one model, one searcher and one embedding model: each gets the results of a
 * single thread, bit for bit, and its own errors. usage: threads CONFORMANCE MODEL_FOLDER
 */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 16, ROUNDS = 30, EMBEDDINGS = 2, D = 384, N = 6, K = 5, MOST_HEADS = 64 };

/* What is asked of the library, and what it answers. */
typedef struct {
    float projected[N * D], weights[N * MOST_HEADS], single[D], vector[D];
    projection_hit plain[K], hits[N * K];
    size_t found_plain, found;
} results;

/* Made before the threads start, and only read by them. */
static struct {
    projection_model *model;
    projection_searcher *index;
    projection_embedder *embedder;
    matrix queries;
    size_t heads;
    char *folder;
    results expected;
} shared;

typedef struct {
    pthread_t thread;
    int number;
    unsigned long failures, calls;
} worker;

/* Gives the number of calls that failed. */
static unsigned long ask(results *all, int with_text)
{
    const float *queries = shared.queries.data;
    size_t h = shared.heads;
    unsigned long failed = 0;
    projection_hits *hits = NULL;
    failed += projection_model_project_batch(shared.model, queries, N, D, all->projected,
                                             N * D, all->weights, N * h, 1, NULL, NULL, NULL) != 0;
    failed += projection_model_project(shared.model, queries, D, all->single, D, NULL, 0, NULL) !=
              0;
    failed += projection_searcher_search(shared.index, NULL, queries, D, NULL, NULL, K, &hits,
                                         NULL) != 0;
    all->found_plain = take_hits(hits, all->plain, K);
    failed += projection_searcher_search_batch(shared.index, shared.model, queries, N, D, NULL,
                                               NULL, K, &hits, NULL) != 0;
    all->found = take_hits(hits, all->hits, N * K);
    if (with_text) {
        failed += projection_embedder_embed(shared.embedder, "Is it safe to share a model?",
                                            all->vector, D, NULL) != 0;
    }
    return failed;
}

/* An error of this thread's own. */
static unsigned long provoke(int number, int round)
{
    char path[64], expected[64];
    float query[THREADS + 1] = {1};
    projection_error *first = NULL, *second = NULL;
    projection_model *model = NULL;
    unsigned long failed = 0;
    snprintf(path, sizeof path, "no/such/thread-%d-%d", number, round);
    snprintf(expected, sizeof expected, "query of dimension %d, expected 384", number + 1);
    failed += projection_model_load(path, 1, 0.1, &model, &first) != PROJECTION_STATUS_NOT_FOUND;
    failed += projection_model_project(shared.model, query, (size_t)number + 1, query, D, NULL, 0,
                                       &second) != PROJECTION_STATUS_DIMENSION_MISMATCH;
    failed += strstr(projection_error_message(first), path) == NULL;
    failed += strcmp(projection_error_message(second), expected) != 0;
    failed += projection_error_code(first) != PROJECTION_STATUS_NOT_FOUND;
    failed += projection_error_code(second) != PROJECTION_STATUS_DIMENSION_MISMATCH;
    projection_error_free(first);
    projection_error_free(second);
    return failed;
}

/* A model of this thread's own, made and freed while others do the same. */
static unsigned long load_another(const results *expected)
{
    projection_model *model = NULL, *copy = NULL;
    float single[D];
    unsigned long failed = 0;
    failed += projection_model_load(shared.folder, 1, 1.0, &model, NULL) != 0;
    failed += projection_model_with_temperature(model, 0.1, &copy, NULL) != 0;
    projection_model_free(model);
    failed += projection_model_project(copy, shared.queries.data, D, single, D, NULL, 0, NULL) !=
              0;
    failed += memcmp(single, expected->single, sizeof single) != 0;
    projection_model_free(copy);
    return failed;
}

static void *work(void *argument)
{
    worker *own = (worker *)argument;
    results *found = (results *)allocate(sizeof *found);
    int round;
    for (round = 0; round < ROUNDS; round++) {
        int with_text = round < EMBEDDINGS;
        memset(found, 0, sizeof *found);
        own->failures += ask(found, with_text);
        if (!with_text) {
            memcpy(found->vector, shared.expected.vector, sizeof found->vector);
        }
        /* The whole structure was zero before, padding included. */
        own->failures += memcmp(found, &shared.expected, sizeof *found) != 0;
        own->failures += provoke(own->number, round);
        own->failures += load_another(&shared.expected);
        own->calls++;
    }
    free(found);
    return NULL;
}

static void open_all(const char *root, const char *model_folder)
{
    char *queries = join(root, "cases/d384_18-t0.1/queries.npy");
    char *answers = join(root, "cases/d384_18-t0.1/answers.npy");
    matrix vectors = read_matrix(answers);
    int64_t *ids = (int64_t *)allocate(vectors.rows * sizeof *ids);
    size_t i;
    for (i = 0; i < vectors.rows; i++) {
        ids[i] = (int64_t)i;
    }
    shared.folder = join(root, "models/d384_18");
    shared.queries = read_matrix(queries);
    CHECK(shared.queries.columns == D && shared.queries.rows >= N);
    SUCCEEDS(projection_model_load, shared.folder, 1, 0.1, &shared.model);
    SUCCEEDS(projection_searcher_from_vectors, ids, vectors.data, vectors.rows, D, &shared.index);
    SUCCEEDS(projection_embedder_load, model_folder, &shared.embedder);
    shared.heads = projection_model_num_heads(shared.model);
    if (shared.heads == 0 || shared.heads > MOST_HEADS || shared.embedder == NULL) {
        stop("the model or the embedding model can't be used");
    }
    projection_array_free(vectors.array);
    free(ids);
    free(answers);
    free(queries);
}

int main(int argc, char **argv)
{
    static worker workers[THREADS];
    int i;
    if (argc != 3) {
        stop("usage: threads CONFORMANCE MODEL_FOLDER");
    }
    group("one thread");
    open_all(argv[1], argv[2]);
    memset(&shared.expected, 0, sizeof shared.expected);
    CHECK(ask(&shared.expected, 1) == 0);
    CHECK(shared.expected.found == N * K && shared.expected.found_plain == K);

    group("16 threads at once");
    for (i = 0; i < THREADS; i++) {
        workers[i].number = i;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            stop("can't start thread %d", i);
        }
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
        CHECK(workers[i].calls == ROUNDS);
        check_at(workers[i].failures == 0, __FILE__, __LINE__, "thread %d: %lu failures", i,
                 workers[i].failures);
    }
    projection_array_free(shared.queries.array);
    projection_embedder_free(shared.embedder);
    projection_searcher_free(shared.index);
    projection_model_free(shared.model);
    free(shared.folder);
    return finish();
}
