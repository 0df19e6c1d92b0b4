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


def flow_of_b(old, new):
    return Flow(old, new, key=("id",), select="SELECT id::bigint AS id, n::bigint AS n FROM old")


B = [flow_of_b("public.b", "app.b")]
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


def one_table_is_frozen_once(s):
    """Of two cutovers of one old table the second ended with the server's word that a trigger exists."""
    s.target.run("CREATE SCHEMA second; CREATE TABLE second.b (LIKE app.b INCLUDING ALL);"
                 "CREATE TABLE second.part (LIKE app.b INCLUDING ALL)")
    s.source.run("CREATE TABLE public.part (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);"
                 "CREATE TABLE public.part_0 PARTITION OF public.part DEFAULT")
    first = s.migration(B + [flow_of_b("public.part_0", "app.part")], name="frozen")
    second = s.migration([flow_of_b("public.b", "second.b")], name="second",
                         more=f"hooks: {{before_cutover: {first.program} cutover {first.file}}}")
    s.target.run("CREATE TABLE app.part (LIKE app.b INCLUDING ALL)")
    for migration in (first, second):
        migration.start()
        migration.wait_for("lag-zero")
    said = "public.b is frozen since the cutover of migration frozen, so nothing is written there any more"
    for why in ("a cutover that another one overtakes", "a cutover after it"):
        if said not in second.command("cutover", expect=EXIT_BAD).text:
            raise Failed(f"{why} does not say that the other was made")
    if second.log_text().count("event=hook") != 1:
        raise Failed("the table is frozen, and before_cutover was run")
    if said not in second.command("check").text:
        raise Failed("check of what runs does not say it")
    part = s.migration([flow_of_b("public.part", "second.part")], name="third")
    if "public.part_0 is frozen since the cutover of migration frozen" not in part.check(EXIT_CHECK).text:
        raise Failed("check does not say of a partition that it is frozen")
    second.terminate()
    second.start()
    second.wait_for("lag-zero")
    second.command("abort")
    second.ended(0)


def another_freeze_stays(s):
    """With the last migration of a ledger went the schema, and with it another one's freeze."""
    # the source of migration frozen is the target of this one
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
    s.target.run("TRUNCATE app.a")
    a_key_of_guarded_text(s)
    if s.decoder == "pgoutput":  # either will do
        a_changed_start_is_refused(s)
        a_failing_target_sql_is_seen_before(s)
        one_table_is_frozen_once(s)
        another_freeze_stays(s)
