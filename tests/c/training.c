/*
 * The calls that fill a store, train and measure: NULL, wrong options, progress that cancels,
 * and what they do. Also distillation, export, and how a model moves a query.
 * usage: training FIXTURES MODEL_FOLDER [quick]
 *
 * `quick` embeds nothing, for valgrind.
 */
#define _POSIX_C_SOURCE 200809L

#include "errors.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *own, *database, *pairs, *embeddings, *text_model;

/* What a progress function was told. */
typedef struct {
    unsigned calls, stop_at;
    char stage[32];
    uint64_t done, total;
    int losses;
} told;

static int32_t tell(void *context, const char *stage, uint64_t done, uint64_t total, double loss)
{
    told *t = (told *)context;
    t->calls++;
    snprintf(t->stage, sizeof t->stage, "%s", stage);
    t->done = done;
    t->total = total;
    t->losses += !isnan(loss);
    return t->calls == t->stop_at;
}

static int has(projection_text *text, const char *part)
{
    int found = strstr(projection_text_data(text), part) != NULL &&
                strlen(projection_text_data(text)) == projection_text_len(text);
    if (!found) {
        printf("%s\n", projection_text_data(text));
    }
    projection_text_free(text);
    return found;
}

static void texts(void)
{
    group("training: texts");
    NULL_HANDLE(projection_text_data, text, *projection_text_data(NULL) == '\0');
    NULL_HANDLE(projection_text_len, text, projection_text_len(NULL) == 0);
    NULL_HANDLE(projection_text_free, text, (projection_text_free(NULL), 1));
}

static void imports(const char *fixtures)
{
    static const char *const none[] = {NULL};
    static const char *const retry = "{\"retry_failed\": true}";
    const char *paths[2];
    char *nameless = embedding_options(fixtures, " ");
    projection_text *text = NULL;
    told progress = {0, 0, "", 0, 0, 0};
    paths[0] = pairs;
    paths[1] = "no/such.json";
    group("training: imports");
    NULL_ARGUMENT(projection_import, database, NULL, paths, 1, retry, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_import, paths, database, NULL, 1, retry, NULL, NULL, &out.text);
    FAILS(INVALID_ARGUMENT, "argument paths[0] is NULL", projection_import, database, none, 1,
          retry, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_import, result, database, paths, 1, retry, NULL, NULL, NULL);
    FAILS(INVALID_ARGUMENT, "unknown field `retry`", projection_import, database, paths, 1,
          "{\"retry\": true}", NULL, NULL, &out.text);
    FAILS(INVALID_ARGUMENT, "expected a boolean", projection_import, database, paths, 1,
          "{\"retry_failed\": 2}", NULL, NULL, &out.text);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "none.db", projection_import, "no/such/none.db", NULL, 0,
          retry, NULL, NULL, &out.text);
    check_untouched();
    OPTIONAL_ARGUMENT(projection_import, options, database, paths, 2, NULL, tell, &progress,
                      &text);
    CHECK(has(text, "\"outcome\":\"imported\""));
    CHECK(strcmp(progress.stage, "importing") == 0 && progress.done == 2 && progress.total == 2);
    /* A NULL function takes no notice of the context. */
    OPTIONAL_ARGUMENT(projection_import, context, database, paths, 2, retry, NULL, NULL,
                      &text);
    CHECK(has(text, "\"outcome\":\"failed\""));

    NULL_ARGUMENT(projection_import_embeddings, database, NULL, embeddings, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_import_embeddings, options, database, NULL, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_import_embeddings, result, database, embeddings, NULL, NULL, NULL);
    FAILS(INVALID_ARGUMENT, "missing field `labels`", projection_import_embeddings, database,
          "{\"model_name\": \"mine\", \"answers\": \"a\", \"questions\": \"q\"}", NULL, NULL,
          &out.text);
    FAILS(INVALID_ARGUMENT, "unknown field `label`", projection_import_embeddings, database,
          "{\"label\": \"l\"}", NULL, NULL, &out.text);
    FAILS(INVALID_ARGUMENT, "options.model_name is empty", projection_import_embeddings, database,
          nameless, NULL, NULL, &out.text);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "no/such.npy", projection_import_embeddings, database,
          "{\"model_name\": \"mine\", \"answers\": \"no/such.npy\", \"questions\": \"q\", "
          "\"labels\": \"l\"}",
          NULL, NULL, &out.text);
    check_untouched();
    free(nameless);
    OPTIONAL_CANCELLED(projection_import_embeddings, context, own, embeddings, stop_at_once, NULL,
                       &out.text);
    SUCCEEDS(projection_import_embeddings, own, embeddings, NULL, NULL, &text);
    CHECK(has(text, "\"dimension\":8"));
}

static void embedding(int quick)
{
    projection_text *text = NULL;
    projection_store *store = NULL;
    projection_embedder *embedder = NULL;
    told progress = {0, 1, "", 0, 0, 0};
    group("training: embedding");
    NULL_ARGUMENT(projection_embed_store, database, NULL, text_model, NULL, NULL, NULL,
                  &out.text);
    NULL_ARGUMENT(projection_embed_store, model_dir, database, NULL, NULL, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_embed_store, result, database, text_model, NULL, NULL, NULL, NULL);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "no/such", projection_embed_store, database, "no/such",
          NULL, NULL, NULL, &out.text);
    check_untouched();
    if (quick) {
        return;
    }
    CHECK(projection_embed_store(database, text_model, NULL, tell, &progress, &out.text, NULL) ==
          PROJECTION_STATUS_CANCELLED);
    check_untouched();
    progress.stop_at = 0;
    FAILS(PROJECTION_STATUS_INVALID_ARGUMENT, "options", projection_embed_store, database,
          text_model, "[]", NULL, NULL, &out.text);
    OPTIONAL_ARGUMENT(projection_embed_store, options, database, text_model, NULL, tell,
                      &progress, &text);
    CHECK(has(text, "\"model\":\"all-MiniLM-L6-v2\""));
    CHECK(strcmp(progress.stage, "embedding") == 0 && progress.done == progress.total);
    SUCCEEDS(projection_store_open, database, NULL, &store);
    SUCCEEDS(projection_embedder_load, text_model, &embedder);
    NULL_ARGUMENT(projection_store_check_embedder, store, NULL, NULL, embedder);
    NULL_ARGUMENT(projection_store_check_embedder, embedder, store, NULL, NULL);
    OPTIONAL_ARGUMENT(projection_store_check_embedder, model_name, store, NULL, embedder);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "no embedding model 'none'", projection_store_check_embedder, store, "none",
          embedder);
    projection_embedder_free(embedder);
    projection_store_free(store);
    OPTIONAL_ARGUMENT(projection_embed_store, context, database, text_model,
                      "{\"model_name\": \"again\"}", NULL, NULL,
                      &text);
    CHECK(has(text, "\"model\":\"again\""));
}

static void trains(void)
{
    static const char *const options = "{\"method\": \"residual\", \"force\": true}";
    projection_text *text = NULL;
    projection_model *model = NULL;
    projection_store *store = NULL;
    unsigned stop_at;
    told progress = {0, 0, "", 0, 0, 0};
    group("training: training");
    NULL_ARGUMENT(projection_train, database, NULL, options, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_train, result, own, options, NULL, NULL, NULL);
    FAILS(INVALID_ARGUMENT, "unknown field `methods`", projection_train, own,
          "{\"methods\": \"auto\"}", NULL, NULL, &out.text);
    FAILS(INVALID_ARGUMENT, "'deep', expected one of auto", projection_train, own,
          "{\"method\": \"deep\"}", NULL, NULL, &out.text);
    FAILS(INVALID_ARGUMENT, "options is not UTF-8", projection_train, own, "\xff", NULL, NULL,
          &out.text);
    FAILS(INVALID_ARGUMENT, "expected a boolean", projection_train, own, "{\"tune\": 7}", NULL,
          NULL, &out.text);
    FAILS(INVALID_ARGUMENT, "temperature is -1", projection_train, own, "{\"temperature\": -1}",
          NULL, NULL, &out.text);
    FAILS(INVALID_ARGUMENT, "unseen is 1.5", projection_train, own, "{\"unseen\": 1.5}", NULL,
          NULL, &out.text);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "none.db", projection_train, "no/none.db", options, NULL,
          NULL, &out.text);
    check_untouched();
    /* Stopped at different places, nothing is stored. */
    for (stop_at = 1; stop_at <= 5; stop_at++) {
        projection_error *error = NULL;
        projection_status status;
        progress.calls = 0;
        progress.stop_at = stop_at;
        status = projection_train(own, options, tell, &progress, &out.text, &error);
        check_status(status, PROJECTION_STATUS_CANCELLED, error, "cancelled by the caller",
                     __FILE__, __LINE__);
        CHECK(progress.calls == stop_at);
    }
    check_untouched();
    progress.stop_at = 0;
    SUCCEEDS(projection_train, own, options, tell, &progress, &text);
    CHECK(progress.losses > 0);
    CHECK(has(text, "\"id\":1,\"method\":\"residual\",\"kind\":\"residual\""));
    SUCCEEDS(open_model, own, 1, &model);
    CHECK(projection_model_kind(model) == PROJECTION_KIND_RESIDUAL);
    projection_model_free(model);
    OPTIONAL_ARGUMENT(projection_train, context, own,
                      "{\"method\": \"multi-head\", \"force\": true}", NULL, NULL, &text);
    CHECK(has(text, "\"kind\":\"multi_head\""));
    /* It may be worse than the other one, which then stays active. */
    SUCCEEDS(projection_store_open, own, "{\"mode\": \"write\"}", &store);
    SUCCEEDS(projection_store_change_models, store, "{\"action\": \"activate\", \"id\": 2}",
             &text);
    CHECK(has(text, "\"active\":true"));
    projection_store_free(store);
}

static void evaluates(void)
{
    projection_text *text = NULL;
    char *half;
    told progress = {0, 1, "", 0, 0, 0};
    size_t size = strlen(pairs) + 32;
    group("training: evaluation");
    half = (char *)allocate(size);
    snprintf(half, size, "{\"test\": \"%s\"}", pairs);
    NULL_ARGUMENT(projection_evaluate, database, NULL, NULL, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_evaluate, result, own, NULL, NULL, NULL, NULL);
    FAILS(INVALID_ARGUMENT, "invalid type", projection_evaluate, own, "{\"projections\": 1}", NULL,
          NULL, &out.text);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "99", projection_evaluate, own, "{\"projections\": [99]}",
          NULL, NULL, &out.text);
    FAILS(INVALID_ARGUMENT, "folds is 1", projection_evaluate, own, "{\"folds\": 1}", NULL, NULL,
          &out.text);
    FAILS(INVALID_ARGUMENT, "expected test with model_dir", projection_evaluate, own, half, NULL,
          NULL, &out.text);
    FAILS(PROJECTION_STATUS_CANCELLED, "cancelled by the caller", projection_evaluate, own, NULL,
          tell, (progress.calls = 0, &progress), &out.text);
    check_untouched();
    free(half);
    progress.stop_at = 0;
    SUCCEEDS(projection_evaluate, own, "{\"projections\": [2, 1, 2]}", tell, &progress, &text);
    CHECK(has(text, "\"protocol\":\"closed\""));
    OPTIONAL_ARGUMENT(projection_evaluate, options, own, NULL, NULL, NULL, &text);
    CHECK(has(text, "\"projection_id\":2"));
    OPTIONAL_ARGUMENT(projection_evaluate, context, own, "{\"projections\": [2, 1]}", NULL, NULL,
                      &text);
    CHECK(has(text, "\"projection_id\":1"));
}

static void explains(void)
{
    static const float query[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    projection_model *model = NULL;
    projection_text *text = NULL;
    const char *at;
    group("training: how a model moves a query");
    SUCCEEDS(open_model, own, 1, &model);
    NULL_ARGUMENT(projection_model_explain, model, NULL, query, 8, &out.text);
    NULL_ARGUMENT(projection_model_explain, query, model, NULL, 8, &out.text);
    NULL_ARGUMENT(projection_model_explain, result, model, query, 8, NULL);
    FAILS(DIMENSION_MISMATCH, "7, expected 8", projection_model_explain, model, query, 7,
          &out.text);
    check_untouched();
    SUCCEEDS(projection_model_explain, model, query, 8, &text);
    at = projection_text_data(text);
    CHECK(number_after(&at, "angle") > 0);
    CHECK(number_after(&at, "cluster_id") > 0);
    CHECK(strstr(at, "\"hits\":[]") != NULL && strstr(at, "\"text\":null") != NULL);
    projection_text_free(text);
    projection_model_free(model);
}

/* The options of a short distillation, and `more`. */
#define SHORT(more)                                                                            \
    "{\"layers\": 1, \"ff_dim\": 8, \"epochs\": 3, \"samples\": 16, \"threads\": 1" more "}"

/* A teacher that turns every query of 8 values around, as often as `context` says. */
static int32_t turn(void *context, const float *queries, size_t n, float *projected)
{
    unsigned *left = (unsigned *)context;
    size_t i;
    for (i = 0; i < n * 8; i++) {
        projected[i] = -queries[i];
    }
    return left != NULL && (*left)-- == 0;
}

static int32_t teach_nothing(void *context, const float *queries, size_t n, float *projected)
{
    (void)context, (void)queries;
    memset(projected, 0xff, n * 8 * sizeof *projected);
    return 0;
}

static void distils_function(const float *rows, const char *options, const char *first)
{
    projection_model *student = NULL;
    told progress = {0, 1, "", 0, 0, 0};
    unsigned left;
    float projected[8];
    group("training: distillation of a function");
    FAILS(INVALID_ARGUMENT, "argument teacher is NULL", projection_function_distill, NULL, NULL, 8, 8,
          rows, 4, options, NULL, NULL, &out.model);
    NULL_ARGUMENT(projection_function_distill, questions, turn, NULL, 8, 8, NULL, 4, options, NULL,
                  NULL, &out.model);
    NULL_ARGUMENT(projection_function_distill, student, turn, NULL, 8, 8, rows, 4, options, NULL,
                  NULL, NULL);
    FAILS(INVALID_ARGUMENT, "output_dim is 0", projection_function_distill, turn, NULL, 8, 0, rows, 4,
          options, NULL, NULL, &out.model);
    FAILS(INVALID_ARGUMENT, "expected neither", projection_function_distill, turn, NULL, 8, 8, rows,
          4, first, NULL, NULL, &out.model);
    FAILS(PROJECTION_STATUS_CANCELLED, "teacher", projection_function_distill, turn,
          (left = 1, &left), 8, 8, rows, 4, options, NULL, NULL, &out.model);
    FAILS(PROJECTION_STATUS_NOT_FINITE, "the teacher's projection holds NaN",
          projection_function_distill, teach_nothing, NULL, 8, 8, rows, 4, options, NULL, NULL,
          &out.model);
    OPTIONAL_CANCELLED(projection_function_distill, options, turn, NULL, 8, 8, rows, 4, NULL, tell,
                       (progress.calls = 0, &progress), &out.model);
    check_untouched();
    OPTIONAL_ARGUMENT(projection_function_distill, teacher_context, turn, NULL, 8, 8, rows, 4, options,
                      NULL, NULL, &student);
    OPTIONAL_ARGUMENT(projection_model_project, weights, student, rows, 8, projected, 8, NULL, 0);
    CHECK(projected[0] < 0 && projected[7] < 0);
    projection_model_free(student);
    OPTIONAL_ARGUMENT(projection_function_distill, context, turn, NULL, 8, 8, rows, 4, options, NULL,
                      NULL, &student);
    projection_model_free(student);
}

static void distils(const char *folder)
{
    static const float rows[4][8] = {{1, 2, 3, 4, 5, 6, 7, 8},
                                     {8, 7, 6, 5, 4, 3, 2, 1},
                                     {1, -1, 1, -1, 1, -1, 1, -1},
                                     {1, 0, 0, 2, 0, 0, 3, 0}};
    static const char *const options = SHORT(", \"heads\": 2");
    static const char *const first = SHORT(", \"heads\": 2, \"projection\": 1");
    projection_text *text = NULL;
    projection_model *teacher = NULL, *student = NULL;
    told progress = {0, 1, "", 0, 0, 0};
    char *output = join(folder, "t.safetensors");
    group("training: distillation");
    NULL_ARGUMENT(projection_distill, database, NULL, output, options, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_distill, output, own, NULL, options, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_distill, result, own, output, options, NULL, NULL, NULL);
    FAILS(INVALID_ARGUMENT, "unknown field `ff_dims`", projection_distill, own, output,
          "{\"ff_dims\": 8}", NULL, NULL, &out.text);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "99", projection_distill, own, output,
          SHORT(", \"projection\": 99"), NULL, NULL, &out.text);
    FAILS(INVALID_ARGUMENT, "3", projection_distill, own, output, SHORT(", \"heads\": 3"), NULL,
          NULL, &out.text);
    FAILS(INVALID_ARGUMENT, "cosine weight 1.5", projection_distill, own, output,
          SHORT(", \"cosine_weight\": 1.5"), NULL, NULL, &out.text);
    /* The store is not replaced. */
    FAILS(INVALID_ARGUMENT, "expected another output", projection_distill, own, own, options,
          NULL, NULL, &out.text);
    FAILS(PROJECTION_STATUS_CANCELLED, "cancelled by the caller", projection_distill, own, output,
          options, tell, (progress.calls = 0, &progress), &out.text);
    check_untouched();
    /* None of these wrote the file. */
    FAILS(PROJECTION_STATUS_NOT_FOUND, "t.safetensors", projection_model_load_file, output,
          &out.model);
    progress.stop_at = 1;
    OPTIONAL_CANCELLED(projection_distill, options, own, output, NULL, tell,
                       (progress.calls = 0, &progress), &out.text);
    progress.stop_at = 0;
    progress.losses = 0;
    SUCCEEDS(projection_distill, own, output, first, tell, &progress, &text);
    CHECK(progress.losses > 0);
    CHECK(has(text, "\"projection_id\":1,\"kind\":\"residual\""));
    SUCCEEDS(projection_model_load_file, output, &student);
    CHECK(projection_model_kind(student) == PROJECTION_KIND_TRANSFORMER);
    projection_model_free(student);
    OPTIONAL_ARGUMENT(projection_distill, context, own, output, options, NULL, NULL, &text);
    CHECK(has(text, "\"held_out\":{\"questions\":"));

    group("training: distillation of a model");
    SUCCEEDS(open_model, own, 1, &teacher);
    NULL_ARGUMENT(projection_model_distill, teacher, NULL, rows[0], 4, options, NULL, NULL,
                  &out.model);
    NULL_ARGUMENT(projection_model_distill, questions, teacher, NULL, 4, options, NULL, NULL,
                  &out.model);
    NULL_ARGUMENT(projection_model_distill, student, teacher, rows[0], 4, options, NULL, NULL,
                  NULL);
    FAILS(PROJECTION_STATUS_INVALID_MODEL, "expected at least 4", projection_model_distill,
          teacher, rows[0], 3, options, NULL, NULL, &out.model);
    FAILS(INVALID_ARGUMENT, "more than memory can hold", projection_model_distill, teacher, rows[0],
          (size_t)-1 / 2, options, NULL, NULL, &out.model);
    FAILS(INVALID_ARGUMENT, "expected neither", projection_model_distill, teacher, rows[0], 4, first,
          NULL, NULL, &out.model);
    progress.stop_at = 2;
    FAILS(PROJECTION_STATUS_CANCELLED, "cancelled by the caller", projection_model_distill, teacher,
          rows[0], 4, options, tell, (progress.calls = 0, &progress), &out.model);
    progress.stop_at = 1;
    OPTIONAL_CANCELLED(projection_model_distill, options, teacher, rows[0], 4, NULL, tell,
                       (progress.calls = 0, &progress), &out.model);
    check_untouched();
    OPTIONAL_ARGUMENT(projection_model_distill, context, teacher, rows[0], 4, options, NULL, NULL,
                      &student);
    CHECK(projection_model_kind(student) == PROJECTION_KIND_TRANSFORMER);
    projection_model_free(student);
    projection_model_free(teacher);
    free(output);
    distils_function(rows[0], options, first);
}

static void exports(const char *folder)
{
    static const char *const options = "{\"projection\": 1}";
    projection_text *text = NULL;
    projection_model *model = NULL;
    char *output = join(folder, "one.safetensors");
    group("training: export");
    NULL_ARGUMENT(projection_export, database, NULL, output, options, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_export, output, own, NULL, options, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_export, result, own, output, options, NULL, NULL, NULL);
    FAILS(INVALID_ARGUMENT, "unknown field `id`", projection_export, own, output, "{\"id\": 1}",
          NULL, NULL, &out.text);
    FAILS(INVALID_ARGUMENT, "'zip', expected one of safetensors, onnx", projection_export, own,
          output, "{\"format\": \"zip\"}", NULL, NULL, &out.text);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "99", projection_export, own, output,
          "{\"projection\": 99}", NULL, NULL, &out.text);
    FAILS(INVALID_ARGUMENT, "temperature", projection_export, own, output,
          "{\"projection\": 1, \"temperature\": -1}", NULL, NULL, &out.text);
    /* The store is not replaced. */
    FAILS(INVALID_ARGUMENT, "expected another output", projection_export, own, own, options,
          NULL, NULL, &out.text);
    check_untouched();
    OPTIONAL_CANCELLED(projection_export, context, own, output, options, stop_at_once, NULL,
                       &out.text);
    SUCCEEDS(projection_export, own, output, options, NULL, NULL, &text);
    CHECK(has(text, "\"projection_id\":1,\"kind\":\"residual\""));
    SUCCEEDS(projection_model_load_file, output, &model);
    CHECK(projection_model_kind(model) == PROJECTION_KIND_RESIDUAL);
    projection_model_free(model);
    SUCCEEDS(projection_export, own, output, "{\"projection\": 1, \"format\": \"onnx\"}", NULL,
             NULL, &text);
    CHECK(has(text, "\"format\":\"onnx\""));
    OPTIONAL_ARGUMENT(projection_export, options, own, output, NULL, NULL, NULL, &text);
    CHECK(has(text, "\"projection_id\":2"));
    free(output);
}

/* Feedback goes to the query log, which the fingerprint does not depend on. */
static void feedback(void)
{
    projection_store *store = NULL;
    projection_text *before = NULL, *after = NULL, *text = NULL;
    group("training: feedback");
    SUCCEEDS(projection_store_open, own, "{\"mode\": \"write\"}", &store);
    SUCCEEDS(projection_store_fingerprint, store, &before);
    SUCCEEDS(projection_store_log_feedback, store,
             "[{\"query\": \"why?\", \"helpful\": true, \"selected\": 1, \"results\": [1, 2]}, "
             "{\"query\": \"why?\", \"helpful\": true, \"selected\": 999}]",
             &text);
    CHECK(has(text, "[1,null]"));
    SUCCEEDS(projection_store_fingerprint, store, &after);
    CHECK(strcmp(projection_text_data(before), projection_text_data(after)) == 0);
    projection_text_free(before);
    projection_text_free(after);
    projection_store_free(store);
}

/* Training with NULL for the options tunes, which is left to the end. */
static void defaults(void)
{
    projection_text *text = NULL;
    projection_status status;
    projection_error *error = NULL;
    group("training: defaults");
    OPTIONAL_ARGUMENT(projection_train, options, own, NULL, NULL, NULL, &text);
    CHECK(has(text, "\"method\":\"auto\""));
    status = projection_train(own, NULL, NULL, NULL, &text, &error);
    check_status(status, PROJECTION_STATUS_OK, error, "", __FILE__, __LINE__);
    projection_text_free(text);
}

int main(int argc, char **argv)
{
    char name[64];
    char *folder;
    if (argc < 3) {
        stop("usage: training FIXTURES MODEL_FOLDER [quick]");
    }
    /* A folder of its own: several of these programs may run at a time. */
    snprintf(name, sizeof name, "training/%ld", (long)getpid());
    folder = join(argv[1], name);
    if (mkdir(folder, 0755) != 0) {
        stop("can't make the folder");
    }
    database = join(folder, "lda.db");
    own = join(folder, "own.db");
    pairs = join(argv[1], "training/pairs.json");
    embeddings = embedding_options(argv[1], "mine");
    text_model = argv[2];
    fill_outputs();
    texts();
    imports(argv[1]);
    embedding(argc > 3);
    trains();
    evaluates();
    explains();
    distils(folder);
    exports(folder);
    feedback();
    defaults();
    free(embeddings);
    free(pairs);
    free(own);
    free(database);
    free(folder);
    return finish();
}
