"""Scratch PostgreSQL servers: a data directory of their own, a Unix socket, no TCP.

    with scratch() as directory, Server("source", directory) as server:
        db = server.database("shop")
        db.run("CREATE TABLE t (id int)")

A server is our child and gets SIGQUIT (immediate shutdown) when we die.
"""
import contextlib
import functools
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile

import psycopg2
import psycopg2.extensions

from . import processes
from .processes import Failed, until

SOCKET_PATH_LIMIT = 107  # sockaddr_un
SOCKET_NAME = ".s.PGSQL.5432"

SETTINGS = {
    "listen_addresses": "''",
    "wal_level": "logical",
    "max_wal_senders": "12",
    "max_replication_slots": "12",
    "max_connections": "80",
    "max_prepared_transactions": "5",
    "shared_buffers": "64MB",
    "max_wal_size": "2GB",
    "jit": "off",
    "deadlock_timeout": "50ms",
    "log_min_messages": "warning",
    "log_line_prefix": "'%m [%p] %d %a '",
}
VOLATILE = {"fsync": "off", "full_page_writes": "off", "wal_sender_timeout": "10s"}


@functools.lru_cache(maxsize=None)
def bindir(name="source"):
    """Where initdb, postgres and pg_basebackup of the server of that name are.

    $PGCROSSFADE_TEST_BINDIR says it: one folder, or two with a colon between, where the second
    is the target's. Else it is the newest server installed.
    """
    chosen = os.environ.get("PGCROSSFADE_TEST_BINDIR")
    if chosen:
        path = chosen.split(":")[-1 if name == "target" else 0]
    else:
        path = installed()
    if not os.path.exists(os.path.join(path, "postgres")):
        raise Failed(f"{path or '(nowhere)'}: no PostgreSQL server there; run script/setup, or set"
                     " PGCROSSFADE_TEST_BINDIR")
    return path


def installed():
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    if found:
        newest = max(found, key=lambda path: int(path.split("/")[4]))
        return os.path.dirname(newest)
    configured = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True)
    return configured.stdout.strip()


@functools.lru_cache(maxsize=None)
def knows_setting(setting, name="source"):
    described = subprocess.run([os.path.join(bindir(name), "postgres"), "--describe-config"],
                               capture_output=True, text=True)
    return any(line.split("\t")[0] == setting for line in described.stdout.splitlines())


@contextlib.contextmanager
def scratch():
    """A directory that servers can live in; gone afterwards.

    $PGCROSSFADE_SCRATCH says where, so that a test run can look for what is left.
    """
    parent = os.environ.get("PGCROSSFADE_SCRATCH") or tempfile.gettempdir()
    if len(parent) > 50:
        parent = "/tmp"
    directory = tempfile.mkdtemp(prefix="pgx-", dir=parent)
    os.chmod(directory, 0o755)  # the server's user passes through
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def initdb(name, data):
    """Shell: a new data directory."""
    return (f"{os.path.join(bindir(name), 'initdb')} -D {data} -U postgres -A trust -E UTF8"
            " --locale=C --no-sync --no-instructions")


def new_data(name, data):
    """The same, and once only.

    Within a test run ($PGCROSSFADE_SCRATCH) initdb is run once for each server name and its
    result copied: names keep system identifiers of their own.
    """
    parent = os.environ.get("PGCROSSFADE_SCRATCH")
    if not parent:
        return initdb(name, data)
    made = os.path.join(parent, "initdb")
    os.makedirs(made, exist_ok=True)
    os.chmod(made, 0o777)
    made = os.path.join(made, name)
    make = f"{{ {initdb(name, made + '.new')} && mv {made}.new {made}; }}"
    return f"(flock 9 && {{ test -d {made} || {make}; }} && cp -a {made} {data}) 9>{made}.lock"


class Database:
    """One database of a scratch server; statements run one by one, committed each."""

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.session = None

    @property
    def conninfo(self):
        return f"host={self.server.directory} port=5432 user=postgres dbname={self.name}"

    def connect(self, autocommit=False, **keywords):
        connection = psycopg2.connect(self.conninfo, **keywords)
        connection.autocommit = autocommit
        return connection

    def _session(self):
        if self.session is None or self.session.closed:
            self.session = self.connect(autocommit=True)
        return self.session

    def run(self, sql, values=None):
        """SQL without a result; several statements are one transaction."""
        try:
            with self._session().cursor() as cursor:
                cursor.execute(sql, values)
        except psycopg2.OperationalError:
            self.forget()
            raise

    def rows(self, sql, values=None):
        try:
            with self._session().cursor() as cursor:
                cursor.execute(sql, values)
                return cursor.fetchall()
        except psycopg2.OperationalError:
            self.forget()
            raise

    def row(self, sql, values=None):
        rows = self.rows(sql, values)
        if len(rows) != 1:
            raise Failed(f"{len(rows)} rows where one was expected: {sql}")
        return rows[0]

    def value(self, sql, values=None):
        return self.row(sql, values)[0]

    def forget(self):
        if self.session is not None:
            self.session.close()
        self.session = None


# A file system of $1 bytes at $2 that only the server sees; the rest is the server's command.
SMALL_DISK = ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount", "sh", "-c",
              'mount -t tmpfs -o size="$1",mode=700 tmpfs "$2" && shift 2'
              ' && exec setpriv --pdeathsig QUIT -- "$@"', "sh"]


def small_disk_refused(directory):
    """Why no small disk can be had here, or None."""
    tried = processes.start([*SMALL_DISK, "1M", directory, "true"], as_server=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = tried.communicate()[0]
    return said.strip() if tried.returncode != 0 else None


class Server:
    """small_disk: bytes of a disk of its own for tablespace `small`; 0: none."""

    def __init__(self, name, scratch_directory, durable=False, settings=None, small_disk=0):
        self.name = name
        self.small_disk = small_disk
        self.directory = os.path.join(scratch_directory, name)
        self.small = os.path.join(self.directory, "small")
        self.data = os.path.join(self.directory, "data")
        self.log = os.path.join(self.directory, "log")
        self.settings = {**SETTINGS, **({} if durable else VOLATILE), **(settings or {})}
        self.process = None
        self.databases = {}
        self.initdb = self._begin()

    def _begin(self):
        """Starts initdb: two servers are made side by side."""
        if len(self.directory) + 1 + len(SOCKET_NAME) > SOCKET_PATH_LIMIT:
            raise Failed(f"{self.directory}: too long for a socket path; set TMPDIR=/tmp")
        for path in (self.directory, self.small):
            os.mkdir(path, 0o755)
            if os.geteuid() == 0:
                user = pwd.getpwnam(processes.SERVER_USER)
                os.chown(path, user.pw_uid, user.pw_gid)
        return processes.start(["sh", "-c", new_data(self.name, self.data)], as_server=True,
                               cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)

    def __enter__(self):
        said = self.initdb.communicate()[0]
        if self.initdb.returncode != 0:
            raise Failed(f"initdb for {self.name}: {said}")
        settings = {"unix_socket_directories": f"'{self.directory}'", **self.settings}
        if knows_setting("output_plugin_libraries", self.name):
            settings.setdefault("output_plugin_libraries", "'pgoutput, test_decoding, wal2json'")
        with open(os.path.join(self.data, "postgresql.conf"), "a") as conf:
            for name, value in settings.items():
                conf.write(f"{name} = {value}\n")
        self.start()
        if self.small_disk:
            self.database("postgres").run(f"CREATE TABLESPACE small LOCATION '{self.small}'")
        return self

    def __exit__(self, *_):
        if self.initdb.poll() is None:
            processes.kill9(self.initdb)
        self.stop("immediate")

    def database(self, name, create=True):
        if name not in self.databases:
            self.databases[name] = Database(self, name)
            if create and name != "postgres":
                self.database("postgres").run(f'CREATE DATABASE "{name}"')
        return self.databases[name]

    def start(self):
        command = [os.path.join(bindir(self.name), "postgres"), "-D", self.data]
        if self.small_disk:
            command[:0] = [*SMALL_DISK, str(self.small_disk), self.small]
        with open(self.log, "ab") as log:
            self.process = processes.start(command, death="QUIT", as_server=True, cwd="/",
                                           stdout=log, stderr=log)
        until(self._answers, f"server {self.name} starts", 60, alive=self._alive)

    def _answers(self):
        try:
            self.database("postgres").rows("SELECT 1")
            return True
        except psycopg2.OperationalError:
            return False

    def _alive(self):
        if self.process.poll() is not None:
            raise Failed(f"server {self.name} did not start:\n{self.log_tail()}")

    def _forget_sessions(self):
        for database in self.databases.values():
            database.forget()

    def stop(self, mode="fast"):
        self._forget_sessions()
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.crash()

    def crash(self):
        """kill -9 of the postmaster and all its backends."""
        self._forget_sessions()
        processes.kill9(self.process, with_children=True)

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def sessions(self):
        """What each does or waits for, where the server can be asked."""
        try:
            return [" ".join(map(str, row)) for row in self.database("postgres").rows(
                "SELECT pid, application_name, state, wait_event_type, wait_event,"
                " left(query, 150) FROM pg_stat_activity"
                " WHERE backend_type IN ('client backend', 'walsender')")]
        except psycopg2.Error as e:
            return [str(e)]

    def log_tail(self, lines=25):
        try:
            with open(self.log, errors="replace") as log:
                return "".join(log.readlines()[-lines:])
        except OSError:
            return ""


def start_all(stack, directory, names, own=None, **options):
    """The named servers, made and started side by side; stopped when the stack closes.

    own: options of one of them, by its name.
    """
    made = [Server(name, directory, **{**options, **(own or {}).get(name, {})})
            for name in names]
    return [stack.enter_context(server) for server in made]


def define_services(directory, **services):
    """Makes service=NAME mean a database, for us and the programs that we start."""
    path = os.path.join(directory, "pg_service.conf")
    with open(path, "w") as f:
        for name, database in services.items():
            f.write(f"[{name}]\n" + database.conninfo.replace(" ", "\n") + "\n")
    os.environ["PGSERVICEFILE"] = path
