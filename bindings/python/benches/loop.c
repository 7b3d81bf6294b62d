/* Calls the library's functions in loops, as a program in C does: what the Python package is
 * measured against. Gives the processor time in
 * seconds. */
#define _POSIX_C_SOURCE 200809L
#include <stddef.h>
#include <time.h>

typedef int project(const void *, const float *, size_t, float *, size_t, float *, size_t, void *);
typedef int project_batch(const void *, const float *, size_t, size_t, float *, size_t, float *,
                          size_t, size_t, void *, void *, void *);

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double time_project(project *function, const void *model, const float *query, size_t dim,
                    float *projected, float *weights, size_t heads, size_t calls)
{
    double start = now();
    for (size_t i = 0; i < calls; i++) {
        if (function(model, query, dim, projected, dim, weights, heads, NULL) != 0) {
            return -1;
        }
    }
    return now() - start;
}

double time_project_batch(project_batch *function, const void *model, const float *queries,
                          size_t n, size_t dim, float *projected, size_t calls)
{
    double start = now();
    for (size_t i = 0; i < calls; i++) {
        if (function(model, queries, n, dim, projected, n * dim, NULL, 0, 1, NULL, NULL, NULL) != 0) {
            return -1;
        }
    }
    return now() - start;
}
