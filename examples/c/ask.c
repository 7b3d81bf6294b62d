/*
 * Answers a question from a store: embeds the question, projects it, and prints the answers
 * nearest to the projection.
 *
 * usage: ask STORE.db PROJECTION_ID MODEL_DIR "question" [k]
 *
 * A server would open model, searcher and embedder once and share them among its threads.
 */
#include <projection.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHTS_SHOWN = 3 };

/* Reads a whole decimal number. */
static int parse(const char *text, int64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoimax(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

/* Prints a text on one line. */
static void print_line(const char *text)
{
    for (; *text != '\0'; text++) {
        putchar(strchr("\t\r\n", *text) != NULL ? ' ' : *text);
    }
    putchar('\n');
}

/* Prints the clusters that the question was routed to most. Clears the weights it prints. */
static void print_weights(const int64_t *clusters, float *weights, size_t heads)
{
    int shown;
    size_t i, best;
    for (shown = 0; shown < WEIGHTS_SHOWN && (size_t)shown < heads; shown++) {
        for (best = 0, i = 1; i < heads; i++) {
            if (weights[i] > weights[best]) {
                best = i;
            }
        }
        printf("weight\t%" PRId64 "\t%.6f\n", clusters[best], weights[best]);
        weights[best] = -1;
    }
}

int main(int argc, char **argv)
{
    /* All that has to be freed; freeing NULL does nothing. */
    projection_embedder *embedder = NULL;
    projection_model *model = NULL;
    projection_searcher *searcher = NULL;
    projection_store *store = NULL;
    projection_error *error = NULL;
    float *query = NULL, *projected = NULL, *weights = NULL;
    int64_t *clusters = NULL;
    projection_hits *hits = NULL;

    int64_t id, wanted = 5;
    const projection_hit *hit;
    size_t dim, output_dim, heads, i;
    int exit_code = 1;

    if (argc < 5 || argc > 6 || !parse(argv[2], &id) ||
        (argc == 6 && (!parse(argv[5], &wanted) || wanted < 1))) {
        fprintf(stderr, "usage: ask STORE.db PROJECTION_ID MODEL_DIR \"question\" [k]\n");
        return 2;
    }

    /* Each function that can fail stores its error in the last argument. */
    if (projection_store_open(argv[1], NULL, &store, &error) ||
        projection_store_model(store, id, PROJECTION_KIND_UNKNOWN, &model, &error) ||
        projection_store_searcher(store, NULL, &searcher, &error) ||
        projection_embedder_load(argv[3], &embedder, &error)) {
        goto done;
    }

    /* Buffers belong to the caller. The handles know their sizes. */
    dim = projection_embedder_dim(embedder);
    output_dim = projection_model_output_dim(model);
    heads = projection_model_num_heads(model);
    query = (float *)malloc(dim * sizeof *query);
    projected = (float *)malloc(output_dim * sizeof *projected);
    weights = (float *)malloc(heads * sizeof *weights);
    clusters = (int64_t *)malloc(heads * sizeof *clusters);
    if (query == NULL || projected == NULL || weights == NULL || clusters == NULL) {
        fprintf(stderr, "ask: out of memory\n");
        goto done;
    }

    if (projection_embedder_embed(embedder, argv[4], query, dim, &error) ||
        projection_model_head_ids(model, clusters, heads, &error) ||
        projection_model_project(model, query, dim, projected, output_dim, weights, heads,
                                 &error)) {
        goto done;
    }
    print_weights(clusters, weights, heads);

    /* With a model, the searcher projects the query itself. It could also search for
     * `projected`, without a model. */
    if (projection_searcher_search(searcher, model, query, dim, NULL, NULL, (size_t)wanted, &hits,
                                   &error)) {
        goto done;
    }
    hit = projection_hits_data(hits);
    for (i = 0; i < projection_hits_len(hits); i++, hit++) {
        printf("%lu\t%.6f\t%" PRId64 "\t", (unsigned long)(i + 1), hit->score, hit->answer_id);
        print_line(hit->text != NULL ? hit->text : "");
    }
    exit_code = 0;

done:
    if (error != NULL) {
        fprintf(stderr, "ask: %s\n", projection_error_message(error));
    }
    projection_error_free(error);
    projection_embedder_free(embedder);
    projection_searcher_free(searcher);
    projection_store_free(store);
    projection_model_free(model);
    free(query);
    free(projected);
    free(weights);
    free(clusters);
    projection_hits_free(hits);
    return exit_code;
}
