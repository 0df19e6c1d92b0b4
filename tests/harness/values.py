"""Random values for columns: each takes a random.Random and returns one."""
import datetime
import json

from psycopg2 import Binary

AWKWARD = ["", " ", "NULL", "null", "\\N", "\\", "\\\\x", "'", "''", '"', '""', "{}", "{a,b}",
           "a,b", "(1,2)", "tab\there", "line\nfeed", "car\rriage", "$1", "%s", "üñï–🐘", "\u2028",
           "\x01", "x" * 300]


def text(rng):
    """Short, and one in four of the kind that breaks quoting."""
    if rng.random() < 0.25:
        return rng.choice(AWKWARD)
    return f"{rng.choice('abcdefgh')}{rng.randrange(10**6)} {rng.choice('xyz')}{rng.randrange(99)}"


def words(rng):
    """Two words, for splitting."""
    return f"{rng.choice(['Ada', 'Bo', 'Cléo', 'Dmitri'])} {rng.choice(['Lo', 'Müller', 'O’Hara'])}"


def long_text(rng):
    """Too long and too random to stay in the row: stored out of line."""
    return f"{rng.getrandbits(16000):04000x}"


def integer(rng):
    return rng.choice([0, -1, 2**31 - 1, -2**31, rng.randrange(1000), rng.randrange(10**9)])


def small(rng):
    return rng.randrange(100)


def boolean(rng):
    return rng.random() < 0.5


def date(rng):
    return datetime.date(2000, 1, 1) + datetime.timedelta(days=rng.randrange(20000))


def timestamp(rng):
    return datetime.datetime(2001, 2, 3) + datetime.timedelta(
        seconds=rng.randrange(10**9), microseconds=rng.randrange(10**6))


def blob(rng):
    return Binary(rng.randbytes(rng.randrange(40)))


def document(rng):
    return json.dumps({"n": rng.randrange(1000), "t": rng.choice(["a", 'q"q', "ü", None]),
                       "list": [rng.randrange(9) for _ in range(rng.randrange(4))]})


def maybe(value, chance=0.2):
    """NULL now and then."""
    return lambda rng: None if rng.random() < chance else value(rng)


def one_of(*choices):
    return lambda rng: rng.choice(choices)


def up_to(highest):
    return lambda rng: rng.randrange(1, highest + 1)
