/* What the programs that try wrong arguments share. */
#ifndef ERRORS_H
#define ERRORS_H

#include <math.h>
#include <string.h>

#include "check.h"

#define INVALID_ARGUMENT PROJECTION_STATUS_INVALID_ARGUMENT
#define DIMENSION_MISMATCH PROJECTION_STATUS_DIMENSION_MISMATCH
#define BUFFER_SIZE PROJECTION_STATUS_BUFFER_SIZE

/*
 * NULL for the parameter `parameter` of `function`. check_header.py reads these lines: each
 * pointer parameter of the header must have one.
 */
#define NULL_ARGUMENT(function, parameter, ...)                                                \
    FAILS(INVALID_ARGUMENT, "argument " #parameter " is NULL", function, __VA_ARGS__)

/* One that may be NULL. */
#define OPTIONAL_ARGUMENT(function, parameter, ...) SUCCEEDS(function, __VA_ARGS__)

/* The same for long work, which the progress function of the call stops. */
#define OPTIONAL_CANCELLED(function, parameter, ...)                                           \
    FAILS(PROJECTION_STATUS_CANCELLED, "cancelled by the caller", function, __VA_ARGS__)

/* NULL for the handle of a function without a status. */
#define NULL_HANDLE(function, parameter, condition) CHECK(condition)

/* A progress function that cancels. */
static inline int32_t stop_at_once(void *context, const char *stage, uint64_t done, uint64_t total,
                            double loss)
{
    CHECK(context == NULL && stage[0] != '\0' && done <= total && isnan(loss));
    return 1;
}

/* Buffers that a failing call must leave as they are. */
enum { ROOM = 64 };

typedef struct {
    float projected[ROOM], weights[ROOM];
    int64_t ids[ROOM];
    projection_array *array;
    projection_model *model;
    projection_searcher *searcher;
    projection_store *store;
    projection_embedder *embedder;
    projection_text *text;
    projection_hits *hits;
} outputs;

static outputs out;

static void fill_outputs(void)
{
    memset(&out, 0x5a, sizeof out);
}

static void check_untouched(void)
{
    const unsigned char *byte = (const unsigned char *)&out;
    size_t i, changed = 0;
    for (i = 0; i < sizeof out; i++) {
        changed += byte[i] != 0x5a;
    }
    CHECK(changed == 0);
}

#endif
