/* Writes all projections bit for bit, see README.md. usage: dump CONFORMANCE OUTPUT_FILE */
#include "check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_bits(FILE *file, const float *values, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        fprintf(file, "%08" PRIx32, bits);
    }
}

int main(int argc, char **argv)
{
    const char *root = argc == 3 ? argv[1] : (stop("usage: dump CONFORMANCE OUTPUT_FILE"), "");
    FILE *file = fopen(argv[2], "wb");
    size_t count, row, i;
    test_case *cases = read_cases(root, &count);
    if (file == NULL) {
        stop("can't write %s", argv[2]);
    }
    group("dump of all projections");
    for (i = 0; i < count; i++) {
        const test_case *one = &cases[i];
        projection_model *model = open_case(root, one);
        char *path = case_file(root, one, "queries.npy");
        matrix queries = read_matrix(path);
        float *projected = (float *)allocate(one->output_dim * sizeof *projected);
        float *weights = (float *)allocate(one->heads * sizeof *weights);
        for (row = 0; row < queries.rows; row++) {
            SUCCEEDS(projection_model_project, model, queries.data + row * one->dim, one->dim,
                     projected, one->output_dim, weights, one->heads);
            fprintf(file, "%s\t%lu\t", one->name, (unsigned long)row);
            write_bits(file, projected, one->output_dim);
            fputc('\t', file);
            write_bits(file, weights, one->heads);
            fputc('\n', file);
        }
        free(weights);
        free(projected);
        projection_array_free(queries.array);
        free(path);
        projection_model_free(model);
    }
    CHECK(!ferror(file));
    CHECK(fclose(file) == 0);
    free(cases);
    return finish();
}
