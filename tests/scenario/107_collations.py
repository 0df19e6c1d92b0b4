"""Collations and equalities: copy and stream go by the same, and rows are found by those of the new table.

A value of the stream has its type's collation, so the copy gives the old column's own no say either, and check
warns where that can be seen. What SELECT gives a collation, and types whose = is in no search_path or takes no domain, are found
by the new table's index all the same.
"""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed

DECODER_MATTERS = False

TYPES = """
CREATE EXTENSION citext;
CREATE TYPE public.shade AS ENUM ('light', 'dark');
CREATE DOMAIN public.tint AS public.shade;
CREATE COLLATION public.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
"""
OLD = TYPES + """
CREATE TABLE public.turkish (id int PRIMARY KEY, word text COLLATE "tr-x-icu", name name COLLATE "tr-x-icu");
INSERT INTO turkish VALUES (1, 'title', 'title');
CREATE TABLE public.code (id text PRIMARY KEY, n int);
INSERT INTO code VALUES ('a', 1), ('A', 1), ('b', 2), ('c', 3), ('x', 4), ('X', 4);
CREATE TABLE public.bag (word text, n int);
ALTER TABLE bag REPLICA IDENTITY FULL;
INSERT INTO bag VALUES ('a', 1), ('A', 1), ('b', 1);
CREATE TABLE public.paint (tint tint PRIMARY KEY, n int);
ALTER TABLE paint REPLICA IDENTITY FULL;
INSERT INTO paint VALUES ('light', 1), ('dark', 2);
CREATE TABLE public.person (mail citext PRIMARY KEY, n int, long text);
INSERT INTO person SELECT 'User' || i || '@x', i, repeat('x', 3000) FROM generate_series(1, 30) i;
"""
NEW = TYPES + """
CREATE SCHEMA app;
CREATE TABLE app.turkish (id int PRIMARY KEY, upper text, name text, word text);
CREATE TABLE app.code (id text COLLATE "en-x-icu" PRIMARY KEY, n int);
CREATE TABLE app.plain (id text PRIMARY KEY, n int);
CREATE TABLE app.bag (word text COLLATE public.ci, n int);
CREATE TABLE app.paint (tint public.tint PRIMARY KEY, n int);
CREATE TABLE app.tints (tint public.tint, n int);
CREATE TABLE app.person (mail public.citext PRIMARY KEY, n int, long text);
"""
TURKISH = Flow("public.turkish", "app.turkish", key=("id",),
               select="SELECT id, upper(word) AS upper, upper(name::text) AS name, word FROM old")
FLOWS = [
    Flow("public.code", "app.code", key=("id",), select='SELECT id COLLATE "C" AS id, n FROM old'),
    Flow("public.code", "app.plain", key=("id",), select="SELECT id COLLATE public.ci AS id, n FROM old"),
    Flow("public.bag", "app.bag", select="SELECT word, n FROM old"),
    Flow("public.paint", "app.paint", key=("tint",), select="SELECT tint, n FROM old"),
    Flow("public.paint", "app.tints", select="SELECT tint, n FROM old"),
    Flow("public.person", "app.person", key=("mail",), select="SELECT mail, n, long FROM old"),
]
CHANGES = """
INSERT INTO turkish VALUES (2, 'title', 'title');
DELETE FROM code WHERE id = 'A'; UPDATE code SET n = n + 10; UPDATE code SET id = 'd' WHERE id = 'c';
DELETE FROM bag WHERE word = 'A';
DELETE FROM paint WHERE tint::shade = 'light'; UPDATE paint SET n = 3;
UPDATE person SET n = n + 1; UPDATE person SET mail = 'USER1@x' WHERE n = 2;
UPDATE person SET mail = upper(mail::text) WHERE n < 9;
BEGIN; DELETE FROM person WHERE n = 9; INSERT INTO person VALUES ('USER8@X', 9, 'y'); COMMIT;
DELETE FROM person WHERE n = 10; DELETE FROM code WHERE id = 'X';
"""


def as_copied(s):
    rows = s.target.rows("SELECT upper, name, word FROM app.turkish")
    if len(rows) != 2 or rows[0] != rows[1]:
        raise Failed(f"the copy and the stream made of one value {rows}")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration([TURKISH, *FLOWS])
    warned = [line for line in migration.check().text.splitlines() if "has collation" in line]
    if len(warned) != 2 or 'column "word" has collation pg_catalog."tr-x-icu"' not in warned[0]:
        raise Failed(f"check warns of {warned}")
    migration.start()
    migration.wait_for("lag-zero")
    for change in CHANGES.strip().splitlines():
        s.source.run(change)
    drain(migration)
    migration.flows = FLOWS
    must_equal(migration)
    as_copied(s)
