"""Each transition runs its hook and goes out as NOTIFY; after_cutover also when run dies over it."""
import os
import select

from harness.flow import Flow
from harness.migration import EXIT_CONFLICT
from harness.processes import Failed, until

OLD = """
CREATE TABLE public.a (id int PRIMARY KEY, n int);
INSERT INTO public.a SELECT i, i FROM generate_series(1, 100) i;
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.a (id bigint PRIMARY KEY, n bigint CHECK (n < 1000));
"""

FLOWS = [Flow("public.a", "app.a", key=("id",), select="""
    SELECT id::bigint AS id, n::bigint AS n FROM old
""")]

HOOKS = ("on_lag_zero", "before_cutover", "after_cutover", "on_error")


def hooks(said):
    """Each hook writes its own name; the last line shows that a shell runs them."""
    lines = [f"  {name}: \"echo {name} >> '{said}'\"" for name in HOOKS if name != "after_cutover"]
    lines.append(f"  after_cutover: \"[ -e '{said}.died' ] || {{ touch '{said}.died'; kill -9 $PPID; exit; }};"
                 f" echo after_cutover >> '{said}'\"")
    return "\n".join(["hooks:", *lines])


def lines_of(path):
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return f.read().split()


def notified(listener):
    """Payloads that have arrived; waits up to a second for the first."""
    select.select([listener], [], [], 1)
    listener.poll()
    return [notice.payload for notice in listener.notifies]


def until_notified(listener, *words):
    until(lambda: all(any(word in payload for payload in notified(listener)) for word in words),
          f"NOTIFY with {', '.join(words)}")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    listener = s.target.connect(autocommit=True)
    listener.cursor().execute("LISTEN pgcrossfade")
    said = os.path.join(s.directory, "said")
    migration = s.migration(FLOWS, more=hooks(said))

    migration.start()
    migration.wait_for("lag-zero")
    until(lambda: lines_of(said) == ["on_lag_zero"], "on_lag_zero")
    until_notified(listener, "lag-zero")

    s.source.run("UPDATE public.a SET n = 5000 WHERE id = 1")
    migration.ended(EXIT_CONFLICT)
    until(lambda: lines_of(said)[-1] == "on_error", "on_error")
    until_notified(listener, "error")

    s.source.run("UPDATE public.a SET n = 1 WHERE id = 1")
    s.target.run("ALTER TABLE app.a DROP CONSTRAINT a_n_check")
    migration.start()
    until(lambda: migration.status()["running"], "run is back")  # or wait sees the old error
    migration.wait_for("lag-zero")
    print(migration.command("cutover").out)
    migration.ended(-9)
    migration.start()
    until(lambda: lines_of(said)[-2:] == ["before_cutover", "after_cutover"], "after_cutover")
    until_notified(listener, "before-cutover", "after-cutover")
    if not any("demo" in payload for payload in notified(listener)):
        raise Failed(f"no NOTIFY names the migration: {notified(listener)}")
    listener.close()
