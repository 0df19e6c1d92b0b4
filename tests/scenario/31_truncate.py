"""TRUNCATE, in order with the rows around it."""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow

OLD = """
CREATE TABLE public.a (id int PRIMARY KEY, n int);
CREATE TABLE public.b (id int PRIMARY KEY, a int REFERENCES public.a);
INSERT INTO public.a SELECT i, i FROM generate_series(1, 1000) i;
INSERT INTO public.b SELECT i, i FROM generate_series(1, 1000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.a (id bigint PRIMARY KEY, n bigint);
CREATE TABLE app.b (id bigint PRIMARY KEY, a_id bigint REFERENCES app.a);
"""

FLOWS = [
    Flow("public.b", "app.b", key=("id",), select="""
        SELECT id::bigint AS id, a::bigint AS a_id FROM old
    """),
    Flow("public.a", "app.a", key=("id",), select="""
        SELECT id::bigint AS id, n::bigint AS n FROM old
    """),
]


def scenario(s):
    migration = s.streaming(OLD, NEW, FLOWS)
    s.source.run("INSERT INTO public.b VALUES (2000, 1); TRUNCATE public.b;"
                 "INSERT INTO public.b VALUES (2001, 1)")
    drain(migration)
    must_equal(migration)
    s.source.run("INSERT INTO public.a VALUES (5000, 1); INSERT INTO public.b VALUES (7, 5000);"
                 "TRUNCATE public.a CASCADE;"
                 "INSERT INTO public.a VALUES (5000, 2); INSERT INTO public.b VALUES (8, 5000)")
    s.source.run("INSERT INTO public.a VALUES (5001, 2)")
    drain(migration)
    must_equal(migration)
