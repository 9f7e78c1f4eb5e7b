"""An Android device's adb daemon on the loopback: the wire protocol, shell v2 and sync, run in a folder of this host.

Source: packages/modules/adb/{protocol.txt,SYNC.TXT,shell_protocol.h} of AOSP.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import stat
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

VERSION, MAX_DATA = 0x01000001, 256 * 1024
CNXN, AUTH, OPEN, OKAY, CLSE, WRTE = (
    int.from_bytes(name, "little") for name in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"CLSE", b"WRTE")
)
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
BANNER = b"device::ro.product.name=test;ro.product.model=test;ro.product.device=test;features=shell_v2"


class AdbDaemon:
    """Listens on a port; one thread per connection and per stream.

    Args:
        sandbox: Where commands run and the only folder that sync may touch.
        authorized: False asks for a signature and accepts none, as a phone whose screen nobody unlocked.
        path: PATH of the commands.
    """

    def __init__(self, sandbox: Path, *, authorized: bool = True, path: str | None = None) -> None:
        self.sandbox = sandbox
        self.authorized = authorized
        self.path = path or os.environ["PATH"]
        self.pushed: list[str] = []
        self.commands: list[str] = []
        self.full = False
        self._connections: list[socket.socket] = []
        self._processes: list[subprocess.Popen] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    def drop(self, *, for_good: bool = False) -> None:
        """Cut every connection; `for_good` also takes no new ones."""
        if for_good:
            self._closing = True
            # Closing alone would leave the thread in accept(), which would take one more connection.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._connections.clear()
        for process in self._processes:
            with contextlib.suppress(OSError):
                process.kill()

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=_Connection(self, connection).serve, daemon=True).start()

    def run(self, command: str) -> subprocess.Popen:
        self.commands.append(command)
        process = subprocess.Popen(
            ("sh", "-c", command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.sandbox,
            env={"PATH": self.path, "HOME": "/", "ANDROID_ROOT": "/system"},
        )
        self._processes.append(process)
        return process

    def inside(self, path: str) -> Path:
        found = Path(os.path.normpath(path))
        assert self.sandbox in (found, *found.parents), f"{path} is outside of the sandbox"
        return found


class _Connection:
    def __init__(self, daemon: AdbDaemon, connection: socket.socket) -> None:
        self.daemon = daemon
        self._socket = connection
        self._lock = threading.Lock()
        self._streams: dict[int, _Stream] = {}
        self._next = 1

    def serve(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                command, first, second, data = self._receive()
                self._handle(command, first, second, data)
        for stream in list(self._streams.values()):
            stream.end()

    def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        header = struct.pack("<6I", command, first, second, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF)
        with self._lock:
            self._socket.sendall(header + data)

    def _receive(self) -> tuple[int, int, int, bytes]:
        command, first, second, length, _, magic = struct.unpack("<6I", self._exactly(24))
        assert magic == command ^ 0xFFFFFFFF
        return command, first, second, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self._socket.recv(count - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def _handle(self, command: int, first: int, second: int, data: bytes) -> None:
        if command == CNXN:
            if self.daemon.authorized:
                self.send(CNXN, VERSION, MAX_DATA, BANNER)
            else:
                self.send(AUTH, 1, 0, os.urandom(20))
        elif command == AUTH and first == 2:
            self.send(AUTH, 1, 0, os.urandom(20))
        elif command == OPEN:
            self._open(first, data.rstrip(b"\0").decode())
        elif second in self._streams:
            stream = self._streams[second]
            if command == WRTE:
                stream.inbox.put(data)
                self.send(OKAY, second, first)
            elif command == OKAY:
                stream.acknowledged.set()
            elif command == CLSE:
                stream.end()

    def _open(self, remote: int, service: str) -> None:
        name, _, rest = service.partition(":")
        kind = {"shell": _Shell, "sync": _Sync}.get(name.split(",")[0])
        if kind is None:
            self.send(CLSE, 0, remote)
            return
        local, self._next = self._next, self._next + 1
        stream = kind(self, local, remote, rest, v2="v2" in name)
        self._streams[local] = stream
        self.send(OKAY, local, remote)
        threading.Thread(target=stream.serve, daemon=True).start()

    def forget(self, local: int) -> None:
        self._streams.pop(local, None)


class _Stream:
    def __init__(self, connection: _Connection, local: int, remote: int, argument: str, *, v2: bool) -> None:
        self.connection, self.local, self.remote, self.argument, self.v2 = connection, local, remote, argument, v2
        self.inbox: queue.Queue[bytes | None] = queue.Queue()
        self.acknowledged = threading.Event()
        self._buffer = b""
        self._writing = threading.Lock()

    def write(self, data: bytes) -> None:
        """Send data, each packet after the last was acknowledged, as the protocol demands."""
        with self._writing:
            for start in range(0, len(data), MAX_DATA):
                self.acknowledged.clear()
                self.connection.send(WRTE, self.local, self.remote, data[start : start + MAX_DATA])
                self.acknowledged.wait(30)

    def read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            chunk = self.inbox.get()
            if chunk is None:
                raise EOFError
            self._buffer += chunk
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def end(self) -> None:
        self.inbox.put(None)
        self.acknowledged.set()

    def close(self) -> None:
        self.connection.forget(self.local)
        with contextlib.suppress(OSError):
            self.connection.send(CLSE, self.local, self.remote)


class _Shell(_Stream):
    def serve(self) -> None:
        process = self.connection.daemon.run(self.argument)
        pumps = [
            threading.Thread(target=self._pump, args=(number, pipe), daemon=True)
            for number, pipe in ((STDOUT, process.stdout), (STDERR, process.stderr))
        ]
        threading.Thread(target=self._feed, args=(process,), daemon=True).start()
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        status = process.wait()
        with contextlib.suppress(OSError):
            if self.v2:
                self.write(struct.pack("<BI", EXIT, 1) + bytes([status & 0xFF]))
        self.close()

    def _pump(self, number: int, pipe) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(pipe.fileno(), 1 << 15):
                self.write((struct.pack("<BI", number, len(data)) if self.v2 else b"") + data)

    def _feed(self, process: subprocess.Popen) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError):
            while True:
                number, length = struct.unpack("<BI", self.read(5))
                data = self.read(length)
                if number == STDIN:
                    process.stdin.write(data)
                    process.stdin.flush()
                elif number == CLOSE_STDIN:
                    process.stdin.close()
        with contextlib.suppress(OSError, ValueError):
            process.stdin.close()


class _Sync(_Stream):
    def serve(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                name, length = struct.unpack("<4sI", self.read(8))
                if name == b"QUIT":
                    break
                path = self.read(length).decode()
                {b"STAT": self._stat, b"SEND": self._send, b"RECV": self._recv}[name](path)
        self.close()

    def _stat(self, path: str) -> None:
        try:
            found = os.stat(self.connection.daemon.inside(path))
            answer = (found.st_mode, found.st_size, int(found.st_mtime))
        except OSError:
            answer = (0, 0, 0)
        self.write(struct.pack("<4s3I", b"STAT", *answer))

    def _send(self, target: str) -> None:
        path, _, mode = target.rpartition(",")
        there = self.connection.daemon.inside(path)
        self.connection.daemon.pushed.append(path)
        error = b"couldn't create file: No space left on device" if self.connection.daemon.full else b""
        there.parent.mkdir(parents=True, exist_ok=True)
        with open(os.devnull if error else there, "wb") as stream:
            for name, chunk in self._chunks():
                if name == b"DONE":
                    break
                stream.write(chunk)
        if not error:
            there.chmod(stat.S_IMODE(int(mode)))
        self.write(struct.pack("<4sI", b"FAIL", len(error)) + error if error else struct.pack("<4sI", b"OKAY", 0))

    def _chunks(self) -> Iterator[tuple[bytes, bytes]]:
        while True:
            name, length = struct.unpack("<4sI", self.read(8))
            yield name, b"" if name == b"DONE" else self.read(length)

    def _recv(self, path: str) -> None:
        try:
            data = self.connection.daemon.inside(path).read_bytes()
        except OSError as error:
            said = f"open failed: {error.strerror}".encode()
            self.write(struct.pack("<4sI", b"FAIL", len(said)) + said)
            return
        for start in range(0, len(data), 1 << 16):
            chunk = data[start : start + (1 << 16)]
            self.write(struct.pack("<4sI", b"DATA", len(chunk)) + chunk)
        self.write(struct.pack("<4sI", b"DONE", int(time.time())))
