"""Chunks that were committed before a crash are not copied again."""
from harness.compare import must_equal
from harness.drain import drain
from harness.flow import Flow
from harness.processes import Failed, until

OLD = """
CREATE TABLE public.big (id int PRIMARY KEY, body text);
INSERT INTO public.big
SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 150000) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.big (id bigint PRIMARY KEY, body text);
"""

FLOWS = [Flow("public.big", "app.big", key=("id",), select="""
    SELECT id::bigint AS id, body FROM old
""")]

COPIED = "SELECT relation, no, lg::text, rows, copied_at::text FROM pgcrossfade.chunk_copied"


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    migration = s.migration(FLOWS)
    migration.start()
    until(lambda: migration.chunks_copied() >= 3, "three chunks", alive=migration.must_run)
    migration.kill9()

    before = set(s.target.rows(COPIED))
    cut = s.target.value("SELECT count(*) FROM pgcrossfade.chunk")
    if len(before) >= cut:
        raise Failed(f"all {cut} chunks were copied before the kill: the test shows nothing")

    # a write between the two runs: later than the kept chunks, earlier than the others
    s.source.run("UPDATE public.big SET body = 'between' WHERE id % 1000 = 0")
    s.source.run("DELETE FROM public.big WHERE id % 1000 = 1")
    migration.start()
    migration.wait_for("lag-zero")
    after = set(s.target.rows(COPIED))
    if not before <= after:
        raise Failed(f"copied again: {sorted(before - after)}")
    print(f"{len(before)} of {cut} chunks were kept")
    drain(migration)
    must_equal(migration)
