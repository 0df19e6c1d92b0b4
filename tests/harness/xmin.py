"""How long pgcrossfade holds the source's xmin, sampled from outside."""
import threading
import time

# what keeps dead rows of user tables from being cleaned up; catalog_xmin is about catalogs
HELD = """
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
       (SELECT max(age(x)) FROM (
          SELECT backend_xmin FROM pg_stat_activity WHERE application_name LIKE 'pgcrossfade%'
          UNION ALL SELECT xmin FROM pg_replication_slots WHERE slot_name LIKE 'pgcrossfade%'
        ) AS held (x))
"""


class XminWatch:
    """with XminWatch(database) as watch: ... ; watch.oldest: seconds.

    An xmin is as old as the moment when that number was the next to be given out.
    """

    def __init__(self, database, every=0.05):
        self.database, self.every = database, every
        self.given = []  # (when, next xid), growing
        self.oldest = 0.0
        self.samples = 0
        self.stopping = threading.Event()
        self.broken = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        if self.broken is not None:
            raise self.broken

    def _run(self):
        try:
            connection = self.database.connect(autocommit=True)
            while not self.stopping.wait(self.every):
                with connection.cursor() as cursor:
                    cursor.execute(HELD)
                    self._sample(time.monotonic(), *cursor.fetchone())
            connection.close()
        except Exception as e:  # whatever it is, __exit__ reports it
            self.broken = e

    def _sample(self, now, upcoming, age):
        self.given.append((now, upcoming))
        if age is None:
            return
        self.samples += 1
        xmin = upcoming - age
        since = next((when for when, xid in self.given if xid > xmin), now)
        self.oldest = max(self.oldest, now - since)
