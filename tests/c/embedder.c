/*
 * The embedding model, with the real one. usage: embedder MODEL_FOLDER FIXTURES_FOLDER [quick]
 *
 * `quick` leaves out embedding many texts: under valgrind the network is some fifty times
 * slower.
 */
#include "errors.h"

#include <stdlib.h>

enum { DIM = 384, TEXTS = 5 };

static const char *const texts[TEXTS] = {
    "How do I link the library?",
    "",
    "Größe, naïve, 東京, \xf0\x9f\xa6\x80",
    "A longer text, of several sentences. It is there so that the texts of the batch have "
    "different numbers of tokens, which must not change any vector.",
    "How do I link the library?",
};

static double length_of(const float *vector)
{
    double sum = 0;
    size_t i;
    for (i = 0; i < DIM; i++) {
        sum += (double)vector[i] * (double)vector[i];
    }
    return sqrt(sum);
}

static void vectors(const projection_embedder *embedder)
{
    /* One more than needed, to see that nothing is written behind the end. */
    static float batch[TEXTS * DIM + 1], single[DIM + 1];
    size_t row, i;
    batch[TEXTS * DIM] = single[DIM] = 7;
    SUCCEEDS(projection_embedder_embed_batch, embedder, texts, TEXTS, NULL, NULL, batch, TEXTS * DIM);
    for (row = 0; row < TEXTS; row++) {
        SUCCEEDS(projection_embedder_embed, embedder, texts[row], single, DIM);
        CHECK(fabs(length_of(single) - 1) < 1e-5);
        for (i = 0; i < DIM; i++) {
            CHECK(fabs((double)single[i] - (double)batch[row * DIM + i]) <= 1e-6);
        }
    }
    CHECK(batch[TEXTS * DIM] == 7 && single[DIM] == 7);
    CHECK(memcmp(batch, single, DIM * sizeof *single) == 0);
    CHECK(memcmp(batch + DIM, single, DIM * sizeof *single) != 0);
}

static void arguments(const char *folder, const projection_embedder *embedder)
{
    static float vector[TEXTS * DIM];
    static const char *const gap[] = {"one", "two", NULL};
    static const char *const broken[] = {"one", "tw\xff", "three"};
    static char memory[64];
    const projection_embedder *e = embedder;
    size_t length, i, tokens = 7;
    int which;
    for (i = 0; i < TEXTS * DIM; i++) {
        vector[i] = 7;
    }
    NULL_ARGUMENT(projection_embedder_load, folder, NULL, &out.embedder);
    NULL_ARGUMENT(projection_embedder_load, embedder, folder, NULL);
    NULL_ARGUMENT(projection_embedder_embed, embedder, NULL, "text", vector, DIM);
    NULL_ARGUMENT(projection_embedder_embed, text, e, NULL, vector, DIM);
    NULL_ARGUMENT(projection_embedder_embed, vector, e, "text", NULL, DIM);
    NULL_ARGUMENT(projection_embedder_count_tokens, embedder, NULL, "text", &tokens);
    NULL_ARGUMENT(projection_embedder_count_tokens, text, e, NULL, &tokens);
    NULL_ARGUMENT(projection_embedder_count_tokens, tokens, e, "text", NULL);
    FAILS(INVALID_ARGUMENT, "text is not UTF-8", projection_embedder_count_tokens, e, "\xff", &tokens);
    CHECK(tokens == 7);
    SUCCEEDS(projection_embedder_count_tokens, e, "hello world", &tokens);
    CHECK(tokens == 4);
    NULL_ARGUMENT(projection_embedder_embed_batch, embedder, NULL, texts, TEXTS, NULL, NULL, vector,
                  TEXTS * DIM);
    NULL_ARGUMENT(projection_embedder_embed_batch, texts, e, NULL, TEXTS, NULL, NULL, vector, TEXTS * DIM);
    NULL_ARGUMENT(projection_embedder_embed_batch, vectors, e, texts, TEXTS, NULL, NULL, NULL, TEXTS * DIM);
    FAILS(INVALID_ARGUMENT, "texts[2] is NULL", projection_embedder_embed_batch, e, gap, 3, NULL, NULL,
          vector, 3 * DIM);
    FAILS(INVALID_ARGUMENT, "texts[1] is not UTF-8: the byte at 2",
          projection_embedder_embed_batch, e, broken, 3, NULL, NULL, vector, 3 * DIM);
    FAILS(INVALID_ARGUMENT, "text is not UTF-8", projection_embedder_embed, e, "\xff", vector,
          DIM);
    FAILS(INVALID_ARGUMENT, "folder is not UTF-8", projection_embedder_load, "\xff",
          &out.embedder);
    FAILS(INVALID_ARGUMENT, "folder is empty", projection_embedder_load, "", &out.embedder);
    for (which = 0; which < WRONG_LENGTHS; which++) {
        length = wrong_length(DIM, which);
        FAILS(BUFFER_SIZE, "vector", projection_embedder_embed, e, "text", vector, length);
        length = wrong_length(TEXTS * DIM, which);
        FAILS(BUFFER_SIZE, "vectors", projection_embedder_embed_batch, e, texts, TEXTS, NULL, NULL, vector,
              length);
    }
    FAILS(INVALID_ARGUMENT, "memory", projection_embedder_embed_batch, e, texts, SIZE_MAX, NULL, NULL, vector,
          TEXTS * DIM);
    FAILS(BUFFER_SIZE, "vectors", projection_embedder_embed_batch, e, texts, 0, NULL, NULL, vector, DIM);
    FAILS(INVALID_ARGUMENT, "aligned", projection_embedder_embed, e, "text",
          (float *)(void *)(memory + 1), DIM);
    FAILS(INVALID_ARGUMENT, "aligned", projection_embedder_embed_batch, e,
          (const char *const *)(void *)(memory + 1), 1, NULL, NULL, vector, DIM);
    OPTIONAL_CANCELLED(projection_embedder_embed_batch, context, e, texts, TEXTS, stop_at_once, NULL,
                       vector, TEXTS * DIM);
    SUCCEEDS(projection_embedder_embed_batch, e, NULL, 0, NULL, NULL, NULL, 0);
    SUCCEEDS(projection_embedder_embed_batch, e, texts, 0, NULL, NULL, vector, 0);
    for (i = 0; i < TEXTS * DIM; i++) {
        CHECK(vector[i] == 7);
    }
    check_untouched();
}

static void folders(const char *fixtures)
{
    static const struct {
        const char *name;
        projection_status status;
        const char *word;
    } bad[] = {
        {"none", PROJECTION_STATUS_NOT_FOUND, "none"},
        {"no_weights", PROJECTION_STATUS_NOT_FOUND, "model.safetensors"},
        {"no_tokenizer", PROJECTION_STATUS_NOT_FOUND, "tokenizer.json"},
        {"cut_weights", PROJECTION_STATUS_INVALID_EMBEDDER, "model.safetensors"},
        {"foreign_network", PROJECTION_STATUS_INVALID_EMBEDDER, "config.json"},
    };
    char *folder = join(fixtures, "embedders");
    size_t i;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *path = join(folder, bad[i].name);
        FAILS(bad[i].status, bad[i].word, projection_embedder_load, path, &out.embedder);
        free(path);
    }
    check_untouched();
    free(folder);
}

int main(int argc, char **argv)
{
    projection_embedder *embedder = NULL;
    projection_error *error = NULL;
    int quick = argc == 4 && strcmp(argv[3], "quick") == 0;
    if (argc != 3 && !quick) {
        stop("usage: embedder MODEL_FOLDER FIXTURES_FOLDER [quick]");
    }
    fill_outputs();
    if (projection_embedder_load(argv[1], &embedder, &error) != PROJECTION_STATUS_OK) {
        stop("%s\nthe tests need the embedding model in %s: run `make model`",
             projection_error_message(error), argv[1]);
    }
    group("embedding model: arguments");
    CHECK(projection_embedder_dim(embedder) == DIM);
    arguments(argv[1], embedder);
    group("embedding model: vectors");
    if (quick) {
        float vector[DIM];
        SUCCEEDS(projection_embedder_embed, embedder, "short", vector, DIM);
        CHECK(fabs(length_of(vector) - 1) < 1e-5);
    } else {
        vectors(embedder);
    }
    group("embedding model: damaged folders");
    folders(argv[2]);
    projection_embedder_free(embedder);
    return finish();
}
