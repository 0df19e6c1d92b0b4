/*
 * cli/json.h: one JSON document to standard output.
 *
 *   json_begin(&j, pretty); json_text(&j, "phase", phase); ...; json_end(&j);
 *
 * key NULL: an element of an array.
 */
#ifndef PGCROSSFADE_CLI_JSON_H
#define PGCROSSFADE_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <yajl/yajl_gen.h>

struct json {
	yajl_gen gen;
};

/* pretty false: all on one line. The document is an object. */
void json_begin(struct json *j, bool pretty);
void json_end(struct json *j);

void json_text(struct json *j, const char *key, const char *value); /* NULL: null */
void json_count(struct json *j, const char *key, int64_t value);
void json_number(struct json *j, const char *key, double value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);

/* Negative is unknown: null. */
void json_known_count(struct json *j, const char *key, int64_t value);
void json_known_number(struct json *j, const char *key, double value);

void json_object(struct json *j, const char *key);
void json_object_end(struct json *j);
void json_array(struct json *j, const char *key);
void json_array_end(struct json *j);

#endif
