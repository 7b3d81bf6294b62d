/* Searches with options, and what explanations say. usage: search CONFORMANCE */
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 64 };

static int same_hits(const projection_hit *a, const projection_hit *b, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        if (a[i].answer_id != b[i].answer_id || a[i].score != b[i].score) {
            return 0;
        }
    }
    return 1;
}

/* One by one, as a batch and with an explanation: all find the same. */
static size_t search(const projection_searcher *index, const projection_model *model,
                     const float *query, size_t dim, const char *text,
                     const projection_search_options *options, size_t k, projection_hit *hits)
{
    const char *const texts[2] = {text, text};
    projection_hit batch[2 * MANY];
    projection_text *explanation = NULL;
    const char *at;
    float *queries = (float *)allocate(2 * dim * sizeof *queries);
    projection_hits *found = NULL;
    size_t count, i;
    memcpy(queries, query, dim * sizeof *query);
    memcpy(queries + dim, query, dim * sizeof *query);
    SUCCEEDS(projection_searcher_search, index, model, query, dim, text, options, k,
             &found);
    count = take_hits(found, hits, MANY);
    SUCCEEDS(projection_searcher_search_batch, index, model, queries, 2, dim, texts, options,
             k, &found);
    CHECK(take_hits(found, batch, 2 * MANY) == 2 * count && same_hits(batch, hits, count) &&
          same_hits(batch + count, hits, count));
    SUCCEEDS(projection_searcher_explain, index, model, query, dim, text, options, k,
             &explanation);
    at = projection_text_data(explanation);
    CHECK(isnan(number_after(&at, "angle")) == (model == NULL));
    for (i = 0; i < count; i++) {
        CHECK(number_after(&at, "answer_id") == (double)hits[i].answer_id);
        CHECK(isnan(number_after(&at, "bm25")) == (options->hybrid_weight == 0));
        CHECK(number_after(&at, "rank") == (double)(i + 1));
        CHECK((float)number_after(&at, "score") == hits[i].score);
    }
    CHECK(strstr(at, "\"answer_id\"") == NULL);
    projection_text_free(explanation);
    free(queries);
    return count;
}

/* A store with texts and clusters. */
static void searches_of_a_store(const char *root)
{
    char *database = join(root, "legacy_store/lda.db");
    projection_search_options options = {sizeof options, 0, 0, 0, 0, 0, 0, 0, 0};
    projection_searcher *index = NULL;
    projection_model *model = NULL, *linear = NULL, *other = NULL;
    projection_hit plain[MANY], hits[MANY], usual[MANY];
    float query[32];
    projection_hits *taken = NULL;
    size_t count, found, i, raised = 0;
    const char *last;
    char *text, *same;
    SUCCEEDS(open_searcher, database, NULL, &index);
    SUCCEEDS(open_model, database, 1, &model);
    CHECK(projection_model_kind(model) == PROJECTION_KIND_MULTI_HEAD);
    /* The store has a linear model of the same id. */
    SUCCEEDS(open_kind, database, PROJECTION_KIND_LINEAR, 1, &linear);
    CHECK(projection_model_kind(linear) == PROJECTION_KIND_LINEAR);
    CHECK(projection_model_num_heads(linear) == 0);
    projection_model_free(linear);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "residual", open_kind, database,
          PROJECTION_KIND_RESIDUAL, 1, &other);
    CHECK(projection_searcher_dim(index) == 32 && projection_searcher_len(index) <= MANY);
    for (i = 0; i < 32; i++) {
        query[i] = (float)cos((double)i);
    }
    SUCCEEDS(projection_searcher_search, index, model, query, 32, NULL, NULL, MANY, &taken);
    last = projection_hits_data(taken)[projection_hits_len(taken) - 1].text;
    CHECK(last != NULL);
    text = (char *)allocate(strlen(last) + 1);
    strcpy(text, last);
    count = take_hits(taken, plain, MANY);
    found = search(index, model, query, 32, NULL, &options, MANY, hits);
    CHECK(found == count && same_hits(plain, hits, count));
    search(index, NULL, query, 32, NULL, &options, 5, hits);

    same = answer_text(index, plain[count - 1].answer_id);
    CHECK(same != NULL && strcmp(same, text) == 0);
    free(same);
    CHECK(answer_text(index, INT64_MIN) == NULL);
    options.hybrid_weight = 1;
    search(index, model, query, 32, text, &options, 5, hits);
    CHECK(hits[0].answer_id == plain[count - 1].answer_id && hits[0].score == 1);
    options.hybrid_weight = PROJECTION_HYBRID_WEIGHT_OF_MODEL;
    search(index, model, query, 32, text, &options, MANY, usual);
    options.hybrid_weight = 0.2;
    search(index, model, query, 32, text, &options, MANY, hits);
    CHECK(same_hits(usual, hits, count));
    FAILS(PROJECTION_STATUS_INVALID_ARGUMENT, "text", projection_searcher_search, index, model,
          query, 32, NULL, &options, 5, &taken);

    options.hybrid_weight = 0;
    options.unseen_offset = 4;
    found = search(index, model, query, 32, NULL, &options, MANY, hits);
    for (i = 0; i < found; i++) {
        raised += hits[i].score > 2;
    }
    CHECK(raised > 0 && raised < count);
    /* The offset of the options in any mode, and without one that of the model, which has none. */
    options.score_mode = PROJECTION_SCORE_MODE_COSINE;
    search(index, model, query, 32, NULL, &options, MANY, usual);
    CHECK(same_hits(usual, hits, count));
    options.score_mode = PROJECTION_SCORE_MODE_SEEN_UNSEEN;
    options.unseen_offset = 0;
    search(index, model, query, 32, NULL, &options, MANY, hits);
    CHECK(same_hits(plain, hits, count));
    free(text);
    projection_model_free(model);
    projection_searcher_free(index);
    free(database);
}

/* A model with training questions, and vectors alone. */
static void explanation_of_a_residual_model(const char *root)
{
    static const float vectors[16] = {1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1};
    static const int64_t ids[2] = {1, 2};
    static const projection_search_options options = {sizeof options, 0, 0, 0, 0, 0, 0, 0, 0};
    char *folder = join(root, "models/residual_all");
    projection_searcher *index = NULL;
    projection_model *model = NULL;
    projection_text *explanation = NULL;
    const char *data, *at;
    int64_t clusters[MANY];
    double sums[MANY];
    const char *next;
    float projected[8], weights[MANY];
    size_t count = 0, all, i, k;
    SUCCEEDS(projection_searcher_from_vectors, ids, vectors, 2, 8, &index);
    SUCCEEDS(projection_model_load_as_trained, folder, 3, &model);
    all = projection_model_num_heads(model);
    SUCCEEDS(projection_model_project, model, vectors, 8, projected, 8, weights, all);
    SUCCEEDS(projection_model_head_ids, model, clusters, all);
    SUCCEEDS(projection_searcher_explain, index, model, vectors, 8, NULL, &options, 2,
             &explanation);
    data = projection_text_data(explanation);
    at = data;
    CHECK(number_after(&at, "angle") > 0);
    for (k = 0; k < all; k++) {
        CHECK(number_after(&at, "cluster_id") == (double)clusters[k]);
        CHECK((float)number_after(&at, "weight") == weights[k]);
        sums[k] = 0;
    }
    for (i = 0; i < 2; i++) {
        CHECK(number_after(&at, "answer_id") == (double)(i + 1));
        CHECK(isnan(number_after(&at, "nearest_question")));
        CHECK(number_after(&at, "rank_before") == (double)(i + 1));
        CHECK(isnan(number_after(&at, "seen")));
    }
    CHECK(number_after(&at, "hybrid_weight") == 0);
    at = strstr(data, "\"questions\":");
    CHECK(at != NULL && strstr(data, "\"questions_move\":true") != NULL);
    for (; at != NULL && (next = strstr(at, "\"cluster_id\":")) != NULL; count++) {
        double cluster, similarity;
        at = next;
        cluster = number_after(&at, "cluster_id");
        similarity = number_after(&at, "similarity");
        CHECK(isnan(number_after(&at, "text")) && fabs(similarity) <= 1 + 1e-9);
        for (k = 0; k < all && (double)clusters[k] != cluster; k++) {
        }
        CHECK(k < all);
        sums[k < all ? k : 0] += number_after(&at, "weight");
    }
    CHECK(count > 0);
    for (k = 0; k < all; k++) {
        CHECK(fabs(sums[k] - (double)weights[k]) < 1e-6);
    }
    projection_text_free(explanation);
    projection_model_free(model);
    projection_searcher_free(index);
    free(folder);
}

int main(int argc, char **argv)
{
    const char *root = argc == 2 ? argv[1] : (stop("usage: search CONFORMANCE"), "");
    group("searches with options");
    searches_of_a_store(root);
    group("explanations");
    explanation_of_a_residual_model(root);
    return finish();
}
