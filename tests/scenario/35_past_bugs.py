"""What went wrong once: each part is a bug that was found, and stays away."""
from harness.drain import drain
from harness.compare import must_equal
from harness.flow import Flow
from harness.migration import EXIT_BAD, EXIT_CHECK, EXIT_USAGE
from harness.processes import Failed

OLD = """
CREATE TABLE public.a (id int PRIMARY KEY, n int, note text);
CREATE TABLE public.b (id int PRIMARY KEY, n int);
INSERT INTO public.a SELECT i, i, 'note ' || i FROM generate_series(1, 500) i;
INSERT INTO public.b SELECT i, i FROM generate_series(1, 500) i;
CREATE SCHEMA here;
CREATE TABLE here.a (id bigint PRIMARY KEY, n bigint);
"""

NEW = """
CREATE SCHEMA app;
CREATE TABLE app.a (id bigint PRIMARY KEY, n bigint, note text);
CREATE TABLE app.b (id bigint PRIMARY KEY, n bigint);
"""

A = [Flow("public.a", "app.a", key=("id",),
          select="SELECT id::bigint AS id, n::bigint AS n, note FROM old")]
B = [Flow("public.b", "app.b", key=("id",),
          select="SELECT id::bigint AS id, n::bigint AS n FROM old")]
HERE = [Flow("public.a", "here.a", key=("id",),
             select="SELECT id::bigint AS id, n::bigint AS n FROM old")]

APPLIED = "SELECT transactions FROM pgcrossfade.progress WHERE migration = 'one'"


def own_writes_come_back(s):
    """In one database the mark of our own transactions was decoded, applied and marked again."""
    migration = s.migration(HERE, target=s.source, name="one")
    migration.start()
    migration.wait_for("lag-zero")
    before = s.source.value(APPLIED)
    s.source.run("UPDATE public.a SET n = n + 1 WHERE id = 1")
    drain(migration)
    drain(migration)
    if s.source.value(APPLIED) != before + 1:
        raise Failed(f"{s.source.value(APPLIED) - before} transactions for one update")
    migration.command("abort")
    migration.ended(0)


def a_name_is_taken(s):
    """`a-b` and `a_b` are one slot: the second took it from the first, which lost changes."""
    first = s.migration(A, name="a-b")
    first.start()
    first.wait_for("lag-zero")
    second = s.migration(B, name="a_b")
    second.start()
    second.ended(EXIT_USAGE)
    if "already has replication slot" not in second.log_text():
        raise Failed(second.log_text())
    s.source.run("UPDATE public.a SET n = -1 WHERE id = 2")
    drain(first)
    must_equal(first)
    return first


def a_renamed_column(s, migration):
    """It was taken for a long value that had not changed."""
    s.source.run("ALTER TABLE public.a RENAME note TO remark")
    s.source.run("UPDATE public.a SET remark = 'lost?' WHERE id = 3")
    migration.ended(EXIT_USAGE)
    s.source.run("ALTER TABLE public.a RENAME remark TO note")
    if 'column "note"' not in migration.log_text():
        raise Failed(migration.log_text())
    migration.command("abort")


def a_table_made_again(s):
    """A new table of the old name was not published; a restart took it for the old one."""
    s.source.run("CREATE TABLE public.c (id int PRIMARY KEY, n int)")
    s.target.run("CREATE TABLE app.c (id bigint PRIMARY KEY, n bigint)")
    migration = s.migration([Flow("public.c", "app.c", key=("id",),
                                  select="SELECT id::bigint AS id, n::bigint AS n FROM old")],
                            name="again")
    migration.start()
    migration.wait_for("lag-zero")
    s.source.run("DROP TABLE public.c; CREATE TABLE public.c (id int PRIMARY KEY, n int);"
                 "INSERT INTO public.c VALUES (1, 1)")
    for _ in range(2):
        migration.ended(EXIT_USAGE)
        said = migration.log_text()
        if "dropped and made again" not in said or "; abort and start again" not in said:
            raise Failed(said)
        migration.start()
    migration.ended(EXIT_USAGE)
    migration.command("abort")


def a_changed_start_is_refused(s):
    """Another search_path, or another key of the old table, made the rest of a copy by other rules."""
    s.source.run("CREATE TABLE public.d (id int PRIMARY KEY, n int NOT NULL UNIQUE)")
    s.target.run("CREATE TABLE app.d (id bigint PRIMARY KEY, n bigint)")
    flows = [Flow("public.d", "app.d", key=("id",),
                  select="SELECT id::bigint AS id, n::bigint AS n FROM old")]
    migration = s.migration(flows, name="start")
    migration.start()
    migration.wait_for("lag-zero")
    migration.terminate()
    other_path = s.migration(flows, name="start", more="search_path: [app]")
    must_be_refused(other_path)
    s.source.run("ALTER TABLE public.d DROP CONSTRAINT d_pkey, ADD PRIMARY KEY (n, id)")
    must_be_refused(s.migration(flows, name="start"))
    migration.command("abort")


def must_be_refused(migration):
    """By check and plan, too: they let it pass."""
    for command in ("check", "plan"):
        said = migration.command(command, expect=EXIT_CHECK).out
        if "are not those it was started with; bring them back" not in said or "1 failed" not in said:
            raise Failed(f"{command} says {said}")
    migration.start()
    migration.ended(EXIT_USAGE)
    if "are not those it was started with" not in migration.log_text():
        raise Failed(migration.log_text())


def a_failing_target_sql_is_seen_before(s):
    """It was found out past the point of no return."""
    migration = s.migration(A, name="late", more="switch:\n  target_sql: GRANT SELECT ON app.none TO PUBLIC")
    migration.start()
    migration.wait_for("lag-zero")
    refused = migration.command("cutover", expect=EXIT_BAD)
    if "app.none" not in refused.text or migration.phase() != "stream":
        raise Failed(f"{migration.phase()}: {refused.text}")
    s.source.run("UPDATE public.a SET n = -2 WHERE id = 2")
    migration.command("abort")
    s.target.run("TRUNCATE app.a")


def a_key_of_guarded_text(s):
    """A DELETE of a row that WHERE leaves out computed its key, and the run stopped at it."""
    s.source.run("CREATE TABLE public.code (code varchar(9) PRIMARY KEY, n int);"
                 "INSERT INTO public.code VALUES ('1', 1), ('one', 2), ('two', 3)")
    s.target.run("CREATE TABLE app.code (id int PRIMARY KEY, n int)")
    migration = s.migration([Flow("public.code", "app.code", key=("id",),
                                  select="SELECT code::int AS id, n FROM old WHERE code ~ '^[0-9]+$'")],
                            name="guarded")
    migration.start()
    migration.wait_for("lag-zero")
    s.source.run("DELETE FROM public.code WHERE code = 'one'; UPDATE public.code SET n = n + 1;"
                 "UPDATE public.code SET code = '2' WHERE code = 'two'")
    drain(migration)
    must_equal(migration)
    migration.command("abort")


def another_freeze_stays(s):
    """With the last migration of a ledger went the schema, and with it another one's freeze."""
    frozen = s.migration(B, name="frozen")
    frozen.start()
    frozen.wait_for("lag-zero")
    frozen.command("cutover")
    # the source of `frozen` is the target of this one
    other = s.migration(HERE, target=s.source, name="other")
    other.start()
    other.wait_for("lag-zero")
    other.command("abort")
    if not s.source.value("SELECT count(*) FROM pg_trigger WHERE tgname = 'pgcrossfade_freeze'"):
        raise Failed("the old table of another migration is not frozen any more")


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    own_writes_come_back(s)
    first = a_name_is_taken(s)
    if s.decoder == "pgoutput":  # wal2json: docs/limits.md
        a_renamed_column(s, first)
    a_table_made_again(s)
    a_changed_start_is_refused(s)
    s.target.run("TRUNCATE app.a")
    a_failing_target_sql_is_seen_before(s)
    a_key_of_guarded_text(s)
    another_freeze_stays(s)
