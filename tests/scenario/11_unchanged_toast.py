"""Values stored out of line that an update did not touch: the target keeps what it has.

With the default identity the stream does not send them; with the full identity it does,
so there an expression may mix such a column with others. Run is killed now and then.
"""
import time

from psycopg2 import errors

from harness import values
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.writers import Table

ROUNDS = (2, 30)  # kills

LONG = "(SELECT string_agg(md5(i || '-' || j), '') FROM generate_series(1, 90) j)"

OLD = f"""
CREATE TABLE public.doc (id int PRIMARY KEY, title text, body text, attached text, views int);
CREATE TABLE public.page (id int PRIMARY KEY, title text, body text, views int);
ALTER TABLE public.doc ALTER body SET STORAGE EXTERNAL, ALTER attached SET STORAGE EXTERNAL;
ALTER TABLE public.page ALTER body SET STORAGE EXTERNAL, REPLICA IDENTITY FULL;
INSERT INTO public.doc
SELECT i, 'title ' || i, {LONG}, {LONG}, 0 FROM generate_series(1, 600) i;
INSERT INTO public.page SELECT i, 'title ' || i, {LONG}, 0 FROM generate_series(1, 600) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.doc (
    id bigint PRIMARY KEY, title text, content text, content_length int, attachment text,
    views int);
CREATE TABLE app.page (id bigint PRIMARY KEY, whole text, views int);
"""

FLOWS = [
    Flow("public.doc", "app.doc", key=("id",), select="""
        SELECT id::bigint AS id, upper(title) AS title, body AS content,
               length(body) AS content_length, attached AS attachment, views + 1 AS views
        FROM old
    """),
    Flow("public.page", "app.page", key=("id",), select="""
        SELECT id::bigint AS id, title || ': ' || body AS whole, views FROM old
    """),
]

LARGE = values.maybe(values.long_text)
DOC = Table(
    "public.doc", {"id": values.up_to(700)},
    {"title": values.text, "body": LARGE, "attached": LARGE, "views": values.small})
PAGE = Table(
    "public.page", {"id": values.up_to(700)},
    {"title": values.maybe(values.text), "body": LARGE, "views": values.small})


# moves of keys that leave the long values as they are, as only a statement of its own can
MOVES = """
UPDATE public.doc a SET id = id + 10000 WHERE id % 7 = {n} AND id < 10000
   AND NOT EXISTS (SELECT FROM public.doc WHERE id = a.id + 10000);
UPDATE public.page a SET id = id + 10000, views = views + 1 WHERE id % 7 = {n} AND id < 10000
   AND NOT EXISTS (SELECT FROM public.page WHERE id = a.id + 10000);
UPDATE public.doc a SET id = id - 10000, title = 'moved back' WHERE id % 3 = 0 AND id > 10000
   AND NOT EXISTS (SELECT FROM public.doc WHERE id = a.id - 10000);
UPDATE public.page a SET id = id - 10000 WHERE id % 3 = 0 AND id > 10000
   AND NOT EXISTS (SELECT FROM public.page WHERE id = a.id - 10000);
"""


def move(s, n):
    try:
        s.source.run(MOVES.format(n=n))
    except (errors.UniqueViolation, errors.DeadlockDetected):
        pass  # a writer was there first


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS)
    s.follow(migration, [DOC, PAGE])
    with s.writers([DOC, PAGE], count=2, rate=60) as writers:
        for n in range(s.rounds):
            move(s, n % 7)
            writers.more(20)
            time.sleep(s.rng.random() * 0.2)  # the moment is random: that is what is tested
            migration.kill9()
            writers.more(10)
            migration.start()
            migration.wait_for("stream")
        writers.stop()
    drain(migration)
    must_equal(migration)
