"""A proxy before a server's socket, that can cut and stall what goes through it.

    with Proxy(database, directory) as proxy:
        migration = s.migration(flows, source=proxy.database)
        proxy.cut()      # both ends of every connection are closed
        proxy.abandon(which) # the server's end is closed, ours stays open and silent
        proxy.stall()    # nothing moves any more
        proxy.resume()   # and goes on

One thread moves all bytes. What is abandoned stays so; new connections go through.
"""
import os
import selectors
import socket
import threading

from .servers import SOCKET_NAME, Database

PIECE = 1 << 16


class Pair:
    """A connection: the client's end and the server's."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.first = b""  # what the client said first: its startup packet
        self.abandoned = False

    def other(self, end):
        return self.server if end is self.client else self.client

    def close(self):
        self.client.close()
        self.server.close()


class Proxied(Database):
    """The same database by way of the proxy; our own statements go there directly."""

    def __init__(self, database, directory):
        super().__init__(database.server, database.name)
        self.directory = directory

    @property
    def conninfo(self):
        return super().conninfo.replace(self.server.directory, self.directory)

    def connect(self, autocommit=False, **keywords):
        return self.server.database(self.name).connect(autocommit, **keywords)


class Proxy:
    def __init__(self, database, directory):
        self.server_path = os.path.join(database.server.directory, SOCKET_NAME)
        self.directory = os.path.join(directory, f"proxy-{database.server.name}")
        os.mkdir(self.directory)
        self.database = Proxied(database, self.directory)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.directory, SOCKET_NAME))
        self.listener.listen(64)
        self.lock = threading.Lock()  # over all that follows
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.pairs = set()
        self.stalled = self.ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()
        self.cut()
        self.listener.close()

    # --- what the tests do to it

    def cut(self):
        with self.lock:
            for pair in list(self.pairs):
                self._drop(pair)

    def abandon(self, which):
        """which(startup packet): is it that connection?"""
        with self.lock:
            for pair in self.pairs:
                if not pair.abandoned and which(pair.first):
                    pair.abandoned = True
                    self._forget(pair)
                    pair.server.close()

    def stall(self):
        with self.lock:
            self.stalled = True

    def resume(self):
        with self.lock:
            self.stalled = False

    # --- the thread

    def _run(self):
        while not self.ended:
            if self.stalled:
                threading.Event().wait(0.02)
                continue
            for key, _ in self.selector.select(0.05):
                with self.lock:
                    self._ready(key)

    def _ready(self, key):
        if key.fileobj is self.listener:
            self._accept()
        elif key.data in self.pairs and not key.data.abandoned:
            self._move(key.fileobj, key.data)

    def _accept(self):
        client, _ = self.listener.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.server_path)
        except OSError:  # the server is away
            client.close()
            return
        pair = Pair(client, server)
        self.pairs.add(pair)
        for end in (client, server):
            self.selector.register(end, selectors.EVENT_READ, pair)

    def _move(self, end, pair):
        try:
            piece = end.recv(PIECE)
            if piece:
                pair.first = pair.first or piece
                pair.other(end).sendall(piece)
                return
        except OSError:
            pass
        self._drop(pair)

    def _forget(self, pair):
        for end in (pair.client, pair.server):
            try:
                self.selector.unregister(end)
            except (KeyError, ValueError):
                pass

    def _drop(self, pair):
        self._forget(pair)
        self.pairs.discard(pair)
        pair.close()
