/* Messages of wal2json 2.5 on PostgreSQL 15, some shortened, and what must not be taken. */
#include "decoder_rows.h"

#include "cdc/option.h"

/* In rows ' stands for ", and ` for '. */
#define HEAD(action)                                                                               \
	"{'action':'" action "','xid':766,'timestamp':'2026-11-22 19:19:01.646089+00',"            \
	"'lsn':'0/1A266B8'"
#define PUBLIC_T ",'schema':'public','table':'t'"
#define COLUMN_A "{'name':'a','typeoid':23,'value':1}"
#define INSERT_ONE(column) HEAD("I") PUBLIC_T ",'columns':[" column "]}"

static const struct decoder_row rows[] = {
	{ "begin",
	  { NULL },
	  HEAD("B") ",'nextlsn':'0/1A27588'}",
	  "begin 766 at 0/1A266B8 time 848690341646089" },
	{ "commit",
	  { NULL },
	  HEAD("C") ",'nextlsn':'0/1A27588'}",
	  "commit at 0/1A266B8 end 0/1A27588 time 848690341646089" },
	{ "begin without fraction, with an offset",
	  { NULL },
	  "{'action':'B','xid':4294967295,'timestamp':'2000-01-01 05:30:00+05:30',"
	  "'lsn':'FFFFFFFF/FFFFFFFF','nextlsn':'0/0'}",
	  "begin 4294967295 at FFFFFFFF/FFFFFFFF time 0" },

	{ "insert",
	  { NULL },
	  HEAD("I") PUBLIC_T ",'columns':["
			     "{'name':'id','typeoid':23,'value':1},"
			     "{'name':'note','typeoid':25,'value':null},"
			     "{'name':'n','typeoid':1700,'value':1.50},"
			     "{'name':'m','typeoid':16442,'value':'ok'}]}",
	  "insert public.t(id,note,n,m) new '1'|NULL|'1.50'|'ok'" },
	{ "booleans",
	  { NULL },
	  INSERT_ONE("{'name':'a','typeoid':16,'value':true},"
		     "{'name':'b','typeoid':16,'value':false}"),
	  "insert public.t(a,b) new 't'|'f'" },
	{ "numbers keep their lexeme",
	  { NULL },
	  INSERT_ONE("{'name':'a','typeoid':701,'value':1e-07},"
		     "{'name':'b','typeoid':1700,'value':-0.000},"
		     "{'name':'c','typeoid':20,'value':9223372036854775808},"
		     "{'name':'d','typeoid':1700,'value':123456789012345678901234567890.10}"),
	  "insert public.t(a,b,c,d) new "
	  "'1e-07'|'-0.000'|'9223372036854775808'|'123456789012345678901234567890.10'" },
	{ "bytea gets its prefix back",
	  { NULL },
	  INSERT_ONE("{'name':'a','typeoid':17,'value':'00ff'},"
		     "{'name':'b','typeoid':17,'value':''},"
		     "{'name':'c','typeoid':17,'value':null}"),
	  "insert public.t(a,b,c) new '\\x00ff'|'\\x'|NULL" },
	{ "a domain over bytea has it",
	  { NULL },
	  INSERT_ONE("{'name':'a','typeoid':16418,'value':'\\\\xaa'}"),
	  "insert public.t(a) new '\\xaa'" },
	{ "names that need quoting, escapes",
	  { NULL },
	  HEAD("I") ",'schema':'Sch,e.ma','table':'Ta ble*`\\\\q','columns':["
		    "{'name':'C ol\\\"\303\251','typeoid':25,"
		    "'value':'tab\\t nl\\n \\\"q\\\" \\\\ \303\251 \360\237\230\200 \\u0001'}]}",
	  "insert Sch,e.ma.Ta ble*'\\q(C ol\"\303\251) new "
	  "'tab\t nl\n \"q\" \\ \303\251 \360\237\230\200 \001'" },
	{ "surrogates",
	  { NULL },
	  INSERT_ONE("{'name':'a','typeoid':25,'value':'\\ud83d\\ude00 \\u00e9 \\/'}"),
	  "insert public.t(a) new '\360\237\230\200 \303\251 /'" },
	{ "bytes that are no UTF-8 pass",
	  { NULL },
	  INSERT_ONE("{'name':'a','typeoid':25,'value':'\377'}"),
	  "insert public.t(a) new '\377'" },
	{ "insert without columns", { NULL }, INSERT_ONE(""), "insert public.t() new" },
	{ "keys of a later version",
	  { NULL },
	  HEAD("I") ",'origin':0,'more':null" PUBLIC_T
		    ",'columns':[{'name':'a','type':'text','typeoid':25,'value':'x',"
		    "'optional':true}]}",
	  "insert public.t(a) new 'x'" },

	{ "update, key kept, TOAST not listed",
	  { NULL },
	  HEAD("U") PUBLIC_T ",'columns':["
			     "{'name':'id','typeoid':23,'value':2},"
			     "{'name':'n','typeoid':1700,'value':7}],"
			     "'identity':[{'name':'id','typeoid':23,'value':2}]}",
	  "update public.t(id*,n) old '2'|~ new '2'|'7'" },
	{ "update, key moved",
	  { NULL },
	  HEAD("U") PUBLIC_T ",'columns':["
			     "{'name':'id','typeoid':23,'value':3},"
			     "{'name':'n','typeoid':1700,'value':null}],"
			     "'identity':[{'name':'id','typeoid':23,'value':2}]}",
	  "update public.t(id*,n) old '2'|~ new '3'|NULL" },
	{ "update, full identity, TOAST filled",
	  { NULL },
	  HEAD("U") PUBLIC_T ",'columns':["
			     "{'name':'a','typeoid':23,'value':1},"
			     "{'name':'c','typeoid':16,'value':false}],"
			     "'identity':[{'name':'a','typeoid':23,'value':1},"
			     "{'name':'b','typeoid':25,'value':'yyy'},"
			     "{'name':'c','typeoid':16,'value':true}]}",
	  "update public.t(a*,c*,b*) old '1'|'t'|'yyy' new '1'|'f'|'yyy'" },
	{ "update, bytea key and TOASTed bytea",
	  { NULL },
	  HEAD("U") PUBLIC_T ",'columns':["
			     "{'name':'k','typeoid':17,'value':'01'}],"
			     "'identity':[{'name':'b','typeoid':17,'value':'02'},"
			     "{'name':'k','typeoid':17,'value':'00'}]}",
	  "update public.t(k*,b*) old '\\x00'|'\\x02' new '\\x01'|'\\x02'" },
	{ "delete",
	  { NULL },
	  HEAD("D") PUBLIC_T ",'identity':[{'name':'id','typeoid':23,'value':3}]}",
	  "delete public.t(id*) old '3'" },
	{ "delete by full row",
	  { NULL },
	  HEAD("D") PUBLIC_T ","
			     "'identity':[{'name':'a','typeoid':23,'value':2},"
			     "{'name':'b','typeoid':25,'value':null}]}",
	  "delete public.t(a*,b*) old '2'|NULL" },
	{ "truncate", { NULL }, HEAD("T") PUBLIC_T "}", "truncate public.t()" },
	{ "transactional message",
	  { NULL },
	  HEAD("M") ",'transactional':true,'prefix':'pgcrossfade','content':'barrier 1'}",
	  "message pgcrossfade 'barrier 1'" },
	{ "message outside a transaction",
	  { NULL },
	  "{'action':'M','xid':null,'timestamp':null,"
	  "'lsn':'0/1A2BA70','transactional':false,'prefix':'other','content':''}",
	  "outside message other ''" },

	{ "empty message", { NULL }, "", NULL },
	{ "not an object", { NULL }, "[]", NULL },
	{ "a scalar", { NULL }, "'B'", NULL },
	{ "two objects", { NULL }, HEAD("T") PUBLIC_T "}{}", NULL },
	{ "half a token after it", { NULL }, HEAD("T") PUBLIC_T "}'}", NULL },
	{ "a space after it", { NULL }, HEAD("T") PUBLIC_T "} ", NULL },
	{ "no action", { NULL }, "{}", NULL },
	{ "an unknown action", { NULL }, HEAD("X") "}", NULL },
	{ "a long action", { NULL }, HEAD("BB") "}", NULL },
	{ "begin without lsn",
	  { NULL },
	  "{'action':'B','xid':1,'timestamp':'2000-01-01 00:00:00+00'}",
	  NULL },
	{ "begin with a bad lsn",
	  { NULL },
	  "{'action':'B','xid':1,'timestamp':'2000-01-01 00:00:00+00',"
	  "'lsn':'00000000000000000000/1'}",
	  NULL },
	{ "begin with a bad time",
	  { NULL },
	  "{'action':'B','xid':1,'timestamp':'2000-13-01 00:00:00+00','lsn':'0/1'}",
	  NULL },
	{ "begin with a large xid",
	  { NULL },
	  "{'action':'B','xid':4294967296,'timestamp':'2000-01-01 00:00:00+00','lsn':'0/1'}",
	  NULL },
	{ "begin with a fraction of an xid",
	  { NULL },
	  "{'action':'B','xid':1.5,'timestamp':'2000-01-01 00:00:00+00','lsn':'0/1'}",
	  NULL },
	{ "commit without nextlsn", { NULL }, HEAD("C") "}", NULL },
	{ "insert without columns list", { NULL }, HEAD("I") PUBLIC_T "}", NULL },
	{ "insert with identity",
	  { NULL },
	  HEAD("I") PUBLIC_T ",'columns':[],'identity':[{'name':'a','typeoid':23,'value':1}]}",
	  NULL },
	{ "update without identity",
	  { NULL },
	  HEAD("U") PUBLIC_T ",'columns':[{'name':'a','typeoid':23,'value':1}]}",
	  NULL },
	{ "delete without identity", { NULL }, HEAD("D") PUBLIC_T "}", NULL },
	{ "delete with an empty identity", { NULL }, HEAD("D") PUBLIC_T ",'identity':[]}", NULL },
	{ "delete with columns",
	  { NULL },
	  HEAD("D") PUBLIC_T ",'columns':[],'identity':[{'name':'a','typeoid':23,'value':1}]}",
	  NULL },
	{ "no schema", { NULL }, HEAD("T") ",'table':'t'}", NULL },
	{ "a NUL byte in a name", { NULL }, HEAD("T") ",'schema':'s','table':'t\\u0000t'}", NULL },
	{ "a column without value", { NULL }, INSERT_ONE("{'name':'a','typeoid':25}"), NULL },
	{ "a column without type", { NULL }, INSERT_ONE("{'name':'a','value':'00'}"), NULL },
	{ "a column without name", { NULL }, INSERT_ONE("{'typeoid':25,'value':1}"), NULL },
	{ "a column twice",
	  { NULL },
	  INSERT_ONE("{'name':'a','typeoid':23,'value':1},{'name':'a','typeoid':23,'value':1}"),
	  NULL },
	{ "an identity column twice",
	  { NULL },
	  HEAD("D") PUBLIC_T ","
			     "'identity':[{'name':'a','typeoid':23,'value':1},"
			     "{'name':'a','typeoid':23,'value':1}]}",
	  NULL },
	{ "columns twice", { NULL }, HEAD("I") PUBLIC_T ",'columns':[],'columns':[]}", NULL },
	{ "columns as a scalar", { NULL }, HEAD("I") PUBLIC_T ",'columns':1}", NULL },
	{ "a scalar among columns", { NULL }, INSERT_ONE("1"), NULL },
	{ "an object as a value",
	  { NULL },
	  INSERT_ONE("{'name':'a','typeoid':23,'value':{}}"),
	  NULL },
	{ "an array as a value",
	  { NULL },
	  INSERT_ONE("{'name':'a','typeoid':23,'value':[1]}"),
	  NULL },
	{ "an array as a field", { NULL }, HEAD("T") PUBLIC_T ",'pk':[]}", NULL },
	{ "an object as a field", { NULL }, HEAD("T") PUBLIC_T ",'x':{}}", NULL },
	{ "a bare word", { NULL }, "{'action':B}", NULL },
};

static void from_quoted(const char *text, struct buf *out)
{
	for (; *text; text++)
		buf_putc(out, *text == '\'' ? '"' : *text == '`' ? '\'' : *text);
}

static const struct decoder_case wal2json = { &wal2json_decoder, from_quoted };

static void run(void **state)
{
	run_row(&wal2json, *state);
}

static bool decode_text(struct decoder *d, struct arena *a, const char *text, struct event *out)
{
	struct buf msg = BUF_INIT;
	struct err e = ERR_INIT;

	from_quoted(text, &msg);
	bool ok = decode_exact(&wal2json_decoder, d, buf_str(&msg), msg.len, a, out, &e);
	buf_free(&msg);
	return ok;
}

static const struct relation *relation_of(struct decoder *d, struct arena *a, const char *text)
{
	struct event event;

	assert_true(decode_text(d, a, text, &event));
	return event.changes->relation;
}

/* One relation a list of names; a malformed message leaves the decoder as it was. */
static void relation_versions(void **state)
{
	static const char two[] = INSERT_ONE(COLUMN_A ",{'name':'b','typeoid':23,'value':1}");
	static const char one[] = INSERT_ONE(COLUMN_A);
	struct arena a = ARENA_INIT;
	struct decoder *d = wal2json_decoder.create();
	struct event event;

	(void)state;
	const struct relation *rel = relation_of(d, &a, two);
	assert_ptr_not_equal(rel, relation_of(d, &a, one));
	assert_false(decode_text(d, &a, "{'action':'T','tab", &event));
	assert_ptr_equal(rel, relation_of(d, &a, two));
	wal2json_decoder.destroy(d);
	arena_finish(&a);
}

static void hostile(struct buf *b, const char *head, const char *piece, unsigned times)
{
	struct arena a = ARENA_INIT;
	struct decoder *d = wal2json_decoder.create();
	struct event event;
	struct err e = ERR_INIT;

	buf_clear(b);
	buf_puts(b, head);
	for (unsigned i = 0; i < times; i++)
		buf_puts(b, piece);
	assert_false(decode_exact(&wal2json_decoder, d, b->data, b->len, &a, &event, &e));
	assert_int_equal(e.kind, ERR_INPUT);
	wal2json_decoder.destroy(d);
	arena_finish(&a);
}

static void depth_and_size(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	hostile(&b, "", "[", 1000000);
	hostile(&b, "", "{\"columns\":", 1000000);
	hostile(&b, "{\"columns\":", "[", 1000000);
	hostile(&b, "{\"columns\":[{}", ",{}", 1000000);
	buf_free(&b);
}

static void options(void **state)
{
	static const struct relation tables[] = { { .schema = "public", .name = "t" },
						  { .schema = "Sch,e.ma",
						    .name = "Ta ble*'\\q\303\251" } };
	struct decoder_options o = { .tables = tables, .ntables = 2 };
	struct option_list l = { OPTION_REPLICATION, BUF_INIT };

	(void)state;
	wal2json_decoder.options(&o, &l);
	assert_string_equal(
	    buf_str(&l.text),
	    "\"format-version\" '2', \"include-xids\" '1', \"include-lsn\" '1', "
	    "\"include-timestamp\" '1', \"include-transaction\" '1', \"include-types\" '0', "
	    "\"include-type-oids\" '1', \"include-pk\" '0', \"add-tables\" "
	    "'public.t,Sch\\,e\\.ma.Ta\\ ble\\*\\''\\\\q\\\303\\\251'");
	buf_free(&l.text);
	wal2json_decoder.destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest more[] = {
		cmocka_unit_test(relation_versions),
		cmocka_unit_test(depth_and_size),
		cmocka_unit_test(options),
	};

	return run_rows("wal2json", run, rows, sizeof rows / sizeof *rows, more,
			sizeof more / sizeof *more);
}
