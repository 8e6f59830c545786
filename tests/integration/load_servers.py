# SPDX-License-Identifier: MIT
"""Servers on loopback that answer as told, well or badly: what load-test is tested against. Standard library only.

    with Server() as server:      one thread a connection; the path of a request picks what happens (see `behaviours`)
        server.url("/early-close")
        server.requests           [(connection number, peer port, path, monotonic time received)]

Each behaviour is a function (connection, request) -> whether to go on with this connection.
"""

import socket
import struct
import threading
import time

LONGEST_S = 20  # nothing here lives longer, whatever the client does


class Connection:
    def __init__(self, server, sock, number, port):
        self.server = server
        self.sock = sock
        self.number = number
        self.port = port
        self.answered = 0

    def send(self, data):
        self.sock.sendall(data)

    def answer(self, body=b"ok", head=b"", status=b"200 OK"):
        self.send(b"HTTP/1.1 " + status + b"\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.answered += 1
        return True

    def reset(self):
        """Close so that the peer gets RST instead of an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def sleep(self, seconds):
        return not self.server.stopping.wait(seconds)

    def trickle(self, piece, seconds):
        began = time.monotonic()
        while time.monotonic() - began < LONGEST_S and self.sleep(seconds):
            self.send(piece)
        return False

    def flood(self, piece):
        began = time.monotonic()
        while time.monotonic() - began < LONGEST_S and not self.server.stopping.is_set():
            self.send(piece)
        return False


def raw(data, go_on=False):
    def behave(connection, unused_request):
        connection.send(data)
        return go_on
    return behave


def hold(data):
    """Send that, then say nothing more, and stay."""
    def behave(connection, unused_request):
        connection.send(data)
        connection.sleep(LONGEST_S)
        return False
    return behave


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def pieces(connection, unused_request):
    for byte in CHUNKED + b"5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n":
        connection.send(bytes([byte]))
    connection.answered += 1
    return True


def interim(connection, unused_request):
    connection.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    return connection.answer()


def every_tenth_slow(connection, unused_request):
    with connection.server.lock:
        connection.server.count += 1
        is_slow = connection.server.count % 10 == 0
    if is_slow:
        connection.sleep(connection.server.slow_s)
    return connection.answer()


behaviours = {
    # good
    "/ok": lambda c, r: c.answer(),
    "/big": lambda c, r: c.answer(b"x" * 3000000),
    "/chunked-in-pieces": pieces,
    "/interim": interim,
    "/close": lambda c, r: c.answer(head=b"Connection: close\r\n") and False,
    "/until-eof": raw(OK + b"\r\nno length"),
    "/no-content": raw(b"HTTP/1.1 204 No Content\r\n\r\n", go_on=True),
    "/404": lambda c, r: c.answer(status=b"404 Not Found"),
    "/500": lambda c, r: c.answer(status=b"500 Oops"),
    "/head": raw(OK + b"Content-Length: 1000\r\n\r\n", go_on=True),
    "/echo": lambda c, r: c.answer(r),
    "/two-then-close": lambda c, r: c.answer() and c.answered < 2,
    "/slow": lambda c, r: c.sleep(c.server.slow_s) and c.answer(),
    "/every-tenth-slow": every_tenth_slow,
    # bad
    "/silent": hold(b""),
    "/half": hold(OK + b"Content-Length: 10\r\n\r\nhalf"),
    "/early-close": raw(OK + b"Content-Length: 10\r\n\r\nhalf"),
    "/close-in-head": raw(b"HTTP/1.1 2"),
    "/close-at-once": lambda c, r: False,
    "/reset": lambda c, r: c.reset(),
    "/garbage": hold(bytes(range(256)) * 8),
    "/ssh": hold(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "/nul": hold(OK + b"A: \0\r\nContent-Length: 2\r\n\r\nok"),
    "/two-lengths": hold(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
    "/length-overflow": hold(OK + b"Content-Length: 18446744073709551618\r\n\r\nok"),
    "/chunk-overflow": hold(CHUNKED + b"10000000000000002\r\nok\r\n0\r\n\r\n"),
    "/extra": hold(OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"),
    "/huge-length": lambda c, r: c.send(OK + b"Content-Length: 999999999999999999\r\n\r\n") or c.flood(b"x" * 65536),
    "/endless-header": lambda c, r: c.send(OK) or c.flood(b"A: " + b"x" * 1000 + b"\r\n"),
    "/endless-line": lambda c, r: c.flood(b"x" * 4096),
    "/endless-interim": lambda c, r: c.flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 10),
    "/endless-chunks": lambda c, r: c.send(CHUNKED) or c.flood(b"1\r\nx\r\n" * 100),
    "/trickle-body": lambda c, r: c.send(OK + b"Content-Length: 1000000\r\n\r\n") or c.trickle(b"x", 0.05),
    "/trickle-head": lambda c, r: c.trickle(b"H", 0.05),
}


class Server:
    """All threads end with the `with` block."""

    def __init__(self, slow_s=0.5, frozen=None):
        self.slow_s = slow_s
        self.frozen = frozen  # (from, to): monotonic times between which every answer waits
        self.count = 0
        self.lock = threading.Lock()
        self.requests = []
        self.accepted = 0
        self.stopping = threading.Event()
        self.threads = []
        self.socks = []

    def __enter__(self):
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.sock.settimeout(0.05)
        self.port = self.sock.getsockname()[1]
        self.start(self.accept)
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        for sock in list(self.socks):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in list(self.threads):
            thread.join(10)
        self.sock.close()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def start(self, function, *args):
        thread = threading.Thread(target=function, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def accept(self):
        while not self.stopping.is_set():
            try:
                sock, peer = self.sock.accept()
            except socket.timeout:
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            self.socks.append(sock)
            self.start(self.serve, Connection(self, sock, self.accepted, peer[1]))

    def read_request(self, sock, kept):
        """(head with body, path, what is left), or None at the end."""
        while b"\r\n\r\n" not in kept:
            piece = sock.recv(65536)
            if not piece:
                return None
            kept += piece
        head, rest = kept.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, value = line.split(b":", 1)
            if name.lower() == b"content-length":
                length = int(value)
        while len(rest) < length:
            rest += sock.recv(65536)
        path = head.split(b" ", 2)[1].decode()
        return head + b"\r\n\r\n" + rest[:length], path, rest[length:]

    def serve(self, connection):
        kept = b""
        try:
            while not self.stopping.is_set():
                request = self.read_request(connection.sock, kept)
                if request is None:
                    break
                text, path, kept = request
                now = time.monotonic()
                self.requests.append((connection.number, connection.port, path, now))
                if self.frozen and self.frozen[0] <= now < self.frozen[1]:
                    connection.sleep(self.frozen[1] - now)
                if not behaviours[path.split("?")[0]](connection, text):
                    break
        except OSError:
            pass
        finally:
            try:
                connection.sock.close()
            except OSError:
                pass
