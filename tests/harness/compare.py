"""The flow's SELECT over the source against the target's rows, as multisets, exactly."""
import itertools
import tempfile

from .processes import Failed

PINNED = ("-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c bytea_output=hex"
          " -c extra_float_digits=3 -c client_encoding=UTF8 -c array_nulls=on"
          " -c standard_conforming_strings=on")
SHOWN = 5


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def select_over_source(flow):
    only = "ONLY " if flow.only else ""
    return f"WITH old AS (TABLE {only}{flow.source}) {flow.select.strip()}"


def output_columns(cursor, select):
    cursor.execute(f"SELECT * FROM ({select}) AS q LIMIT 0")
    return [column.name for column in cursor.description]


def copy_old(source, target, flow):
    """The old table's rows in a temporary table of the target, and the SELECT over them."""
    source.execute("SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a"
                   " WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped"
                   " ORDER BY a.attnum", [flow.source])
    columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in source.fetchall())
    target.execute(f"DROP TABLE IF EXISTS pg_temp.copied; CREATE TEMP TABLE copied ({columns})")
    with tempfile.SpooledTemporaryFile(max_size=64 << 20) as rows:
        source.copy_expert(f"COPY {flow.source} TO STDOUT", rows)
        rows.seek(0)
        target.copy_expert("COPY pg_temp.copied FROM STDIN", rows)
    return f"WITH old AS (TABLE pg_temp.copied) {flow.select.strip()}"


def load_expected(source, target, flow):
    """Appends what the SELECT gives to the temporary table `expected` at the target."""
    select = select_over_source(flow)
    if flow.at_target:
        select, source = copy_old(source, target, flow), target
    columns = output_columns(source, select)
    names = ", ".join(quoted(name) for name in columns)
    target.execute(f"CREATE TEMP TABLE IF NOT EXISTS expected AS"
                   f" SELECT {names} FROM {flow.target} WITH NO DATA")
    with tempfile.SpooledTemporaryFile(max_size=64 << 20) as rows:
        source.copy_expert(f"COPY ({select}) TO STDOUT", rows)
        rows.seek(0)
        target.copy_expert(f"COPY expected ({names}) FROM STDIN", rows)
    return names


def unequal_rows(target, table, names):
    """(row, how many more of it the source has; negative: the target)."""
    target.execute(f"""
        SELECT r, sum(n)::int
        FROM (SELECT r::text, 1 AS n FROM (SELECT {names} FROM pg_temp.expected) r
              UNION ALL SELECT r::text, -1 FROM (SELECT {names} FROM {table}) r) AS sides
        GROUP BY r HAVING sum(n) <> 0 ORDER BY 1""")
    return target.fetchall()


def target_differences(source, target, table, flows):
    """Lines that say how one target differs from its flows' SELECTs; [] if it does not.

    The rows of a lookup are each there once, and there may be more of them.
    """
    target.execute("DROP TABLE IF EXISTS pg_temp.expected")
    for flow in flows:
        names = load_expected(source, target, flow)
    if flows[0].lookup:
        target.execute(f"CREATE TEMP TABLE once AS SELECT DISTINCT {names} FROM pg_temp.expected;"
                       f"INSERT INTO pg_temp.once SELECT {names} FROM {table}"
                       f" EXCEPT SELECT {names} FROM pg_temp.expected;"
                       f"TRUNCATE pg_temp.expected;"
                       f"INSERT INTO pg_temp.expected ({names}) SELECT {names} FROM pg_temp.once;"
                       f"DROP TABLE pg_temp.once")
    unequal = unequal_rows(target, table, names)
    missing = [(row, n) for row, n in unequal if n > 0]
    surplus = [(row, -n) for row, n in unequal if n < 0]
    if not unequal:
        return []
    lines = [f"{table} ({names}): {sum(n for _, n in missing)} rows missing or wrong,"
             f" {sum(n for _, n in surplus)} rows not in the source"]
    lines += [f"  source: {n} x {row[:300]}" for row, n in missing[:SHOWN]]
    lines += [f"  target: {n} x {row[:300]}" for row, n in surplus[:SHOWN]]
    return lines


def differences(source, target, flows):
    """Compares every target of the flows; flows with one target count together."""
    lines = []
    by_target = sorted(flows, key=lambda flow: flow.target)
    with source.connect(options=PINNED) as old, target.connect(options=PINNED) as new:
        with old.cursor() as old_rows, new.cursor() as new_rows:
            for table, group in itertools.groupby(by_target, key=lambda flow: flow.target):
                lines += target_differences(old_rows, new_rows, table, list(group))
    old.close()
    new.close()
    return lines


def must_equal(migration):
    lines = differences(migration.source, migration.target, migration.flows)
    if lines:
        raise Failed("source and target differ\n" + "\n".join(lines))
