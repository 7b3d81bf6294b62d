/*
 * A program with a SQLite of its own, as a Go program with another driver has: neither the
 * shared nor the static library may call it or clash with it. usage: own_sqlite CONFORMANCE
 */
#include "check.h"

#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

static int calls;

/* The names with which SQLite is opened and used; all of them fail. */
#define OWN(name)                                                                              \
    int name(void);                                                                            \
    int name(void)                                                                             \
    {                                                                                          \
        calls++;                                                                               \
        return 1;                                                                              \
    }

OWN(sqlite3_open)
OWN(sqlite3_open_v2)
OWN(sqlite3_initialize)
OWN(sqlite3_libversion_number)
OWN(sqlite3_prepare_v2)
OWN(sqlite3_prepare_v3)
OWN(sqlite3_step)
OWN(sqlite3_malloc)
OWN(sqlite3_busy_timeout)

const char *sqlite3_libversion(void);
const char *sqlite3_libversion(void)
{
    calls++;
    return "none";
}

#ifdef __cplusplus
}
#endif

int main(int argc, char **argv)
{
    projection_model *model = NULL;
    projection_searcher *index = NULL;
    char *database = join(argc == 2 ? argv[1] : (stop("usage: own_sqlite CONFORMANCE"), ""),
                          "legacy_store/lda.db");
    group("a program with its own SQLite");
    SUCCEEDS(open_model, database, 1, &model);
    SUCCEEDS(open_searcher, database, NULL, &index);
    CHECK(projection_model_num_heads(model) == 13);
    CHECK(projection_searcher_len(index) == 21);
    CHECK(calls == 0);
    CHECK(sqlite3_open_v2() == 1 && calls == 1);
    projection_searcher_free(index);
    projection_model_free(model);
    free(database);
    return finish();
}
