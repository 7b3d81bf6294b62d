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
static size_t search(const projection_index *index, const projection_model *model,
                     const float *query, size_t dim, const char *text,
                     const projection_search_options *options, size_t k, projection_hit *hits)
{
    const char *const texts[2] = {text, text};
    projection_hit batch[2 * MANY];
    projection_explanation *found = NULL;
    const projection_explained_hit *explained;
    float *queries = (float *)allocate(2 * dim * sizeof *queries);
    size_t count = 0, in_batch = 0, in_explanation = 0, i;
    memcpy(queries, query, dim * sizeof *query);
    memcpy(queries + dim, query, dim * sizeof *query);
    SUCCEEDS(projection_index_search_with_options, index, model, query, dim, text, options, k,
             hits, MANY, &count);
    SUCCEEDS(projection_index_search_batch_with_options, index, model, queries, 2, dim, texts,
             options, k, batch, 2 * k, &in_batch);
    CHECK(in_batch == count && same_hits(batch, hits, count) &&
          same_hits(batch + k, hits, count));
    SUCCEEDS(projection_index_explain, index, model, query, dim, text, options, k, &found);
    explained = projection_explanation_hits(found, &in_explanation);
    CHECK(in_explanation == count);
    for (i = 0; i < count; i++) {
        CHECK(explained[i].answer_id == hits[i].answer_id && explained[i].score == hits[i].score);
        CHECK(explained[i].rank == i + 1);
        CHECK(isnan(explained[i].bm25) == (options->hybrid_weight == 0));
    }
    CHECK(isnan(projection_explanation_angle(found)) == (model == NULL));
    projection_explanation_free(found);
    free(queries);
    return count;
}

/* A store with texts and clusters. */
static void searches_of_a_store(const char *root)
{
    char *database = join(root, "legacy_store/lda.db");
    projection_search_options options = {sizeof options, 0, 0, 0, 0, 0, 0};
    projection_index *index = NULL;
    projection_model *model = NULL, *linear = NULL, *other = NULL;
    projection_hit plain[MANY], hits[MANY], usual[MANY];
    float query[32];
    size_t count = 0, found, i, raised = 0;
    const char *text;
    SUCCEEDS(projection_index_open, database, NULL, &index);
    SUCCEEDS(projection_model_open, database, 1, &model);
    CHECK(projection_model_kind(model) == PROJECTION_KIND_MULTI_HEAD);
    /* The store has a linear model of the same id. */
    SUCCEEDS(projection_model_open_kind, database, PROJECTION_KIND_LINEAR, 1, &linear);
    CHECK(projection_model_kind(linear) == PROJECTION_KIND_LINEAR);
    CHECK(projection_model_num_heads(linear) == 0);
    projection_model_free(linear);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "residual", projection_model_open_kind, database,
          PROJECTION_KIND_RESIDUAL, 1, &other);
    CHECK(projection_index_dim(index) == 32 && projection_index_len(index) <= MANY);
    for (i = 0; i < 32; i++) {
        query[i] = (float)cos((double)i);
    }
    SUCCEEDS(projection_index_search, index, model, query, 32, MANY, plain, MANY, &count);
    found = search(index, model, query, 32, NULL, &options, MANY, hits);
    CHECK(found == count && same_hits(plain, hits, count));
    search(index, NULL, query, 32, NULL, &options, 5, hits);

    text = projection_index_text(index, plain[count - 1].answer_id);
    CHECK(text != NULL);
    options.hybrid_weight = 1;
    search(index, model, query, 32, text, &options, 5, hits);
    CHECK(hits[0].answer_id == plain[count - 1].answer_id && hits[0].score == 1);
    options.hybrid_weight = PROJECTION_HYBRID_WEIGHT_OF_MODEL;
    search(index, model, query, 32, text, &options, MANY, usual);
    options.hybrid_weight = 0.2;
    search(index, model, query, 32, text, &options, MANY, hits);
    CHECK(same_hits(usual, hits, count));
    FAILS(PROJECTION_STATUS_INVALID_ARGUMENT, "text", projection_index_search_with_options, index,
          model, query, 32, NULL, &options, 5, hits, MANY, &found);

    options.hybrid_weight = 0;
    options.unheaded_offset = 4;
    found = search(index, model, query, 32, NULL, &options, MANY, hits);
    for (i = 0; i < found; i++) {
        raised += hits[i].score > 2;
    }
    CHECK(raised > 0 && raised < count);
    /* The offset of the options, and without one that of the model, which has none. */
    options.score_mode = PROJECTION_SCORE_MODE_HEADED_UNHEADED;
    search(index, model, query, 32, NULL, &options, MANY, usual);
    CHECK(same_hits(usual, hits, count));
    options.unheaded_offset = 0;
    search(index, model, query, 32, NULL, &options, MANY, hits);
    CHECK(same_hits(plain, hits, count));
    projection_model_free(model);
    projection_index_free(index);
    free(database);
}

/* A model with training questions, and vectors alone. */
static void explanation_of_a_residual_model(const char *root)
{
    static const float vectors[16] = {1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1};
    static const int64_t ids[2] = {1, 2};
    static const projection_search_options options = {sizeof options, 0, 0, 0, 0, 0, 0};
    char *folder = join(root, "models/residual_all");
    projection_index *index = NULL;
    projection_model *model = NULL;
    projection_explanation *found = NULL;
    const projection_explained_head *heads;
    const projection_explained_question *questions;
    const projection_explained_hit *hits;
    float projected[8], weights[MANY];
    size_t count = 0, all, i, k;
    SUCCEEDS(projection_index_from_vectors, ids, vectors, 2, 8, &index);
    SUCCEEDS(projection_model_load_as_trained, folder, 3, &model);
    all = projection_model_num_heads(model);
    SUCCEEDS(projection_model_project, model, vectors, 8, projected, 8, weights, all);
    SUCCEEDS(projection_index_explain, index, model, vectors, 8, NULL, &options, 2, &found);
    CHECK(projection_explanation_questions_move(found) == 1);
    CHECK(projection_explanation_angle(found) > 0);
    CHECK(projection_explanation_hybrid_weight(found) == 0);
    heads = projection_explanation_heads(found, &count);
    CHECK(count == all);
    questions = projection_explanation_questions(found, &count);
    CHECK(count > 0);
    for (k = 0; k < all; k++) {
        double sum = 0;
        CHECK(heads[k].weight == weights[k]);
        for (i = 0; i < count; i++) {
            sum += questions[i].cluster_id == heads[k].cluster_id ? questions[i].weight : 0;
        }
        CHECK(fabs(sum - (double)weights[k]) < 1e-6);
    }
    for (i = 0; i < count; i++) {
        CHECK(questions[i].text == NULL && fabs(questions[i].similarity) <= 1 + 1e-9);
    }
    hits = projection_explanation_hits(found, &count);
    CHECK(count == 2 && hits[0].headed == -1 && isnan(hits[0].nearest_question));
    for (i = 0; i < count; i++) {
        CHECK(hits[i].rank_before == (hits[i].answer_id == 1 ? 1u : 2u));
    }
    projection_explanation_free(found);
    projection_model_free(model);
    projection_index_free(index);
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
