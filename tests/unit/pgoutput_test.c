/* Messages of a PostgreSQL 15 server, some shortened, and what must not be taken. */
#include "decoder_rows.h"

#include "cdc/option.h"

#define REL_T                                                                                      \
	"52 0000403f 7075626c696300 7400 64 0004"                                                  \
	"01 696400 00000017 ffffffff 00 6e6f746500 00000019 ffffffff"                              \
	"00 6e00 000006a4 ffffffff 00 6d00 0000403a ffffffff"
#define REL_F                                                                                      \
	"52 0000404d 7075626c696300 6600 66 0003"                                                  \
	"01 6100 00000017 ffffffff 01 6200 00000019 ffffffff 01 6300 00000010 ffffffff"
#define REL_QUOTED                                                                                 \
	"52 00004046 5363682c652e6d6100 546120626c652a275c7100 64 0002"                            \
	"01 696400 00000017 ffffffff 00 43206f6c22c3a900 00000019 ffffffff"
#define REL_INS "52 00004052 7075626c696300 696e7300 64 0001 00 7600 00000019 ffffffff"
#define REL_INS2                                                                                   \
	"52 00004052 7075626c696300 696e7300 64 0002"                                              \
	"00 7600 00000019 ffffffff 00 7a00 00000017 ffffffff"
#define REL_CATALOG "52 00000001 00 7800 6e 0000"

static const struct decoder_row rows[] = {
	{ "begin",
	  { NULL },
	  "42 0000000001a27558 000303e11e568f09 000002fe",
	  "begin 766 at 0/1A27558 time 848690341646089" },
	{ "commit",
	  { NULL },
	  "43 00 0000000001a27558 0000000001a27588 000303e11e568f09",
	  "commit at 0/1A27558 end 0/1A27588 time 848690341646089" },
	{ "type", { NULL }, "59 0000403a 7075626c696300 6d6f6f6400", "nothing" },
	{ "origin", { NULL }, "4f 00000000000000ab 6f3100", "nothing" },
	{ "relation", { NULL }, REL_T, "nothing" },
	{ "relation with full identity", { NULL }, REL_F, "nothing" },
	{ "relation without columns", { NULL }, REL_CATALOG, "nothing" },

	{ "insert with NULL",
	  { REL_T },
	  "49 0000403f 4e 0004 74 00000001 31 6e 74 00000004 312e3530 74 00000002 6f6b",
	  "insert public.t(id*,note,n,m) new '1'|NULL|'1.50'|'ok'" },
	{ "insert of an empty string",
	  { REL_INS },
	  "49 00004052 4e 0001 74 00000000",
	  "insert public.ins(v) new ''" },
	{ "insert with quoted names, escapes and UTF-8",
	  { REL_QUOTED },
	  "49 00004046 4e 0002 74 00000001 31"
	  "74 00000018 746162 09 206e6c 0a 2022712220 5c 20 c3a9 20 f09f9880 20 01",
	  "insert Sch,e.ma.Ta ble*'\\q(id*,C ol\"\303\251) new "
	  "'1'|'tab\t nl\n \"q\" \\ \303\251 \360\237\230\200 \001'" },
	{ "insert without columns",
	  { REL_CATALOG },
	  "49 00000001 4e 0000",
	  "insert pg_catalog.x() new" },
	{ "insert after the table changed",
	  { REL_INS, REL_INS2 },
	  "49 00004052 4e 0002 74 00000001 61 74 00000001 31",
	  "insert public.ins(v,z) new 'a'|'1'" },

	{ "update, key kept, TOAST unchanged",
	  { REL_T },
	  "55 0000403f 4e 0004 74 00000001 32 75 74 00000001 37 74 00000003 736164",
	  "update public.t(id*,note,n,m) new '2'|~|'7'|'sad'" },
	{ "update, key moved, TOAST unchanged",
	  { REL_T },
	  "55 0000403f 4b 0004 74 00000001 32 6e 6e 6e"
	  "4e 0004 74 00000001 33 75 74 00000001 37 74 00000003 736164",
	  "update public.t(id*,note,n,m) old '2'|~|~|~ new '3'|~|'7'|'sad'" },
	{ "update, full identity, TOAST filled",
	  { REL_F },
	  "55 0000404d 4f 0003 74 00000001 31 74 00000003 797979 74 00000001 74"
	  "4e 0003 74 00000001 31 75 74 00000001 66",
	  "update public.f(a*,b*,c*) old '1'|'yyy'|'t' new '1'|'yyy'|'f'" },
	{ "update, full identity, old value is NULL",
	  { REL_F },
	  "55 0000404d 4f 0003 6e 6e 74 00000001 74 4e 0003 6e 6e 74 00000001 66",
	  "update public.f(a*,b*,c*) old NULL|NULL|'t' new NULL|NULL|'f'" },
	{ "update, TOASTed key filled from the old key",
	  { REL_T },
	  "55 0000403f 4b 0004 74 00000002 6b6b 6e 6e 6e 4e 0004 75 6e 6e 6e",
	  "update public.t(id*,note,n,m) old 'kk'|~|~|~ new 'kk'|NULL|NULL|NULL" },

	{ "delete by key",
	  { REL_T },
	  "44 0000403f 4b 0004 74 00000001 33 6e 6e 6e",
	  "delete public.t(id*,note,n,m) old '3'|~|~|~" },
	{ "delete by full row",
	  { REL_F },
	  "44 0000404d 4f 0003 74 00000001 32 6e 74 00000001 66",
	  "delete public.f(a*,b*,c*) old '2'|NULL|'f'" },

	{ "truncate of two tables",
	  { REL_T, REL_F },
	  "54 00000002 00 0000403f 0000404d",
	  "truncate public.t(id*,note,n,m); truncate public.f(a*,b*,c*)" },
	{ "truncate cascade", { REL_F }, "54 00000001 03 0000404d", "truncate public.f(a*,b*,c*)" },

	{ "transactional message",
	  { NULL },
	  "4d 01 0000000001a2b7f0 706763726f73736661646500 00000009 626172726965722031",
	  "message pgcrossfade 'barrier 1'" },
	{ "message outside a transaction",
	  { NULL },
	  "4d 00 0000000001a2ba70 6f7468657200 00000007 6f757473696465",
	  "outside message other 'outside'" },
	{ "message without content",
	  { NULL },
	  "4d 01 0000000001a2ba70 00 00000000",
	  "message  ''" },

	{ "empty message", { NULL }, "", NULL },
	{ "unknown kind", { NULL }, "53 00000001 01", NULL },
	{ "byte after begin", { NULL }, "42 0000000001a27558 000303e11e568f09 000002fe 00", NULL },
	{ "insert of an unknown relation", { REL_T }, "49 00009999 4e 0000", NULL },
	{ "truncate of an unknown relation", { REL_T }, "54 00000002 00 0000403f 00009999", NULL },
	{ "truncate count past the end", { REL_T }, "54 ffffffff 00 0000403f", NULL },
	{ "length past the end", { REL_INS }, "49 00004052 4e 0001 74 ffffffff 37", NULL },
	{ "a column too few", { REL_T }, "49 0000403f 4e 0003 6e 6e 6e", NULL },
	{ "a column too many", { REL_INS }, "49 00004052 4e 0002 6e 6e", NULL },
	{ "a binary value", { REL_INS }, "49 00004052 4e 0001 62 00000001 37", NULL },
	{ "insert with an old row", { REL_INS }, "49 00004052 4f 0001 6e", NULL },
	{ "delete with a new row", { REL_INS }, "44 00004052 4e 0001 6e", NULL },
	{ "update with two old rows", { REL_INS }, "55 00004052 4b 0001 6e 4f 0001 6e", NULL },
	{ "relation with more columns than bytes",
	  { NULL },
	  "52 00000001 00 7800 64 ffff 00 7600 00000019 ffffffff",
	  NULL },
	{ "relation with a column twice",
	  { NULL },
	  "52 00000001 00 7800 64 0002 00 7600 00000019 ffffffff 00 7600 00000019 ffffffff",
	  NULL },
};

static unsigned nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void from_hex(const char *text, struct buf *out)
{
	for (; *text; text++)
		if (*text != ' ') {
			buf_putc(out, (char)(nibble(text[0]) << 4 | nibble(text[1])));
			text++;
		}
}

static const struct decoder_case pgoutput = { &pgoutput_decoder, from_hex };

static void run(void **state)
{
	run_row(&pgoutput, *state);
}

static struct change *decode_hex(struct decoder *d, struct arena *a, const char *hex)
{
	struct buf msg = BUF_INIT;
	struct event event;
	struct err e = ERR_INIT;

	from_hex(hex, &msg);
	assert_true(decode_exact(&pgoutput_decoder, d, buf_str(&msg), msg.len, a, &event, &e));
	buf_free(&msg);
	return event.changes;
}

/* Equal shapes are one pointer; what was handed out stays when the table changes. */
static void relation_versions(void **state)
{
	struct arena a = ARENA_INIT;
	struct decoder *d = pgoutput_decoder.create();

	(void)state;
	decode_hex(d, &a, REL_INS);
	const struct relation *one = decode_hex(d, &a, "49 00004052 4e 0001 6e")->relation;
	decode_hex(d, &a, REL_INS);
	assert_ptr_equal(one, decode_hex(d, &a, "49 00004052 4e 0001 6e")->relation);
	decode_hex(d, &a, REL_INS2);
	const struct relation *two = decode_hex(d, &a, "49 00004052 4e 0002 6e 6e")->relation;
	assert_ptr_not_equal(one, two);
	assert_int_equal(one->ncolumns, 1);
	decode_hex(d, &a, REL_INS);
	assert_ptr_equal(one, decode_hex(d, &a, "49 00004052 4e 0001 6e")->relation);
	pgoutput_decoder.destroy(d);
	arena_finish(&a);
}

static void many_relations(void **state)
{
	struct arena a = ARENA_INIT;
	struct decoder *d = pgoutput_decoder.create();
	char hex[128];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(hex, sizeof hex,
			 "52 %08x 7300 %02x%02x00 64 0001 01 6100 00000017 ffffffff", i,
			 'a' + i / 26, 'a' + i % 26);
		decode_hex(d, &a, hex);
	}
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(hex, sizeof hex, "49 %08x 4e 0001 6e", i);
		const struct relation *rel = decode_hex(d, &a, hex)->relation;
		assert_int_equal(rel->name[1], 'a' + (char)(i % 26));
	}
	pgoutput_decoder.destroy(d);
	arena_finish(&a);
}

static void options(void **state)
{
	const char *const names[] = { "it's \"q\" \\" };
	struct decoder_options o = { .publications = names, .npublications = 1 };
	struct option_list l = { OPTION_REPLICATION, BUF_INIT }, sql = { OPTION_SQL, BUF_INIT };

	(void)state;
	pgoutput_decoder.options(&o, &l);
	assert_string_equal(buf_str(&l.text), "\"proto_version\" '1', \"publication_names\" "
					      "'\"it''s \"\"q\"\" \\\"', \"messages\" 'true'");
	pgoutput_decoder.options(&o, &sql);
	assert_string_equal(buf_str(&sql.text), "'proto_version', '1', 'publication_names', "
						"'\"it''s \"\"q\"\" \\\"', 'messages', 'true'");
	buf_free(&l.text);
	buf_free(&sql.text);
	assert_ptr_equal(decoder_find("pgoutput"), &pgoutput_decoder);
	assert_ptr_equal(decoder_find("wal2json"), &wal2json_decoder);
	assert_null(decoder_find("test_decoding"));
	pgoutput_decoder.destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest more[] = {
		cmocka_unit_test(relation_versions),
		cmocka_unit_test(many_relations),
		cmocka_unit_test(options),
	};

	return run_rows("pgoutput", run, rows, sizeof rows / sizeof *rows, more,
			sizeof more / sizeof *more);
}
