"""Android devices through the adb client: with a python there, the agent as everywhere; without, `benchmark_model`."""

from __future__ import annotations

import re
from pathlib import Path

from edgecv.bench.devices.adb_benchmark import BenchmarkModelDevice
from edgecv.bench.devices.client import run_client
from edgecv.bench.devices.shell import SEND_TIMEOUT_S, SHORT_TIMEOUT_S, Done, RemoteDevice, after_begin, cause_of, words
from edgecv.bench.devices.specs import AdbSpec
from edgecv.core.errors import DeviceError

CONNECT_TIMEOUT_S = 20.0
STATE_TIMEOUT_S = 20.0

# Pattern in adb's output; what is wrong; what helps. The first match counts.
_CAUSES = (
    (r"unauthorized|authenticat", "the device has not allowed this host to debug it",
     "unlock its screen and accept the question there; if none shows: adb kill-server, and plug it in again"),
    (r"device offline|state: offline", "the device is offline", "plug it in again, or adb reconnect"),
    (r"no permissions|insufficient permissions", "this user may not open the USB device",
     "on Debian: apt-get install android-sdk-platform-tools-common (udev rules), and plug it in again"),
    (r"more than one device", "several devices are connected", "set serial in the file of devices: adb devices"),
    (r"failed to connect|cannot connect to|Connection refused|unable to connect|No route to host|timed out",
     "the device does not answer at its address", "is wireless debugging on, and is the port right?"),
    (r"no devices|device .* not found|device not found|No such device", "the device is not connected",
     "plug it in and switch USB debugging on, or adb connect; see adb devices"),
    (r"protocol fault|error: closed|connection reset|Broken pipe", "the connection to the device broke",
     "check the cable; finished launches are kept: run the command again"),
)  # fmt: skip

# The last line of output: without it the connection broke, since adb's own exit status does not tell.
_END = "edgecv-exit"
_TRAILER = re.compile(rf"\n{_END} (\d+)\n?\Z")


def diagnose(said: str) -> tuple[str, str]:
    """Return what is wrong and what helps, from what adb printed."""
    broke = "the connection to the device broke", "check the cable; finished launches are kept: run the command again"
    return cause_of(said, _CAUSES, otherwise=broke)


class AdbShell:
    """Runs scripts by `adb shell`, with separate pipes (Android 7 and newer).

    Args:
        spec: The declaration.
        program: The adb client; it starts its server when there is none.
    """

    def __init__(self, spec: AdbSpec, program: str = "adb") -> None:
        self.where = f"adb {spec.serial or 'device'}"
        self._spec = spec
        self._program = program
        self._connected = False

    def client(self, *arguments: str) -> tuple[str, ...]:
        """Return a command line of the client for this device."""
        chosen = ("-s", self._spec.serial) if self._spec.serial else ()
        return (self._program, *chosen, *arguments)

    def command(self, script: str, *arguments: str) -> tuple[str, ...]:
        self._connect()
        return self.client("shell", "-T", words(script, *arguments))

    def run(self, script: str, *arguments: str, timeout_s: float = SHORT_TIMEOUT_S) -> Done:
        self._connect()
        line = words(script, *arguments).removeprefix("exec ")
        done = self._call(self.client("shell", "-T", f"{line}; printf '\\n{_END} %s\\n' \"$?\""), timeout_s)
        found = _TRAILER.search(done.out.replace("\r\n", "\n"))
        if found is None:
            raise self._lost(done.err or done.out)
        return Done(status=int(found[1]), out=after_begin(done.out[: found.start()]), err=done.err)

    def send(self, source: Path, there: str, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        self._connect()
        done = self._call(self.client("push", str(source.resolve()), there), timeout_s)
        if done.status != 0:
            said = "\n".join(line for line in f"{done.err}\n{done.out}".splitlines() if "error" in line)
            if re.search(r"remote (couldn't|can't|No space|.*(denied|space|directory))|failed to copy", said):
                raise DeviceError(
                    f"{self.where}: cannot write {there}: {said.splitlines()[-1]}",
                    hint="is the storage full, or the folder not writable? See edgecv device doctor",
                )
            raise self._lost(said)

    def pull(self, there: str, target: Path, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Copy a file from the device.

        Raises:
            DeviceError: It is not there, or the device is gone.
        """
        self._connect()
        done = self._call(self.client("pull", there, str(target.resolve())), timeout_s)
        if done.status != 0:
            said = (done.err or done.out).splitlines()
            raise DeviceError(f"{self.where}: cannot fetch {there}: {said[-1] if said else 'adb said nothing'}")

    def state(self) -> str:
        """Return "device" when it is ready, else adb's words: "offline", "unauthorized", "error: …"."""
        done = self._call(self.client("get-state"), STATE_TIMEOUT_S)
        return (done.out.strip() or done.err.strip() or f"status {done.status}") if done.status else done.out.strip()

    def explain(self, status: int | None, said: str) -> DeviceError | None:
        state = self.state()
        return None if state == "device" else self._lost(f"{said}\n{state}".strip())

    def _connect(self) -> None:
        """Connect to a device by address; adb's server keeps connections, so it costs little when there is one."""
        if self._connected or ":" not in self._spec.serial:
            return
        if self.state() != "device":
            done = self._call((self._program, "connect", self._spec.serial), CONNECT_TIMEOUT_S)
            said = f"{done.out}\n{done.err}".strip()
            # adb connect ends with status 0 when it failed, too.
            if not re.match(r"(already )?connected to", said):
                raise self._lost(said)
        self._connected = True

    def _lost(self, said: str) -> DeviceError:
        self._connected = False
        cause, fix = diagnose(said)
        last = said.strip().splitlines()[-1] if said.strip() else ""
        return DeviceError(f"{self.where}: {cause}{f'; adb said: {last}' if last else ''}", hint=fix)

    def _call(self, command: tuple[str, ...], timeout_s: float) -> Done:
        slow = "is the device asleep? Plug it in again"
        return run_client(
            command, where=self.where, timeout_s=timeout_s, missing=missing_client(self._program), slow=slow
        )


def missing_client(program: str = "adb") -> DeviceError:
    """Return the error for a host without adb."""
    return DeviceError(f"'{program}' is not installed on this host", hint="make adb; or on Debian: apt-get install adb")


def open_adb(name: str, spec: AdbSpec) -> RemoteDevice:
    """Return the device; nothing is contacted yet."""
    shell = AdbShell(spec)
    if spec.benchmark_model:
        return BenchmarkModelDevice(name, shell, folder=spec.folder, program=Path(spec.benchmark_model))
    return RemoteDevice(name, shell, folder=spec.folder, python=spec.python, portable=True)
