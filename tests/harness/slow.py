"""A copy that lasts, however fast the machine is."""

SLOW = """
CREATE FUNCTION app.slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN
      IF (SELECT phase FROM pgcrossfade.migration) = 'copy' THEN PERFORM pg_sleep({seconds}); END IF;
      RETURN NULL;
    END $$;
CREATE TRIGGER slow AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION app.slow()
"""


def slow_copy(s, table, seconds):
    """Each chunk of the new table takes that long at least; the stream does not."""
    s.target.run(SLOW.format(table=table, seconds=seconds))
