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

static char *own, *database, *pairs, *answers, *questions, *labels, *text_model;

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
    return t->calls != t->stop_at;
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

static projection_import_vectors_options vectors(void)
{
    projection_import_vectors_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.model_name = "mine";
    options.answers = answers;
    options.questions = questions;
    options.labels = labels;
    return options;
}

static void texts(void)
{
    group("training: texts");
    NULL_HANDLE(projection_text_data, text, *projection_text_data(NULL) == '\0');
    NULL_HANDLE(projection_text_len, text, projection_text_len(NULL) == 0);
    NULL_HANDLE(projection_text_free, text, (projection_text_free(NULL), 1));
}

static void imports(void)
{
    static const char *const none[] = {NULL};
    const char *paths[2];
    projection_import_options options = {sizeof options, 0};
    projection_import_vectors_options own_vectors = vectors(), wrong;
    struct {
        projection_import_vectors_options known;
        int64_t unknown;
    } newer;
    projection_text *text = NULL;
    told progress = {0, 0, "", 0, 0, 0};
    paths[0] = pairs;
    paths[1] = "no/such.json";
    group("training: imports");
    NULL_ARGUMENT(projection_import, database, NULL, paths, 1, &options, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_import, paths, database, NULL, 1, &options, NULL, NULL, &out.text);
    FAILS(INVALID_ARGUMENT, "argument paths[0] is NULL", projection_import, database, none, 1,
          &options, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_import, result, database, paths, 1, &options, NULL, NULL, NULL);
    options.size = 3;
    FAILS(INVALID_ARGUMENT, "sizeof(projection_import_options)", projection_import, database,
          paths, 1, &options, NULL, NULL, &out.text);
    options.size = sizeof options;
    options.retry_failed = 2;
    FAILS(INVALID_ARGUMENT, "retry_failed is 2, expected 0 or 1", projection_import, database,
          paths, 1, &options, NULL, NULL, &out.text);
    options.retry_failed = 1;
    FAILS(PROJECTION_STATUS_NOT_FOUND, "none.db", projection_import, "no/such/none.db", NULL, 0,
          &options, NULL, NULL, &out.text);
    check_untouched();
    OPTIONAL_ARGUMENT(projection_import, options, database, paths, 2, NULL, tell, &progress,
                      &text);
    CHECK(has(text, "\"outcome\":\"imported\""));
    CHECK(strcmp(progress.stage, "importing") == 0 && progress.done == 2 && progress.total == 2);
    /* A NULL function takes no notice of the context. */
    OPTIONAL_ARGUMENT(projection_import, context, database, paths, 2, &options, NULL, NULL,
                      &text);
    CHECK(has(text, "\"outcome\":\"failed\""));

    NULL_ARGUMENT(projection_import_vectors, database, NULL, &own_vectors, &out.text);
    NULL_ARGUMENT(projection_import_vectors, options, database, NULL, &out.text);
    NULL_ARGUMENT(projection_import_vectors, result, database, &own_vectors, NULL);
    wrong = own_vectors;
    wrong.labels = NULL;
    FAILS(INVALID_ARGUMENT, "argument options.labels is NULL", projection_import_vectors,
          database, &wrong, &out.text);
    wrong = own_vectors;
    wrong.model_name = " ";
    FAILS(INVALID_ARGUMENT, "options.model_name is empty", projection_import_vectors, database,
          &wrong, &out.text);
    wrong = own_vectors;
    wrong.texts = "no/such.json";
    FAILS(PROJECTION_STATUS_NOT_FOUND, "no/such.json", projection_import_vectors, database,
          &wrong, &out.text);
    memset(&newer, 0, sizeof newer);
    newer.known = own_vectors;
    newer.known.size = sizeof newer;
    newer.unknown = 1;
    FAILS(INVALID_ARGUMENT, "that this version does not know", projection_import_vectors,
          database, &newer.known, &out.text);
    check_untouched();
    SUCCEEDS(projection_import_vectors, own, &own_vectors, &text);
    CHECK(has(text, "\"dimension\":8"));
}

static void embedding(int quick)
{
    projection_text *text = NULL;
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
    OPTIONAL_ARGUMENT(projection_embed_store, model_name, database, text_model, NULL, tell,
                      &progress, &text);
    CHECK(has(text, "\"model\":\"all-MiniLM-L6-v2\""));
    CHECK(strcmp(progress.stage, "embedding") == 0 && progress.done == progress.total);
    OPTIONAL_ARGUMENT(projection_embed_store, context, database, text_model, "again", NULL, NULL,
                      &text);
    CHECK(has(text, "\"model\":\"again\""));
}

static projection_train_options training(const char *method)
{
    projection_train_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.method = method;
    options.force = 1;
    return options;
}

static void trains(void)
{
    projection_train_options options = training("residual"), wrong;
    projection_text *text = NULL;
    projection_model *model = NULL;
    double share = 1.5;
    unsigned stop_at;
    told progress = {0, 0, "", 0, 0, 0};
    group("training: training");
    NULL_ARGUMENT(projection_train, database, NULL, &options, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_train, result, own, &options, NULL, NULL, NULL);
    wrong = options;
    wrong.size = 0;
    FAILS(INVALID_ARGUMENT, "sizeof(projection_train_options)", projection_train, own, &wrong,
          NULL, NULL, &out.text);
    wrong = training("deep");
    FAILS(INVALID_ARGUMENT, "'deep', expected one of auto", projection_train, own, &wrong, NULL,
          NULL, &out.text);
    wrong = training("\xff");
    FAILS(INVALID_ARGUMENT, "options.method is not UTF-8", projection_train, own, &wrong, NULL,
          NULL, &out.text);
    wrong = options;
    wrong.tune = 7;
    FAILS(INVALID_ARGUMENT, "options.tune is 7", projection_train, own, &wrong, NULL, NULL,
          &out.text);
    wrong = options;
    wrong.temperature = -1;
    FAILS(INVALID_ARGUMENT, "options.temperature is -1", projection_train, own, &wrong, NULL,
          NULL, &out.text);
    wrong = options;
    wrong.unheaded = &share;
    FAILS(INVALID_ARGUMENT, "options.unheaded is 1.5", projection_train, own, &wrong, NULL, NULL,
          &out.text);
    FAILS(PROJECTION_STATUS_NOT_FOUND, "none.db", projection_train, "no/none.db", &options, NULL,
          NULL, &out.text);
    check_untouched();
    /* Stopped at different places, nothing is stored. */
    for (stop_at = 1; stop_at <= 5; stop_at++) {
        projection_error *error = NULL;
        projection_status status;
        progress.calls = 0;
        progress.stop_at = stop_at;
        status = projection_train(own, &options, tell, &progress, &out.text, &error);
        check_status(status, PROJECTION_STATUS_CANCELLED, error, "stopped by the caller",
                     __FILE__, __LINE__);
        CHECK(progress.calls == stop_at);
    }
    check_untouched();
    progress.stop_at = 0;
    SUCCEEDS(projection_train, own, &options, tell, &progress, &text);
    CHECK(progress.losses > 0);
    CHECK(has(text, "\"id\":1,\"method\":\"residual\",\"kind\":\"residual\""));
    SUCCEEDS(projection_model_open, own, 1, &model);
    CHECK(projection_model_kind(model) == PROJECTION_KIND_RESIDUAL);
    projection_model_free(model);
    options = training("multi-head");
    OPTIONAL_ARGUMENT(projection_train, context, own, &options, NULL, NULL, &text);
    CHECK(has(text, "\"kind\":\"multi_head\""));
}

static projection_evaluate_options evaluation(void)
{
    projection_evaluate_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    return options;
}

static void evaluates(void)
{
    static const int64_t ids[] = {2, 1, 2}, unknown[] = {99};
    projection_evaluate_options options = evaluation(), wrong;
    projection_text *text = NULL;
    told progress = {0, 1, "", 0, 0, 0};
    group("training: evaluation");
    NULL_ARGUMENT(projection_evaluate, database, NULL, &options, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_evaluate, result, own, &options, NULL, NULL, NULL);
    wrong = options;
    wrong.projections_len = 1;
    FAILS(INVALID_ARGUMENT, "argument options.projections is NULL", projection_evaluate, own,
          &wrong, NULL, NULL, &out.text);
    wrong.projections = unknown;
    FAILS(PROJECTION_STATUS_NOT_FOUND, "99", projection_evaluate, own, &wrong, NULL, NULL,
          &out.text);
    wrong = options;
    wrong.folds = 1;
    FAILS(INVALID_ARGUMENT, "folds is 1", projection_evaluate, own, &wrong, NULL, NULL,
          &out.text);
    wrong = options;
    wrong.test = pairs;
    FAILS(INVALID_ARGUMENT, "expected test with model_dir", projection_evaluate, own, &wrong,
          NULL, NULL, &out.text);
    FAILS(PROJECTION_STATUS_CANCELLED, "stopped by the caller", projection_evaluate, own,
          &options, tell, (progress.calls = 0, &progress), &out.text);
    check_untouched();
    options.projections = ids;
    options.projections_len = 3;
    progress.stop_at = 0;
    SUCCEEDS(projection_evaluate, own, &options, tell, &progress, &text);
    CHECK(has(text, "\"regime\":\"closed\""));
    OPTIONAL_ARGUMENT(projection_evaluate, options, own, NULL, NULL, NULL, &text);
    CHECK(has(text, "\"projection_id\":2"));
    OPTIONAL_ARGUMENT(projection_evaluate, context, own, &options, NULL, NULL, &text);
    CHECK(has(text, "\"projection_id\":1"));
}

static void explains(void)
{
    static const float query[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    projection_model *model = NULL;
    projection_explanation *found = NULL;
    size_t count = 0;
    group("training: how a model moves a query");
    SUCCEEDS(projection_model_open, own, 1, &model);
    NULL_ARGUMENT(projection_model_explain, model, NULL, query, 8, &out.explanation);
    NULL_ARGUMENT(projection_model_explain, query, model, NULL, 8, &out.explanation);
    NULL_ARGUMENT(projection_model_explain, explanation, model, query, 8, NULL);
    FAILS(DIMENSION_MISMATCH, "7, expected 8", projection_model_explain, model, query, 7,
          &out.explanation);
    check_untouched();
    SUCCEEDS(projection_model_explain, model, query, 8, &found);
    CHECK(projection_explanation_angle(found) > 0);
    CHECK(projection_explanation_hits(found, &count) == NULL || count == 0);
    CHECK(projection_explanation_heads(found, &count) != NULL &&
          count == projection_model_num_heads(model));
    CHECK(projection_explanation_questions(found, &count)[0].text == NULL && count > 0);
    projection_explanation_free(found);
    projection_model_free(model);
}

static projection_distill_options distillation(void)
{
    projection_distill_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.heads = 2;
    options.layers = 1;
    options.ff_dim = 8;
    options.epochs = 3;
    options.samples = 16;
    options.threads = 1;
    return options;
}

static void distils(const char *folder)
{
    static const float rows[4][8] = {{1, 2, 3, 4, 5, 6, 7, 8},
                                     {8, 7, 6, 5, 4, 3, 2, 1},
                                     {1, -1, 1, -1, 1, -1, 1, -1},
                                     {1, 0, 0, 2, 0, 0, 3, 0}};
    static const int64_t first = 1, unknown = 99;
    static const double too_much = 1.5;
    projection_distill_options options = distillation(), wrong;
    projection_text *text = NULL;
    projection_model *teacher = NULL, *student = NULL;
    told progress = {0, 1, "", 0, 0, 0};
    char *output = join(folder, "t.safetensors");
    group("training: distillation");
    NULL_ARGUMENT(projection_distill, database, NULL, output, &options, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_distill, output, own, NULL, &options, NULL, NULL, &out.text);
    NULL_ARGUMENT(projection_distill, result, own, output, &options, NULL, NULL, NULL);
    wrong = options;
    wrong.size = 0;
    FAILS(INVALID_ARGUMENT, "sizeof(projection_distill_options)", projection_distill, own, output,
          &wrong, NULL, NULL, &out.text);
    wrong = options;
    wrong.projection = &unknown;
    FAILS(PROJECTION_STATUS_NOT_FOUND, "99", projection_distill, own, output, &wrong, NULL, NULL,
          &out.text);
    wrong = options;
    wrong.heads = 3;
    FAILS(INVALID_ARGUMENT, "3", projection_distill, own, output, &wrong, NULL, NULL, &out.text);
    wrong = options;
    wrong.cosine_weight = &too_much;
    FAILS(INVALID_ARGUMENT, "cosine weight 1.5", projection_distill, own, output, &wrong, NULL,
          NULL, &out.text);
    /* The store is not replaced. */
    FAILS(INVALID_ARGUMENT, "expected another output", projection_distill, own, own, &options,
          NULL, NULL, &out.text);
    FAILS(PROJECTION_STATUS_CANCELLED, "stopped by the caller", projection_distill, own, output,
          &options, tell, (progress.calls = 0, &progress), &out.text);
    check_untouched();
    /* None of these wrote the file. */
    FAILS(PROJECTION_STATUS_NOT_FOUND, "t.safetensors", projection_model_load_file, output,
          &out.model);
    progress.stop_at = 1;
    OPTIONAL_CANCELLED(projection_distill, options, own, output, NULL, tell,
                       (progress.calls = 0, &progress), &out.text);
    progress.stop_at = 0;
    progress.losses = 0;
    options.projection = &first;
    SUCCEEDS(projection_distill, own, output, &options, tell, &progress, &text);
    CHECK(progress.losses > 0);
    CHECK(has(text, "\"projection_id\":1,\"kind\":\"residual\""));
    SUCCEEDS(projection_model_load_file, output, &student);
    CHECK(projection_model_kind(student) == PROJECTION_KIND_TRANSFORMER);
    projection_model_free(student);
    OPTIONAL_ARGUMENT(projection_distill, context, own, output, &options, NULL, NULL, &text);
    CHECK(has(text, "\"held_out\":{\"questions\":"));

    group("training: distillation of a model");
    options.projection = NULL;
    SUCCEEDS(projection_model_open, own, 1, &teacher);
    NULL_ARGUMENT(projection_model_distill, teacher, NULL, rows[0], 4, &options, NULL, NULL,
                  &out.model);
    NULL_ARGUMENT(projection_model_distill, questions, teacher, NULL, 4, &options, NULL, NULL,
                  &out.model);
    NULL_ARGUMENT(projection_model_distill, student, teacher, rows[0], 4, &options, NULL, NULL,
                  NULL);
    FAILS(PROJECTION_STATUS_INVALID_MODEL, "expected at least 4", projection_model_distill,
          teacher, rows[0], 3, &options, NULL, NULL, &out.model);
    FAILS(INVALID_ARGUMENT, "too large", projection_model_distill, teacher, rows[0],
          (size_t)-1 / 2, &options, NULL, NULL, &out.model);
    wrong = options;
    wrong.projection = &first;
    FAILS(INVALID_ARGUMENT, "expected NULL", projection_model_distill, teacher, rows[0], 4, &wrong,
          NULL, NULL, &out.model);
    progress.stop_at = 2;
    FAILS(PROJECTION_STATUS_CANCELLED, "stopped by the caller", projection_model_distill, teacher,
          rows[0], 4, &options, tell, (progress.calls = 0, &progress), &out.model);
    progress.stop_at = 1;
    OPTIONAL_CANCELLED(projection_model_distill, options, teacher, rows[0], 4, NULL, tell,
                       (progress.calls = 0, &progress), &out.model);
    check_untouched();
    OPTIONAL_ARGUMENT(projection_model_distill, context, teacher, rows[0], 4, &options, NULL, NULL,
                      &student);
    CHECK(projection_model_kind(student) == PROJECTION_KIND_TRANSFORMER);
    projection_model_free(student);
    projection_model_free(teacher);
    free(output);
}

static void exports(const char *folder)
{
    static const int64_t first = 1, unknown = 99;
    projection_export_options options, wrong;
    projection_text *text = NULL;
    projection_model *model = NULL;
    char *output = join(folder, "one.safetensors");
    group("training: export");
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.projection = &first;
    NULL_ARGUMENT(projection_export, database, NULL, output, &options, &out.text);
    NULL_ARGUMENT(projection_export, output, own, NULL, &options, &out.text);
    NULL_ARGUMENT(projection_export, result, own, output, &options, NULL);
    wrong = options;
    wrong.size = 0;
    FAILS(INVALID_ARGUMENT, "sizeof(projection_export_options)", projection_export, own, output,
          &wrong, &out.text);
    wrong = options;
    wrong.format = "zip";
    FAILS(INVALID_ARGUMENT, "'zip', expected one of safetensors, onnx", projection_export, own,
          output, &wrong, &out.text);
    wrong = options;
    wrong.projection = &unknown;
    FAILS(PROJECTION_STATUS_NOT_FOUND, "99", projection_export, own, output, &wrong, &out.text);
    wrong = options;
    wrong.temperature = -1;
    FAILS(INVALID_ARGUMENT, "temperature", projection_export, own, output, &wrong, &out.text);
    /* The store is not replaced. */
    FAILS(INVALID_ARGUMENT, "expected another output", projection_export, own, own, &options,
          &out.text);
    check_untouched();
    SUCCEEDS(projection_export, own, output, &options, &text);
    CHECK(has(text, "\"projection_id\":1,\"kind\":\"residual\""));
    SUCCEEDS(projection_model_load_file, output, &model);
    CHECK(projection_model_kind(model) == PROJECTION_KIND_RESIDUAL);
    projection_model_free(model);
    options.format = "onnx";
    SUCCEEDS(projection_export, own, output, &options, &text);
    CHECK(has(text, "\"format\":\"onnx\""));
    OPTIONAL_ARGUMENT(projection_export, options, own, output, NULL, &text);
    CHECK(has(text, "\"projection_id\":2"));
    free(output);
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
    answers = join(argv[1], "training/answers.npy");
    questions = join(argv[1], "training/questions.npy");
    labels = join(argv[1], "training/labels.npy");
    text_model = argv[2];
    fill_outputs();
    texts();
    imports();
    embedding(argc > 3);
    trains();
    evaluates();
    explains();
    distils(folder);
    exports(folder);
    defaults();
    free(labels);
    free(questions);
    free(answers);
    free(pairs);
    free(own);
    free(database);
    free(folder);
    return finish();
}
