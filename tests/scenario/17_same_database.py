"""Old and new are two schemas of one database."""
from harness import values
from harness.flow import Flow
from harness.writers import Table

SERVERS = 1

TABLES_SQL = """
CREATE SCHEMA app;
CREATE TABLE public.note (id int PRIMARY KEY, topic int, body text);
CREATE TABLE app.note (note_id bigint PRIMARY KEY, topic text, body text);
CREATE TABLE app.topic_of (note_id bigint PRIMARY KEY, topic int);
INSERT INTO public.note
SELECT i, i % 30, repeat(md5(i::text), 3) FROM generate_series(1, 40000) i;
"""

FLOWS = [
    Flow("public.note", "app.note", key=("note_id",), select="""
        SELECT id::bigint AS note_id, 'topic ' || topic::text AS topic, upper(body) AS body FROM old
    """),
    Flow("public.note", "app.topic_of", key=("note_id",), select="""
        SELECT id::bigint AS note_id, topic FROM old WHERE topic IS NOT NULL
    """),
]

NOTE = Table("public.note", {"id": values.up_to(50000)},
             {"topic": values.maybe(values.small), "body": values.maybe(values.text)})


def scenario(s):
    s.source.run(TABLES_SQL)
    s.follow(s.migration(FLOWS, target=s.source), [NOTE])
