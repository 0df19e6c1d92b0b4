"""A proxy before a server's socket, that can cut and stall what goes through it.

    with Proxy(database, directory) as proxy:
        migration = s.migration(flows, source=proxy.database)
        proxy.cut()      # both ends of every connection are closed
        proxy.abandon(which) # the server's end is closed, ours stays open and silent
        proxy.forget()   # our end is closed, the server's stays open: it hears nothing
        proxy.stall()    # nothing moves any more
        proxy.resume()   # and goes on

A thread for each direction of each connection, so that one that is full holds up no other.
What is abandoned or forgotten stays so; new connections go through.
"""
import os
import socket
import threading
import time

from .servers import SOCKET_NAME, Database

PIECE = 1 << 16


class Pair:
    """A connection: the client's end and the server's."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.first = b""  # what the client said first: its startup packet
        self.silent = None  # the end that hears nothing

    def end(self):
        """Both ends hear of it, or all but the silent one; threads that wait for them wake up."""
        for socket_ in {self.client, self.server} - {self.silent}:
            try:
                socket_.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is over already


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
        self.pairs = set()
        self.stalled = self.ended = False
        self.thread = threading.Thread(target=self._accept_all, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended, self.stalled = True, False
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        for pair in list(self.pairs):
            pair.silent = None
            pair.end()

    # --- what the tests do to it

    def cut(self):
        for pair in list(self.pairs):
            pair.end()

    def abandon(self, which):
        """which(startup packet): is it that connection?"""
        for pair in list(self.pairs):
            if which(pair.first):
                pair.silent = pair.client
                pair.end()

    def forget(self):
        for pair in list(self.pairs):
            pair.silent = pair.server
            pair.end()

    def stall(self):
        self.stalled = True

    def resume(self):
        self.stalled = False

    # --- the threads

    def _accept_all(self):
        while not self.ended:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.server_path)
            except OSError:  # the server is away
                client.close()
                continue
            pair = Pair(client, server)
            self.pairs.add(pair)
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._move, args=(pair, *ends), daemon=True).start()

    def _move(self, pair, source, sink):
        try:
            while piece := source.recv(PIECE):
                if source is pair.client:
                    pair.first = pair.first or piece
                while self.stalled:
                    time.sleep(0.02)
                sink.sendall(piece)
        except OSError:
            pass
        pair.end()
