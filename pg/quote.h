/*
 * pg/quote.h: names and literals as SQL text. Pure text, no connection.
 *
 * Ownership  arena_*: in the arena; buf_*: appended.
 * Source     PostgreSQL 15, "Lexical Structure"; standard_conforming_strings on.
 */
#ifndef PGCROSSFADE_PG_QUOTE_H
#define PGCROSSFADE_PG_QUOTE_H

#include "core/arena.h"
#include "core/buf.h"

/* Always quoted: "name", with " doubled. */
void buf_ident(struct buf *b, const char *name);
void buf_qualified(struct buf *b, const char *schema, const char *name);
/* 'text' with ' doubled, E'' form where there is a backslash. */
void buf_literal(struct buf *b, const char *text);

/* A text[] as its input function reads it: {"a","b"} */
void buf_text_array(struct buf *b, const char *const *items, unsigned n);

const char *arena_ident(struct arena *a, const char *name);
const char *arena_qualified(struct arena *a, const char *schema, const char *name);
const char *arena_literal(struct arena *a, const char *text);
const char *arena_text_array(struct arena *a, const char *const *items, unsigned n);

#endif
