#include "cli/json.h"

#include <stdio.h>
#include <string.h>

static void put_string(struct json *j, const char *text)
{
	yajl_gen_string(j->gen, (const unsigned char *)text, strlen(text));
}

static void put_key(struct json *j, const char *key)
{
	if (key)
		put_string(j, key);
}

void json_begin(struct json *j, bool pretty)
{
	j->gen = yajl_gen_alloc(NULL);
	yajl_gen_config(j->gen, yajl_gen_beautify, pretty);
	yajl_gen_map_open(j->gen);
}

void json_end(struct json *j)
{
	const unsigned char *text = NULL;
	size_t len = 0;

	yajl_gen_map_close(j->gen);
	yajl_gen_get_buf(j->gen, &text, &len);
	fwrite(text, 1, len, stdout);
	if (!len || text[len - 1] != '\n')
		putchar('\n');
	yajl_gen_free(j->gen);
}

void json_text(struct json *j, const char *key, const char *value)
{
	put_key(j, key);
	if (value)
		put_string(j, value);
	else
		yajl_gen_null(j->gen);
}

void json_count(struct json *j, const char *key, int64_t value)
{
	put_key(j, key);
	yajl_gen_integer(j->gen, value);
}

void json_number(struct json *j, const char *key, double value)
{
	put_key(j, key);
	yajl_gen_double(j->gen, value);
}

void json_bool(struct json *j, const char *key, bool value)
{
	put_key(j, key);
	yajl_gen_bool(j->gen, value);
}

void json_null(struct json *j, const char *key)
{
	put_key(j, key);
	yajl_gen_null(j->gen);
}

void json_known_count(struct json *j, const char *key, int64_t value)
{
	if (value < 0)
		json_null(j, key);
	else
		json_count(j, key, value);
}

void json_known_number(struct json *j, const char *key, double value)
{
	if (value < 0)
		json_null(j, key);
	else
		json_number(j, key, value);
}

void json_object(struct json *j, const char *key)
{
	put_key(j, key);
	yajl_gen_map_open(j->gen);
}

void json_object_end(struct json *j)
{
	yajl_gen_map_close(j->gen);
}

void json_array(struct json *j, const char *key)
{
	put_key(j, key);
	yajl_gen_array_open(j->gen);
}

void json_array_end(struct json *j)
{
	yajl_gen_array_close(j->gen);
}
