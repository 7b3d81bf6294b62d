#include "check.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A group that fails everywhere need not fill the screen. */
enum { MOST_FAILURES_SHOWN = 20 };

static const char *group_name;
static unsigned long group_checks, group_failures;
static unsigned long groups_passed, groups_failed;

static void end_group(void)
{
    if (group_name == NULL) {
        return;
    }
    if (group_failures == 0 && group_checks > 0) {
        groups_passed++;
        printf("ok      %s (%lu checks)\n", group_name, group_checks);
    } else {
        groups_failed++;
        printf("FAILED  %s (%lu of %lu checks)\n", group_name, group_failures, group_checks);
    }
    fflush(stdout);
}

void group(const char *name)
{
    end_group();
    group_name = name;
    group_checks = group_failures = 0;
}

int finish(void)
{
    end_group();
    group_name = NULL;
    printf("%lu passed, %lu failed\n", groups_passed, groups_failed);
    return groups_failed > 0 || groups_passed == 0;
}

int check_at(int holds, const char *file, int line, const char *format, ...)
{
    va_list values;
    group_checks++;
    if (!holds && group_failures++ < MOST_FAILURES_SHOWN) {
        fflush(stdout);
        fprintf(stderr, "%s:%d: ", file, line);
        va_start(values, format);
        vfprintf(stderr, format, values);
        va_end(values);
        fputc('\n', stderr);
    }
    return holds;
}

void check_status(projection_status found, projection_status expected, projection_error *error,
                  const char *word, const char *file, int line)
{
    const char *message = projection_error_message(error);
    check_at(found == expected, file, line, "status %d (%s), expected %d: %s", (int)found,
             projection_status_name(found), (int)expected, message);
    check_at(projection_error_code(error) == found, file, line, "the error has code %d, not %d",
             (int)projection_error_code(error), (int)found);
    check_at((error == NULL) == (found == PROJECTION_STATUS_OK), file, line,
             "status %d, and %s error", (int)found, error == NULL ? "no" : "an");
    check_at(strstr(message, word) != NULL, file, line, "\"%s\" is not in: %s", word, message);
    projection_error_free(error);
}

void stop(const char *format, ...)
{
    va_list values;
    fflush(stdout);
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(2);
}

void *allocate(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);
    if (memory == NULL) {
        stop("no memory for %lu bytes", (unsigned long)size);
    }
    return memory;
}

char *join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = (char *)allocate(size);
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

size_t wrong_length(size_t expected, int which)
{
    const size_t lengths[WRONG_LENGTHS] = {
        0, expected - 1, expected + 1, SIZE_MAX, SIZE_MAX / 4 + 2, SIZE_MAX / 16 + 2,
    };
    return lengths[which];
}

size_t take_hits(projection_hits *taken, projection_hit *hits, size_t room)
{
    const projection_hit *all = projection_hits_data(taken);
    size_t count = projection_hits_len(taken), i;
    CHECK(count <= room);
    for (i = 0; i < count && i < room; i++) {
        hits[i].answer_id = all[i].answer_id;
        hits[i].score = all[i].score;
        hits[i].text = NULL;
    }
    projection_hits_free(taken);
    return count;
}

char *answer_text(const projection_searcher *searcher, int64_t answer_id)
{
    projection_text *text = NULL;
    char *copy = NULL;
    SUCCEEDS(projection_searcher_text, searcher, answer_id, &text);
    if (text != NULL) {
        copy = (char *)allocate(projection_text_len(text) + 1);
        memcpy(copy, projection_text_data(text), projection_text_len(text) + 1);
    }
    projection_text_free(text);
    return copy;
}

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    long size;
    char *text;
    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) {
        stop("can't read %s", path);
    }
    rewind(file);
    text = (char *)allocate((size_t)size + 1);
    if (fread(text, 1, (size_t)size, file) != (size_t)size) {
        stop("can't read %s", path);
    }
    text[size] = '\0';
    fclose(file);
    return text;
}

lines read_lines(const char *path)
{
    lines all;
    char *at;
    size_t most = 1;
    all.text = read_text(path);
    all.count = 0;
    for (at = all.text; *at != '\0'; at++) {
        most += *at == '\n';
    }
    all.line = (char **)allocate(most * sizeof *all.line);
    for (at = strtok(all.text, "\r\n"); at != NULL; at = strtok(NULL, "\r\n")) {
        if (*at != '#') {
            all.line[all.count++] = at;
        }
    }
    return all;
}

void free_lines(lines *all)
{
    free(all->line);
    free(all->text);
}

int64_t *read_ids(const char *path, size_t expected)
{
    char *text = read_text(path);
    const char *at = text;
    char *end;
    int64_t *ids = (int64_t *)allocate(expected * sizeof *ids);
    size_t count = 0;
    for (;; at = end) {
        int64_t id = strtoimax(at, &end, 10);
        if (end == at) {
            break;
        }
        if (count == expected) {
            stop("%s: more than %lu ids", path, (unsigned long)expected);
        }
        ids[count++] = id;
    }
    if (count != expected || at[strspn(at, "\r\n")] != '\0') {
        stop("%s: %lu ids, expected %lu", path, (unsigned long)count, (unsigned long)expected);
    }
    free(text);
    return ids;
}

matrix read_matrix(const char *path)
{
    matrix found;
    projection_error *error = NULL;
    found.array = NULL;
    if (projection_array_load(path, &found.array, &error) != PROJECTION_STATUS_OK) {
        stop("%s", projection_error_message(error));
    }
    found.data = projection_array_data(found.array);
    found.columns = projection_array_shape(found.array, projection_array_ndim(found.array) - 1);
    found.rows = projection_array_len(found.array) / found.columns;
    return found;
}

static projection_kind kind_called(const char *name)
{
    if (strcmp(name, "multi_head") == 0) {
        return PROJECTION_KIND_MULTI_HEAD;
    }
    if (strcmp(name, "residual") == 0) {
        return PROJECTION_KIND_RESIDUAL;
    }
    return strcmp(name, "linear") == 0 ? PROJECTION_KIND_LINEAR : PROJECTION_KIND_UNKNOWN;
}

/* The lines of kinds.txt. */
static void read_kinds(const char *path, const lines *all, test_case *cases)
{
    size_t i;
    for (i = 0; i < all->count; i++) {
        test_case *one = &cases[i];
        char kind[16], temperature[32];
        int columns = sscanf(all->line[i],
                             "%63s %15s %127s %" SCNd64 " %31s %zu %zu %zu %zu %zu %zu %15s",
                             one->name, kind, one->path, &one->id, temperature, &one->dim,
                             &one->output_dim, &one->heads, &one->queries, &one->answers,
                             &one->k, one->searches);
        one->kind = kind_called(kind);
        if (columns != 12 || one->kind == PROJECTION_KIND_UNKNOWN) {
            stop("%s: not a case: %s", path, all->line[i]);
        }
        one->folder = "kinds";
        one->database = 0;
        one->as_trained = strcmp(temperature, "-") == 0;
        one->temperature = one->as_trained ? NAN : strtod(temperature, NULL);
    }
}

test_case *read_cases(const char *root, size_t *count)
{
    char *path = join(root, "cases.txt"), *kinds_path = join(root, "kinds.txt");
    lines all = read_lines(path), kinds = read_lines(kinds_path);
    test_case *cases = (test_case *)allocate((all.count + kinds.count) * sizeof *cases);
    size_t i;
    for (i = 0; i < all.count; i++) {
        test_case *one = &cases[i];
        char source[16];
        int columns = sscanf(all.line[i],
                             "%63s %15s %127s %" SCNd64 " %lf %zu %zu %zu %zu %zu %zu %15s %63s",
                             one->name, source, one->path, &one->id, &one->temperature,
                             &one->dim, &one->output_dim, &one->heads, &one->queries,
                             &one->answers, &one->k, one->searches, one->embedding_model);
        if (columns != 13) {
            stop("%s: not a case: %s", path, all.line[i]);
        }
        one->folder = "cases";
        one->kind = PROJECTION_KIND_MULTI_HEAD;
        one->database = strcmp(source, "db") == 0;
        one->as_trained = 0;
    }
    read_kinds(kinds_path, &kinds, cases + all.count);
    *count = all.count + kinds.count;
    free_lines(&kinds);
    free_lines(&all);
    free(kinds_path);
    free(path);
    return cases;
}

char *case_file(const char *root, const test_case *one, const char *name)
{
    char *cases = join(root, one->folder);
    char *folder = join(cases, one->name);
    char *path = join(folder, name);
    free(folder);
    free(cases);
    return path;
}

projection_status open_kind(const char *database, int32_t kind, int64_t id,
                            projection_model **model, projection_error **error)
{
    projection_store *store = NULL;
    projection_status status = projection_store_open(database, NULL, &store, error);
    if (status == PROJECTION_STATUS_OK) {
        status = projection_store_model(store, id, kind, model, error);
        projection_store_free(store);
    }
    return status;
}

projection_status open_model(const char *database, int64_t id, projection_model **model,
                             projection_error **error)
{
    return open_kind(database, PROJECTION_KIND_UNKNOWN, id, model, error);
}

projection_status open_searcher(const char *database, const char *model_name,
                                projection_searcher **searcher, projection_error **error)
{
    projection_store *store = NULL;
    projection_status status = projection_store_open(database, NULL, &store, error);
    if (status == PROJECTION_STATUS_OK) {
        status = projection_store_searcher(store, model_name, searcher, error);
        projection_store_free(store);
    }
    return status;
}

char *embedding_options(const char *fixtures, const char *model_name)
{
    static const char *const format = "{\"model_name\": \"%s\", \"answers\": \"%s/answers.npy\", "
                                      "\"questions\": \"%s/questions.npy\", "
                                      "\"labels\": \"%s/labels.npy\"}";
    char *folder = join(fixtures, "training");
    size_t size = 3 * strlen(folder) + strlen(model_name) + 128;
    char *options = (char *)allocate(size);
    snprintf(options, size, format, model_name, folder, folder, folder);
    free(folder);
    return options;
}

double number_after(const char **at, const char *key)
{
    char quoted[64];
    const char *found;
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    found = strstr(*at, quoted);
    if (found == NULL) {
        stop("no %s in %s", quoted, *at);
    }
    *at = found + strlen(quoted);
    return strncmp(*at, "null", 4) == 0 ? (double)NAN : strtod(*at, NULL);
}

projection_model *open_case(const char *root, const test_case *one)
{
    char *path = join(root, one->path);
    projection_model *model = NULL;
    projection_error *error = NULL;
    projection_status status;
    if (one->database) {
        status = open_model(path, one->id, &model, &error);
    } else if (one->as_trained) {
        status = projection_model_load_as_trained(path, one->id, &model, &error);
    } else {
        status = projection_model_load(path, one->id, one->temperature, &model, &error);
    }
    if (status != PROJECTION_STATUS_OK) {
        stop("%s: %s", one->name, projection_error_message(error));
    }
    free(path);
    return model;
}
