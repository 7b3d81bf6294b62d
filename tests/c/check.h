/*
 * What all test programs share: counting, checking, reading the text files of
 * tests/conformance. Compiles as C99 and as C++.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stddef.h>
#include <stdint.h>

#include <projection.h>

/* Begins a group of checks; each group prints one line when it ends. */
void group(const char *name);

/* Ends the last group, prints `N passed, N failed` and gives the exit code. */
int finish(void);

/* Notes a check; what failed is printed with the file and line. */
int check_at(int holds, const char *file, int line, const char *format, ...);

#define CHECK(condition) check_at((condition) ? 1 : 0, __FILE__, __LINE__, "%s", #condition)

/* Checks a status with its error, which it frees: the code is the status, and the message
 * contains `word`. There must be no error where `expected` is success. */
void check_status(projection_status found, projection_status expected, projection_error *error,
                  const char *word, const char *file, int line);

/* A call that must succeed. */
#define SUCCEEDS(function, ...)                                                                \
    do {                                                                                       \
        projection_error *error_ = NULL;                                                       \
        projection_status status_ = function(__VA_ARGS__, &error_);                            \
        check_status(status_, PROJECTION_STATUS_OK, error_, "", __FILE__, __LINE__);           \
    } while (0)

/* A call that must fail, with an error parameter and without one. */
#define FAILS(expected, word, function, ...)                                                   \
    do {                                                                                       \
        projection_error *error_ = NULL;                                                       \
        projection_status status_ = function(__VA_ARGS__, &error_);                            \
        check_status(status_, expected, error_, word, __FILE__, __LINE__);                     \
        CHECK(function(__VA_ARGS__, NULL) == (expected));                                      \
    } while (0)

/* Open a store, and a model or a searcher of it; with the signature of the library's calls. */
projection_status open_kind(const char *database, int32_t kind, int64_t id,
                            projection_model **model, projection_error **error);
projection_status open_model(const char *database, int64_t id, projection_model **model,
                             projection_error **error);
projection_status open_searcher(const char *database, const char *model_name,
                                projection_searcher **searcher, projection_error **error);

/* Copies hits without their texts, at most `room` of them, frees them and returns their number. */
size_t take_hits(projection_hits *taken, projection_hit *hits, size_t room);

/* A copy of the text of an answer, NULL if it has none; the caller frees it. */
char *answer_text(const projection_searcher *searcher, int64_t answer_id);

/* Options of projection_import_embeddings for the files of FIXTURES/training;
 * the caller frees them. */
char *embedding_options(const char *fixtures, const char *model_name);

/* The number of a report in JSON that follows `key`, counted from `*at`, which moves behind it;
 * NaN for null. */
double number_after(const char **at, const char *key);

/* Ends the program: the tests themselves can't go on. */
void stop(const char *format, ...);

/* Memory that is there, or the program ends. */
void *allocate(size_t size);

/* Joins a folder and a name; the caller frees it. */
char *join(const char *folder, const char *name);

/* Lengths that are not `expected`; some of them overflow as a number of bytes. */
enum { WRONG_LENGTHS = 6 };
size_t wrong_length(size_t expected, int which);

/* The lines of a text file without those that begin with '#'. */
typedef struct {
    char **line;
    size_t count;
    char *text;
} lines;

lines read_lines(const char *path);
void free_lines(lines *all);

/* Numbers in a text file, row after row. */
int64_t *read_ids(const char *path, size_t expected);

/* A .npy file as a matrix; one dimension is one row. */
typedef struct {
    size_t rows, columns;
    const float *data;
    projection_array *array;
} matrix;

matrix read_matrix(const char *path);

/* A line of cases.txt or kinds.txt. */
typedef struct {
    char name[64], path[128], searches[16], embedding_model[64];
    /* Where its files are: cases or kinds. */
    const char *folder;
    projection_kind kind;
    int database;
    /* Whether the temperature is the model's own; `temperature` is NaN then. */
    int as_trained;
    int64_t id;
    double temperature;
    size_t dim, output_dim, heads, queries, answers, k;
} test_case;

/* All cases of the folder tests/conformance, those of all kinds among them; the caller frees
 * them. */
test_case *read_cases(const char *root, size_t *count);

/* A file of the case; the caller frees it. */
char *case_file(const char *root, const test_case *one, const char *name);

/* The model of a case. */
projection_model *open_case(const char *root, const test_case *one);

#endif
