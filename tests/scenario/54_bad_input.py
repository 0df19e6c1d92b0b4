"""Command lines and files that cannot be: one message, an exit code, nothing made, no secret told.

Nor does a command end with 0 whose output cannot be written.
"""
import os
import subprocess

from harness import processes
from harness.fingerprint import changed, fingerprint
from harness.flow import Flow
from harness.migration import (EXIT_BAD, EXIT_CHECK, EXIT_UNREACHABLE, EXIT_USAGE, SANITIZER,
                               program)
from harness.processes import Failed, until

DECODER_MATTERS = False
SERVERS = 1

SCHEMA = """
CREATE TABLE public.a (id int PRIMARY KEY, n int); INSERT INTO a SELECT i, i FROM generate_series(1, 50) i;
CREATE SCHEMA app; CREATE TABLE app.a (id int PRIMARY KEY, n int);
CREATE ROLE locked LOGIN SUPERUSER PASSWORD 'correct-horse';
"""
FLOWS = [Flow("public.a", "app.a", key=("id",), select="SELECT id, n FROM old")]

SECRETS = ("correct-horse", "hunter2")

# command line ({} is a good file, {name} one of FILES), exit code, what the one line says
LINES = [
    ([], EXIT_USAGE, "what to do?"),
    (["explode", "{}"], EXIT_USAGE, "no such command: explode"),
    (["check"], EXIT_USAGE, "check needs a migration file"),
    (["check", "{}", "{}"], EXIT_USAGE, "check takes one migration file"),
    (["check", "{}", "--fast"], EXIT_USAGE, "unknown option: --fast"),
    (["check", "{}", "-x"], EXIT_USAGE, "unknown option: -x"),
    (["check", "{}", "--timeout", "3"], EXIT_USAGE, "no option timeout"),
    (["check", "{}", "--json=yes"], EXIT_USAGE, "--json"),
    (["check", "{}", "--data-time", "0"], EXIT_USAGE, "--data-time: want seconds"),
    (["check", "{}", "--data-time", "-1"], EXIT_USAGE, "--data-time: want seconds"),
    (["check", "{}", "--data-time", "soon"], EXIT_USAGE, "--data-time: want seconds"),
    (["check", "{}", "--data-time", "1e999"], EXIT_USAGE, "--data-time: want seconds"),
    (["check", "{}", "--data-time"], EXIT_USAGE, "no value after --data-time"),
    (["run", "{}", "--json"], EXIT_USAGE, "no option json"),
    (["wait", "{}"], EXIT_USAGE, "wait needs --for"),
    (["wait", "{}", "--for"], EXIT_USAGE, "no value after --for"),
    (["wait", "{}", "--for", "christmas"], EXIT_USAGE, "christmas"),
    (["wait", "{}", "--for", "stream", "--timeout", "nan"], EXIT_USAGE, "--timeout: want seconds"),
    (["wait", "{}", "--for", "stream", "--timeout", "1x"], EXIT_USAGE, "--timeout: want seconds"),
    (["cutover", "{}"], EXIT_USAGE, "ledger does not know migration demo"),
    (["complete", "{}"], EXIT_USAGE, "ledger does not know migration demo"),
    (["abort", "{}"], EXIT_USAGE, "ledger does not know migration demo"),
    (["status", "{}"], EXIT_USAGE, "ledger does not know migration demo"),
    (["check", "/nowhere/at/all.yaml"], EXIT_USAGE, "cannot be opened"),
    (["check", ""], EXIT_USAGE, "cannot be opened"),
    (["check", "/proc/self/mem"], EXIT_USAGE, "cannot be"),
    (["check", "{directory}"], EXIT_USAGE, "cannot be"),
    (["check", "{empty}"], EXIT_USAGE, "empty"),
    (["check", "{blank}"], EXIT_USAGE, "blank"),
    (["check", "{binary}"], EXIT_USAGE, "binary"),
    (["check", "{nul}"], EXIT_USAGE, "nul"),
    (["check", "{latin1}"], EXIT_USAGE, "latin1"),
    (["check", "{long_line}"], EXIT_USAGE, "long_line"),
    (["check", "{huge}"], EXIT_USAGE, "larger than 1 MB"),
    (["check", "{deep}"], EXIT_USAGE, "deep"),
    (["check", "{flow_deep}"], EXIT_USAGE, "flow_deep"),
    (["check", "{two_documents}"], EXIT_USAGE, "two_documents"),
    (["check", "{list}"], EXIT_USAGE, "want a mapping"),
    (["check", "{text}"], EXIT_USAGE, "want a mapping"),
    (["check", "{tag}"], EXIT_USAGE, "tag"),
    (["check", "{tab}"], EXIT_USAGE, "tab"),
    (["check", "{jobs_0}"], EXIT_USAGE, "jobs: want 1..64, got '0'"),
    (["check", "{jobs_many}"], EXIT_USAGE, "jobs: want 1..64, got '99999999999999999999'"),
    (["check", "{jobs_negative}"], EXIT_USAGE, "jobs: want 1..64, got '-1'"),
    (["check", "{age_0}"], EXIT_USAGE, "snapshot_max_age: want 1s..1d (digits and ms, s, min, h or d), got '0s'"),
    (["check", "{memory_small}"], EXIT_USAGE, "memory: want 16MB..64GB (digits and B, kB, MB or GB), got '1MB'"),
    (["check", "{tries_words}"], EXIT_USAGE, "tries: want 1..1000, got 'many'"),
    (["check", "{nowhere}"], EXIT_UNREACHABLE, "connect to the source"),
    (["check", "{no_database}"], EXIT_CHECK, "does not exist"),
    (["check", "{no_role}"], EXIT_CHECK, "does not exist"),
    (["check", "{no_service}"], EXIT_CHECK, 'definition of service "nobody" not found'),
    # secrets
    (["check", "{secret_pair}"], EXIT_USAGE, "source: holds a password"),
    (["check", "{secret_uri}"], EXIT_USAGE, "source: holds a password"),
    (["check", "{secret_query}"], EXIT_USAGE, "source: holds a password"),
    (["check", "{secret_ssl}"], EXIT_USAGE, "source: holds a password"),
    (["check", "{secret_misspelt}"], EXIT_USAGE, "source: not a libpq conninfo"),
    (["check", "{secret_broken_uri}"], EXIT_USAGE, "source: not a libpq conninfo"),
    (["check", "{secret_no_value}"], EXIT_USAGE, "source: not a libpq conninfo"),
    (["check", "{secret_list}"], EXIT_USAGE, "source: want a text, got a list"),
]

SOURCES = {
    "nowhere": "host=/nowhere dbname=old", "no_service": "service=nobody",
    "secret_pair": "host=h password=hunter2", "secret_uri": "postgresql://u:hunter2@h/d",
    "secret_query": "postgresql://u@h/d?password=hunter2",
    "secret_ssl": "host=h sslpassword=hunter2", "secret_misspelt": "host=h passwrd=hunter2",
    "secret_broken_uri": "postgresql://u:hunter2@[::1/d", "secret_no_value": "hunter2",
    "secret_list": "[hunter2]",
}


def files(good):
    """Name -> bytes."""
    lines = good.splitlines(keepends=True)
    with_key = {name: f"{text}\n{good}" for name, text in {
        "age_0": "snapshot_max_age: 0s", "memory_small": "memory: 1MB",
        "tries_words": "cutover: {tries: many}"}.items()}
    jobs = {name: good.replace("jobs: 2", f"jobs: {value}") for name, value in {
        "jobs_0": "0", "jobs_many": "99999999999999999999", "jobs_negative": "-1"}.items()}
    sources = {name: "".join(f"source: {value}\n" if line.startswith("source:") else line
                             for line in lines) for name, value in SOURCES.items()}
    texts = {
        **with_key, **jobs, **sources, "empty": "", "blank": "\n\n# nothing here\n",
        "long_line": "migration: " + "x" * (1 << 20) + "\n", "huge": good + "#" * (2 << 20),
        "deep": "a: " + "[" * 50000, "flow_deep": good + "x: " + "{a: " * 200 + "1" + "}" * 200,
        "two_documents": good + "---\n" + good, "list": "- a\n- b\n", "text": "only words\n",
        "tag": good.replace("migration: ", "migration: !!binary "), "tab": good + "\thooks: {}\n",
        "no_database": good.replace("dbname=old", "dbname=never"),
        "no_role": good.replace("user=postgres", "user=never"),
    }
    made = {name: text.encode() for name, text in texts.items()}
    made["binary"] = bytes(range(256)) * 16
    made["nul"] = good.replace("migration: ", "migration: a\0b").encode()
    made["latin1"] = good.encode() + "# \xe9\n".encode("latin1")
    return made


def write_files(s, good):
    names = {"directory": os.path.join(s.directory, "directory")}
    os.mkdir(names["directory"])
    for name, content in files(good).items():
        names[name] = os.path.join(s.directory, f"{name}.yaml")
        with open(names[name], "wb") as f:
            f.write(content)
    return names


def say(arguments, stdout=subprocess.PIPE, **environment):
    process = processes.start([program(), *arguments], stdout=stdout,
                              stderr=subprocess.PIPE, text=True, errors="replace",
                              env={**os.environ, **environment})
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def complaint(arguments, code, wanted, names, good):
    """What is wrong with what the program makes of one command line; None if nothing."""
    line = [a.format(good, **names) if "{" in a else a for a in arguments]
    got, out, err = say(line)
    said = (out + err).splitlines()
    told = [text for text in said if text.startswith(("fail", "pgcrossfade: "))]
    if got != code or len(told) != 1 or wanted not in told[0] or SANITIZER.search(err):
        return f"{arguments}: exit {got}, wanted {code} and one line with {wanted!r}:\n{out}{err}"
    if any(secret in out + err for secret in SECRETS):
        return f"{arguments}: tells a secret"
    if len(told[0]) > 1000:
        return f"{arguments}: {len(told[0])} characters"
    return None


def bad_lines(s, migration):
    names = write_files(s, migration.yaml())
    before = fingerprint(s.source), fingerprint(s.target)
    found = [text for text in (complaint(*row, names, migration.file) for row in LINES) if text]
    for was, now in zip(before, (fingerprint(s.source), fingerprint(s.target))):
        if was != now:
            found.append(f"changed {changed(was, now)}")
    if found:
        raise Failed("\n".join(found))


def full_disk(*lines, **environment):
    for line in lines:
        with open("/dev/full", "w") as full:
            code, _, err = say(line, stdout=full, **environment)
        if code != EXIT_BAD or not err.startswith("pgcrossfade: standard output cannot be written"):
            raise Failed(f"{line}: with a full disk exit {code}: {err}")


# --- a server that asks for a password

def lock(s):
    path = os.path.join(s.servers[0].data, "pg_hba.conf")
    with open(path) as f:
        was = f.read()
    with open(path, "w") as f:
        f.write("local all locked scram-sha-256\nlocal all rejected reject\n" + was)
    s.source.rows("SELECT pg_reload_conf()")
    s.source.forget()


def must_not_tell(what, *texts):
    for text in texts:
        if any(secret in text for secret in SECRETS):
            raise Failed(f"{what} tells a secret:\n{text}")


def locked_file(s):
    migration = s.migration(FLOWS, source=s.source, target=s.source, name="locked")
    with open(migration.file, "w") as f:
        f.write(migration.yaml().replace("user=postgres", "user=locked"))
    return migration


def wrong_password(s, file):
    for environment, wanted in (({"PGPASSWORD": "hunter2"}, "password authentication failed"),
                                ({}, "no password supplied")):
        code, out, err = say(["check", file], PGPASSFILE="/dev/null", **environment)
        if code != EXIT_CHECK or wanted not in out:
            raise Failed(f"wrong password: exit {code}\n{out}{err}")
        must_not_tell("check", out, err)
        code, out, err = say(["run", file], PGPASSFILE="/dev/null", **environment)
        if code != EXIT_USAGE:
            raise Failed(f"wrong password: run ends with {code}\n{out}{err}")
        must_not_tell("run", out, err)


# --- connections that cannot be: the same exit code from every command

COMMANDS = [["check"], ["plan"], ["run"], ["status"], ["wait", "--for", "stream"], ["cutover"], ["retry"],
            ["retry", "--list"], ["complete"], ["abort"]]

ROLES = """
CREATE ROLE rejected LOGIN; CREATE ROLE nologin; CREATE ROLE crowd LOGIN CONNECTION LIMIT 0;
CREATE ROLE "no password supplied" LOGIN CONNECTION LIMIT 0;
"""

# what is added to a good conninfo, which is told before it
REFUSED = ["user=rejected", "user=nologin", "user=locked", "dbname=never", "service=never", "port=99999", "port=x",
           "hostaddr=x", "sslmode=x", "channel_binding=require", "options='-c nothing=1'", "connect_timeout=x",
           "requirepeer=nobody"]
AWAY = ["host=/nowhere", "host=127.0.0.1 port=1", "user=crowd", "target_session_attrs=read-only",
        "user='no password supplied'", "host=certificate.invalid"]


def codes(s, conninfo, commands, **environment):
    """One of each command, all at a time."""
    path = os.path.join(s.directory, "unconnected.yaml")
    with open(path, "w") as f:
        f.write("migration: unconnected\nflows: [{from: public.a, to: app.a, key: [id], select: SELECT id FROM old}]\n"
                + "".join(f'{side}: "{conninfo}"\n' for side in ("source", "target")))
    started = [processes.start([program(), command[0], path, *command[1:]], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env={**os.environ, "PGPASSFILE": "/dev/null", **environment})
               for command in commands]
    return [process.wait(timeout=60) for process in started]


def connections(s):
    s.source.run(ROLES)
    rows = [(f"{s.source.conninfo} {more}", code, {}) for of, code in ((REFUSED, EXIT_USAGE), (AWAY, EXIT_UNREACHABLE))
            for more in of]
    rows += [("service=never", EXIT_USAGE, {"PGSERVICEFILE": "/nowhere"})]
    for conninfo, code, environment in rows:
        commands = COMMANDS if conninfo.endswith(("rejected", "nowhere")) else [["check"]]
        want = [EXIT_CHECK if code == EXIT_USAGE and c[0] in ("check", "plan") else code for c in commands]
        got = codes(s, conninfo, commands, **environment)
        if got != want:
            raise Failed(f"{conninfo}: {commands} end with {got}, not {want}")


def ways_of_password(s):
    """PGPASSWORD, a password file, a service file."""
    passfile = os.path.join(s.directory, "pgpass")
    with open(passfile, "w") as f:
        f.write("*:*:*:locked:correct-horse\n")
    os.chmod(passfile, 0o600)
    return {"PGPASSWORD": "correct-horse"}, {"PGPASSFILE": passfile}


def everything_written(database):
    tables = database.rows("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
                           " AND relnamespace = 'pgcrossfade'::regnamespace")
    written = [str(database.rows(f"SELECT t::text FROM {table} t")) for (table,) in tables]
    return [*written, str(database.rows("SELECT t::text FROM pg_stat_activity t"))]


def run_with_secret(s, migration):
    os.environ["PGPASSWORD"] = "correct-horse"
    migration.start()
    del os.environ["PGPASSWORD"]
    until(lambda: migration.phase() == "stream", "stream", alive=migration.must_run)
    pids = [migration.process.pid, *processes.children(migration.process.pid)]
    for pid in pids:
        with open(f"/proc/{pid}/cmdline", errors="replace") as f:
            must_not_tell("the command line", f.read())
    with open(f"/proc/{migration.process.pid}/environ", errors="replace") as f:
        told = [v for v in f.read().split("\0") if any(secret in v for secret in SECRETS)]
    if told != ["PGPASSWORD=correct-horse"]:
        raise Failed(f"the environment says {told}")
    must_not_tell("run", migration.log_text(), *everything_written(s.source))
    migration.terminate()


def scenario(s):
    s.source.run(SCHEMA)
    s.target.run(SCHEMA.replace("CREATE ROLE", "-- CREATE ROLE"))
    good = s.migration(FLOWS)
    bad_lines(s, good)
    full_disk(["check", good.file], ["check", good.file, "--json"], ["plan", good.file],
              ["plan", good.file, "--json"], ["--help"], ["help", "man"], ["--version"])
    lock(s)
    migration = locked_file(s)
    wrong_password(s, migration.file)
    for environment in ways_of_password(s):
        code, out, err = say(["check", migration.file], **environment)
        if code:
            raise Failed(f"{list(environment)}: exit {code}\n{out}{err}")
        must_not_tell("check", out, err)
    connections(s)
    run_with_secret(s, migration)
    status = ["status", migration.file]
    full_disk(status, [*status, "--json"], [*status, "--watch=0.1"], PGPASSWORD="correct-horse")
