"""Rejects: what was put aside, and that target and rejects together are the SELECT's rows.

Every source row is either at the target, exactly, or a reject with the row as it is now; of a
row that was put aside the target may hold an older version, and the reject says so (held).
"""
import dataclasses
import itertools

from . import compare
from .drain import drain
from .processes import Failed

# a deferred constraint trigger of table app.purchase (id, price, ...)
TOO_DEAR = """
CREATE FUNCTION app.cheap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT price FROM app.purchase WHERE id = NEW.id) > 1000 THEN
        RAISE EXCEPTION 'purchase % is too dear', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER cheap AFTER INSERT OR UPDATE ON app.purchase
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.cheap();
"""


def rejects(migration, target=None):
    """(target, key, row, held, sqlstate) of each, in order."""
    return migration.target.rows(
        "SELECT target, key, row, held, sqlstate FROM pgcrossfade.reject"
        " WHERE migration = %s AND (%s::text IS NULL OR target = %s) ORDER BY id",
        [migration.name, target, target])


def older(migration):
    """Of which of them, as (target, id), the target has an older version."""
    return [(target, key["id"]) for target, key, _, held, _ in rejects(migration) if held is not None]


def count(migration):
    return len(rejects(migration))


def stored_rows_are_present(migration, source, target, key, columns):
    """Each reject of the target has the row that the source has now."""
    found = rejects(migration, target)
    keys = [name[key] for _, name, _, _, _ in found]
    if len(set(keys)) != len(keys):
        raise Failed(f"{target}: a source row was put aside twice: {sorted(keys)}")
    now = {str(row[0]): dict(zip(columns, row[1:])) for row in migration.source.rows(
        f"SELECT {key}, {', '.join(f'{c}::text' for c in columns)} FROM {source}")}
    for _, name, row, held, _ in found:
        want = now.get(name[key])
        if want is None:
            raise Failed(f"{target}: reject {name} is no row of {source}")
        wrong = {c: (row[c], want[c]) for c in row if row[c] != want[c]}
        missing = set(columns) - set(row)
        if wrong or (missing and held is None):
            raise Failed(f"{target}: reject {name} is not the row as it is now: {wrong},"
                         f" missing {missing}")


def must_account(migration, source_key, target_key, flows=None):
    """Without the rejects' rows, and the older versions that they say are held, all is equal."""
    for table, group in itertools.groupby(sorted(flows or migration.flows, key=lambda f: f.target),
                                          key=lambda f: f.target):
        group = list(group)
        found = rejects(migration, table)
        keys = [name[source_key] for _, name, _, _, _ in found]
        held = [h[source_key] for _, _, _, h, _ in found if h is not None]
        lines = differences_without(migration, table, group, (source_key, keys),
                                    (target_key, held))
        if lines:
            raise Failed(f"{table}: target and rejects are not the source\n" + "\n".join(lines))


def must_be_put_aside(migration, columns, wanted, why, seconds=60):
    """After a drain: all is accounted for, and this is put aside, as table and id.

    columns: of each table, which are app.TABLE and public.TABLE, with key id.
    """
    drain(migration, seconds)
    for table, names in columns.items():
        stored_rows_are_present(migration, f"public.{table}", f"app.{table}", "id", names)
    must_account(migration, "id", "id")
    found = sorted((target.removeprefix("app."), int(key["id"]))
                   for target, key, _, _, _ in rejects(migration))
    if found != sorted(wanted):
        raise Failed(f"{why}: {found} are put aside, wanted {sorted(wanted)}\n"
                     + migration.command("retry", "--list").out)


def differences_without(migration, table, flows, rejected, held):
    """The SELECT over the source without the rejected rows, the target without the held ones."""
    with migration.source.connect(options=compare.PINNED) as old, \
            migration.target.connect(options=compare.PINNED) as new:
        with old.cursor() as source, new.cursor() as target:
            views = []
            for i, flow in enumerate(flows):
                source.execute(f"CREATE TEMP TABLE good_{i} AS SELECT * FROM {flow.source}"
                               f" WHERE NOT {rejected[0]}::text = ANY (%s::text[])", [rejected[1]])
                views.append(dataclasses.replace(flow, source=f"good_{i}"))
            target.execute(f"CREATE TEMP TABLE unheld AS SELECT * FROM {table}"
                           f" WHERE NOT {held[0]}::text = ANY (%s::text[])", [held[1]])
            target.execute("DROP TABLE IF EXISTS pg_temp.expected")
            for flow in views:
                names = compare.load_expected(source, target, flow)
            unequal = compare.unequal_rows(target, "pg_temp.unheld", names)
    old.close()
    new.close()
    return [f"  {n:+d} {row[:300]}" for row, n in unequal[:10]]
