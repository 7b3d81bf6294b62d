/* Runs all of tests/conformance. usage: conformance FOLDER */
#include "check.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = 1e-5;

static matrix case_matrix(const char *root, const test_case *one, const char *name)
{
    char *path = case_file(root, one, name);
    matrix found = read_matrix(path);
    free(path);
    return found;
}

static int64_t *case_ids(const char *root, const test_case *one, const char *name, size_t count)
{
    char *path = case_file(root, one, name);
    int64_t *ids = read_ids(path, count);
    free(path);
    return ids;
}

static void check_close(const test_case *one, const char *what, size_t row, const float *found,
                        const float *expected, size_t count, double scale)
{
    size_t i;
    for (i = 0; i < count; i++) {
        double error = fabs((double)found[i] - (double)expected[i]);
        /* Not `error > …`, which lets NaN through. */
        int close = error <= TOLERANCE * scale;
        check_at(close, __FILE__, __LINE__, "%s row %lu: %s[%lu] = %.9g, expected %.9g", one->name,
                 (unsigned long)row, what, (unsigned long)i, found[i], expected[i]);
    }
}

static double largest(const float *values, size_t count)
{
    double top = 0;
    size_t i;
    for (i = 0; i < count; i++) {
        top = fmax(top, fabs((double)values[i]));
    }
    return top;
}

static void check_model(const char *root, const test_case *one, const projection_model *model)
{
    int64_t *expected = case_ids(root, one, "head_ids.txt", one->heads);
    int64_t *found = (int64_t *)allocate(one->heads * sizeof *found);
    CHECK(projection_model_input_dim(model) == one->dim);
    CHECK(projection_model_output_dim(model) == one->output_dim);
    CHECK(projection_model_num_heads(model) == one->heads);
    CHECK(projection_model_kind(model) == one->kind);
    CHECK(one->as_trained || projection_model_temperature(model) == one->temperature);
    CHECK(isnan(projection_model_temperature(model)) == (one->kind == PROJECTION_KIND_LINEAR));
    SUCCEEDS(projection_model_head_ids, model, found, one->heads);
    check_at(memcmp(found, expected, one->heads * sizeof *found) == 0, __FILE__, __LINE__,
             "%s: other head ids", one->name);
    free(found);
    free(expected);
}

static void check_projections(const char *root, const test_case *one,
                              const projection_model *model)
{
    size_t n = one->queries, o = one->output_dim, h = one->heads, row;
    matrix queries = case_matrix(root, one, "queries.npy");
    matrix projected = case_matrix(root, one, "projected.npy");
    matrix weights = {0, 0, NULL, NULL};
    float *batch = (float *)allocate(n * o * sizeof *batch);
    float *batch_weights = (float *)allocate(n * h * sizeof *batch_weights);
    float *unweighted = (float *)allocate(n * o * sizeof *unweighted);
    float *single = (float *)allocate(o * sizeof *single);
    float *single_weights = (float *)allocate(h * sizeof *single_weights);
    if (h > 0) {
        weights = case_matrix(root, one, "weights.npy");
        CHECK(weights.rows == n && weights.columns == h);
    }
    CHECK(queries.rows == n && queries.columns == one->dim);
    CHECK(projected.rows == n && projected.columns == o);
    SUCCEEDS(projection_model_project_batch, model, queries.data, n, one->dim, batch, n * o,
             batch_weights, n * h, 1, NULL, NULL);
    SUCCEEDS(projection_model_project_batch, model, queries.data, n, one->dim, unweighted,
             n * o, NULL, 0, 1, NULL, NULL);
    check_at(memcmp(batch, unweighted, n * o * sizeof *batch) == 0, __FILE__, __LINE__,
             "%s: other results without weights", one->name);
    for (row = 0; row < n; row++) {
        const float *query = queries.data + row * one->dim;
        const float *expected = projected.data + row * o;
        const float *expected_weights = h > 0 ? weights.data + row * h : NULL;
        double scale = largest(expected, o);
        SUCCEEDS(projection_model_project, model, query, one->dim, single, o, single_weights, h);
        check_close(one, "projected", row, single, expected, o, scale);
        check_close(one, "weights", row, single_weights, expected_weights, h, 1);
        check_close(one, "batch", row, batch + row * o, expected, o, scale);
        check_close(one, "batch weights", row, batch_weights + row * h, expected_weights, h, 1);
        SUCCEEDS(projection_model_project, model, query, one->dim, unweighted, o, NULL, 0);
        CHECK(memcmp(single, unweighted, o * sizeof *single) == 0);
    }
    free(single_weights);
    free(single);
    free(unweighted);
    free(batch_weights);
    free(batch);
    projection_array_free(weights.array);
    projection_array_free(projected.array);
    projection_array_free(queries.array);
}

/* A copy at the case's temperature is the model loaded at it. */
static void check_copy(const char *root, const test_case *one, const projection_model *model)
{
    matrix queries = case_matrix(root, one, "queries.npy");
    size_t size = one->output_dim * sizeof(float);
    float *expected = (float *)allocate(size);
    float *found = (float *)allocate(size);
    projection_model *other = NULL, *copy = NULL;
    double temperature = projection_model_temperature(model);
    SUCCEEDS(projection_model_project, model, queries.data, one->dim, expected, one->output_dim,
             NULL, 0);
    if (one->kind == PROJECTION_KIND_LINEAR) {
        FAILS(PROJECTION_STATUS_INVALID_ARGUMENT, "linear", projection_model_with_temperature,
              model, 0.5, &other);
        free(found);
        free(expected);
        projection_array_free(queries.array);
        return;
    }
    SUCCEEDS(projection_model_with_temperature, model, 0.5, &other);
    CHECK(projection_model_temperature(other) == 0.5);
    SUCCEEDS(projection_model_with_temperature, other, temperature, &copy);
    /* What they share stays until the last is freed. */
    projection_model_free(other);
    SUCCEEDS(projection_model_project, copy, queries.data, one->dim, found, one->output_dim, NULL,
             0);
    CHECK(memcmp(found, expected, size) == 0);
    projection_model_free(copy);
    free(found);
    free(expected);
    projection_array_free(queries.array);
}

/* The model of one file is the model it was made of, bit for bit, and so is that of its
   bytes. */
static void check_file(const char *root, const test_case *one, const projection_model *model,
                       const char *path)
{
    size_t n = one->queries, o = one->output_dim, h = one->heads, i, length;
    matrix queries = case_matrix(root, one, "queries.npy");
    size_t size = n * o * sizeof(float), weights_size = n * h * sizeof(float);
    float *expected = (float *)allocate(size), *found = (float *)allocate(size);
    float *expected_weights = (float *)allocate(weights_size);
    float *found_weights = (float *)allocate(weights_size);
    projection_model *models[2] = {NULL, NULL}, *none = NULL;
    unsigned char *bytes;
    FILE *file;
    SUCCEEDS(projection_model_project_batch, model, queries.data, n, one->dim, expected, n * o,
             expected_weights, n * h, 1, NULL, NULL);
    SUCCEEDS(projection_model_save_file, model, path);
    SUCCEEDS(projection_model_load_file, path, &models[0]);
    file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        stop("can't read the model's file");
    }
    length = (size_t)ftell(file);
    bytes = (unsigned char *)allocate(length);
    rewind(file);
    CHECK(fread(bytes, 1, length, file) == length);
    fclose(file);
    SUCCEEDS(projection_model_from_bytes, bytes, length, &models[1]);
    FAILS(PROJECTION_STATUS_INVALID_MODEL, "damaged", projection_model_from_bytes, bytes,
          length - 1, &none);
    for (i = 0; i < 2; i++) {
        check_model(root, one, models[i]);
        SUCCEEDS(projection_model_project_batch, models[i], queries.data, n, one->dim, found,
                 n * o, found_weights, n * h, 1, NULL, NULL);
        check_at(memcmp(found, expected, size) == 0 &&
                     memcmp(found_weights, expected_weights, weights_size) == 0,
                 __FILE__, __LINE__, "%s: other numbers from one file", one->name);
        projection_model_free(models[i]);
    }
    CHECK(remove(path) == 0);
    free(bytes);
    free(found_weights);
    free(expected_weights);
    free(found);
    free(expected);
    projection_array_free(queries.array);
}

static void check_hits(const char *root, const test_case *one, const char *kind,
                       const projection_searcher *index, const projection_model *model)
{
    size_t best = one->k < one->answers ? one->k : one->answers, n = one->queries, row, i;
    projection_hits *found = NULL;
    char ids_name[64], scores_name[64];
    matrix queries = case_matrix(root, one, "queries.npy"), scores;
    int64_t *ids;
    projection_hit *batch = (projection_hit *)allocate(n * one->k * sizeof *batch);
    projection_hit *single = (projection_hit *)allocate((one->k + 1) * sizeof *single);
    snprintf(ids_name, sizeof ids_name, "%s_ids.txt", kind);
    snprintf(scores_name, sizeof scores_name, "%s_scores.npy", kind);
    ids = case_ids(root, one, ids_name, n * best);
    scores = case_matrix(root, one, scores_name);
    CHECK(scores.rows == n && scores.columns == best);
    SUCCEEDS(projection_searcher_search_batch, index, model, queries.data, n, one->dim, NULL,
             NULL, one->k, &found);
    CHECK(take_hits(found, batch, n * one->k) == n * best);
    for (row = 0; row < n; row++) {
        SUCCEEDS(projection_searcher_search, index, model, queries.data + row * one->dim,
                 one->dim, NULL, NULL, one->k, &found);
        CHECK(take_hits(found, single, one->k) == best);
        for (i = 0; i < best; i++) {
            int64_t id = ids[row * best + i];
            float expected = scores.data[row * best + i];
            const projection_hit *hit = &batch[row * best + i];
            check_at(single[i].answer_id == id && hit->answer_id == id, __FILE__, __LINE__,
                     "%s row %lu: %s hit %lu is %" PRId64 ", in a batch %" PRId64
                     ", expected %" PRId64,
                     one->name, (unsigned long)row, kind, (unsigned long)i, single[i].answer_id,
                     hit->answer_id, id);
            check_close(one, kind, row, &single[i].score, &expected, 1, 1);
            check_close(one, kind, row, &hit->score, &expected, 1, 1);
        }
    }
    projection_array_free(scores.array);
    projection_array_free(queries.array);
    free(ids);
    free(single);
    free(batch);
}

static void check_searches(const char *root, const test_case *one, const projection_model *model)
{
    matrix answers = case_matrix(root, one, "answers.npy");
    int64_t *ids = case_ids(root, one, "answer_ids.txt", one->answers);
    projection_searcher *indexes[2] = {NULL, NULL};
    char *path = join(root, one->path), *text;
    size_t i;
    SUCCEEDS(projection_searcher_from_vectors, ids, answers.data, one->answers, one->output_dim,
             &indexes[0]);
    CHECK(answer_text(indexes[0], ids[0]) == NULL);
    if (one->database) {
        SUCCEEDS(open_searcher, path, one->embedding_model, &indexes[1]);
        text = answer_text(indexes[1], ids[0]);
        CHECK(text != NULL);
        free(text);
    }
    for (i = 0; i < 2 && indexes[i] != NULL; i++) {
        CHECK(projection_searcher_len(indexes[i]) == one->answers);
        CHECK(projection_searcher_dim(indexes[i]) == one->output_dim);
        check_hits(root, one, "projected", indexes[i], model);
        if (strcmp(one->searches, "both") == 0) {
            check_hits(root, one, "plain", indexes[i], NULL);
        }
        projection_searcher_free(indexes[i]);
    }
    free(path);
    free(ids);
    projection_array_free(answers.array);
}

/* A line of bad.txt: kind path id status name words... */
static void check_refusal(const char *root, char *line)
{
    char *kind = strtok(line, " "), *path = join(root, strtok(NULL, " ")), *word;
    int64_t id = strtoimax(strtok(NULL, " "), NULL, 10);
    projection_status expected = (projection_status)atoi(strtok(NULL, " "));
    char *name = strtok(NULL, " "), *at;
    projection_array *array = NULL;
    projection_model *model = NULL;
    projection_error *error = NULL;
    projection_status found;
    if (strcmp(kind, "array") == 0) {
        found = projection_array_load(path, &array, &error);
    } else {
        found = projection_model_load(path, id, 0.1, &model, &error);
    }
    CHECK(array == NULL && model == NULL);
    while ((word = strtok(NULL, " ")) != NULL) {
        const char *message = projection_error_message(error);
        check_at(strstr(message, word) != NULL, __FILE__, __LINE__, "%s: no '%s' in: %s", path,
                 word, message);
    }
    check_status(found, expected, error, "", path, 0);
    /* The name of the list is that of the C interface in capitals. */
    for (at = name; *at != '\0'; at++) {
        *at = *at == '_' ? ' ' : (char)(*at | 32);
    }
    check_at(strcmp(projection_status_name(found), name) == 0, __FILE__, __LINE__,
             "status name '%s', expected '%s'", projection_status_name(found), name);
    free(path);
}

/* A transformer that torch wrote, whose results are those of torch's layers in float64. */
static void check_transformer(const char *root)
{
    char *folder = join(root, "transformer"), *path = join(folder, "transformer.pt");
    char *queries_path = join(folder, "queries.npy"), *expected_path = join(folder, "projected.npy");
    matrix queries = read_matrix(queries_path), expected = read_matrix(expected_path);
    size_t n = queries.rows, d = queries.columns, row;
    float *found = (float *)allocate(n * d * sizeof *found);
    test_case one;
    projection_model *model = NULL, *other = NULL;
    projection_error *error = NULL;
    memset(&one, 0, sizeof one);
    snprintf(one.name, sizeof one.name, "transformer.pt");
    CHECK(n > 0 && expected.rows == n && expected.columns == d);
    SUCCEEDS(projection_model_load_file, path, &model);
    CHECK(projection_model_kind(model) == PROJECTION_KIND_TRANSFORMER);
    CHECK(projection_model_input_dim(model) == d && projection_model_output_dim(model) == d);
    CHECK(projection_model_num_heads(model) == 0);
    CHECK(isnan(projection_model_temperature(model)));
    CHECK(projection_model_with_temperature(model, 0.5, &other, &error) ==
          PROJECTION_STATUS_INVALID_ARGUMENT);
    projection_error_free(error);
    SUCCEEDS(projection_model_project_batch, model, queries.data, n, d, found, n * d, NULL, 0,
             1, NULL, NULL);
    for (row = 0; row < n; row++) {
        const float *reference = expected.data + row * d;
        double scale = largest(reference, d);
        check_close(&one, "batch", row, found + row * d, reference, d, scale);
        SUCCEEDS(projection_model_project, model, queries.data + row * d, d, found, d, NULL, 0);
        check_close(&one, "single", row, found, reference, d, scale);
    }
    projection_model_free(model);
    projection_array_free(queries.array);
    projection_array_free(expected.array);
    free(found);
    free(expected_path);
    free(queries_path);
    free(path);
    free(folder);
}

int main(int argc, char **argv)
{
    const char *root = argc == 2 ? argv[1] : (stop("usage: conformance FOLDER"), "");
    size_t count, searched = 0, i;
    test_case *cases = read_cases(root, &count);
    projection_model **models = (projection_model **)allocate(count * sizeof *models);
    char *path = join(root, "bad.txt");
    lines bad = read_lines(path);
    char model_file[4096];

    group("models");
    CHECK(count > 70);
    for (i = 0; i < count; i++) {
        models[i] = open_case(root, &cases[i]);
        check_model(root, &cases[i], models[i]);
    }
    group("projected queries and weights");
    for (i = 0; i < count; i++) {
        check_projections(root, &cases[i], models[i]);
        check_copy(root, &cases[i], models[i]);
    }
    group("models in one file each");
    snprintf(model_file, sizeof model_file, "%s.safetensors", argv[0]);
    for (i = 0; i < count; i++) {
        check_file(root, &cases[i], models[i], model_file);
    }
    group("hits");
    for (i = 0; i < count; i++) {
        if (strcmp(cases[i].searches, "none") != 0) {
            check_searches(root, &cases[i], models[i]);
            searched++;
        }
        projection_model_free(models[i]);
    }
    CHECK(searched > 40);
    group("a transformer of torch");
    check_transformer(root);
    group("refusals");
    CHECK(bad.count > 60);
    for (i = 0; i < bad.count; i++) {
        check_refusal(root, bad.line[i]);
    }
    free_lines(&bad);
    free(path);
    free(models);
    free(cases);
    return finish();
}
