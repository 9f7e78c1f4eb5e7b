"""What the doctor looks at of a browser: the scripts, the server, the tab, and what its figures will be worth."""

from __future__ import annotations

from collections.abc import Iterator

from edgecv.bench.browsers import client
from edgecv.bench.devices.browser import BrowserDevice
from edgecv.bench.devices.check import Check, Status
from edgecv.core.errors import DeviceError, EdgecvError
from edgecv.web import packages

ISOLATE = "open it on localhost (a phone: adb reverse), or by https: --host"


def browser_checks(device: BrowserDevice) -> Iterator[Check]:
    """Look from the nearest to the farthest; what cannot be reached is left out."""
    try:
        found = ", ".join(f"{name} {version}" for name, version in packages.versions().items())
        yield Check(name="scripts", status="ok", detail=found)
        server = client.running()
        client.connected(server)
        yield Check(name="server", status="ok", detail=server.link)
        facts = device.facts()
    except EdgecvError as error:
        # Nobody who has no browser open is ill; whoever names one is told by the command that needs it.
        status: Status = "skipped" if isinstance(error, DeviceError) else "failed"
        yield Check(name="connection", status=status, detail=error.message, fix=error.hint)
        return
    yield Check(name="connection", status="ok", detail=f"{facts['browser']} on {facts.get('os')}")
    clock = f"steps of {facts.get('clock_resolution_us')} us"
    if facts.get("isolated"):
        yield Check(name="isolation", status="ok", detail=f"threads can be used, {clock}")
    else:
        yield Check(name="isolation", status="warning", detail=f"no threads, {clock}", fix=ISOLATE)
    gpu = dict(facts.get("gpu") or {})
    if gpu.get("kind") == "software":
        yield Check(name="WebGPU", status="warning", detail=f"{gpu.get('adapter')}: a software renderer",
                    fix="its times are simulated; a browser with a GPU measures")  # fmt: skip
    else:
        yield Check(name="WebGPU", status="ok" if gpu.get("adapter") else "skipped",
                    detail=str(gpu.get("adapter") or "this browser gives no adapter"))  # fmt: skip
