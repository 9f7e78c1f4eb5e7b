"""What browsers are answered: edgecv's page, the interpreters, models, and the lines of sessions.

Files are looked up in a table of the addresses that there are; nothing of a request becomes a path of this host.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgecv.bench.browsers.http import Answer, Request, as_json, refused
from edgecv.bench.browsers.hub import POLL_S, Hub, Stale
from edgecv.web import scripts

# Isolated pages have threads and a fine clock. Source: HTML Standard, cross-origin isolation; High Resolution Time.
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
SLICE_S = 1.0
"""How often a page that waits is looked at: whether it is still there."""
Models = Callable[[str], "Path | None"]
"""Returns the file of a model's address, None when there is none."""
PAGES = Path(scripts.__file__).parent / "pages"


def routes(hub: Hub, models: Models) -> Callable[[Request], Answer]:
    """Return what answers a page's requests.

    Args:
        hub: Who is connected.
        models: Finds the models that commands have given out.

    Raises:
        MissingDependencyError: The interpreters are not installed: `make web`.
    """
    files = served()
    posts: dict[str, Callable[[Hub, Mapping[str, Any], Request], Answer]] = {
        "attach": _attach,
        "reply": _reply,
        "result": _result,
        "leave": _leave,
    }

    def route(request: Request) -> Answer:
        try:
            if request.method == "POST":
                if request.path not in posts:
                    return refused(404, "no such address")
                return posts[request.path](hub, json.loads(request.body), request)
            if request.path == "next":
                return _next(hub, request)
        except Stale as stale:
            return refused(410 if stale.taken else 409, str(stale))
        if request.path in files:
            keep = request.path.startswith(("litert/", "ort/"))
            kind = scripts.media_type(request.path or "agent.html")
            return Answer(body=scripts.read(files[request.path]), kind=kind, keep=keep)
        model = models(request.path[len("models/") :]) if request.path.startswith("models/") else None
        if model is None:
            return refused(404, "no such address")
        return Answer(body=model.read_bytes(), kind="application/octet-stream", keep=True)

    return route


def served() -> Mapping[str, scripts.Content]:
    """Return every file by its address. Raises MissingDependencyError when the interpreters are not installed."""
    own = {name: PAGES / name for name in ("page.js", "worker.js")}
    return {"": PAGES / "agent.html", **own, **scripts.litert(), **scripts.onnxruntime()}


def _attach(hub: Hub, said: Mapping[str, Any], request: Request) -> Answer:
    facts = {key: value for key, value in dict(said["facts"]).items() if key in FACTS}
    wanted = str(said.get("wanted") or "")
    tab = hub.attach(str(said["tab"]), str(said["page"]), facts, request.address, wanted)
    return as_json({"name": tab.name, "history": tab.results})


def _next(hub: Hub, request: Request) -> Answer:
    tab, page, after = (request.query[key] for key in ("tab", "page", "after"))
    for _ in range(round(POLL_S / SLICE_S)):
        messages, ended = hub.poll(tab, page, int(after), SLICE_S)
        if messages or ended or not request.is_open():
            break
    return as_json({"messages": [asdict(message) for message in messages], "ended": ended})


def _reply(hub: Hub, said: Mapping[str, Any], request: Request) -> Answer:
    line = said.get("line")
    hub.reply(
        str(said["tab"]), str(said["page"]), str(said["session"]), int(said["number"]),
        None if line is None else str(line), str(said.get("died") or ""),
    )  # fmt: skip
    return as_json({})


def _result(hub: Hub, said: Mapping[str, Any], request: Request) -> Answer:
    hub.record(str(said["tab"]), str(said["page"]), said["result"])
    return as_json({})


def _leave(hub: Hub, said: Mapping[str, Any], request: Request) -> Answer:
    hub.leave(str(said["tab"]), str(said["page"]))
    return as_json({})


FACTS = frozenset(
    (
        "browser",
        "version",
        "os",
        "user_agent",
        "cpus",
        "secure",
        "isolated",
        "clock_resolution_us",
        "relaxed_simd",
        "gpu",
    )
)
"""What a page may say of its browser."""
