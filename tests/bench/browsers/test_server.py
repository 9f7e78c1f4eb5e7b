"""The server over its real ports, with a page that is played here: who gets in, what is served, and the device."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import ssl
import stat
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv.bench import BenchCase, open_device
from edgecv.bench.browsers import client, control
from edgecv.bench.browsers.server import BrowserServer
from edgecv.bench.devices.doctor import examine
from edgecv.bench.devices.specs import find
from edgecv.bench.link import AgentLink
from edgecv.bench.states import FIGURES, read_state
from edgecv.core.errors import ConfigError, DeviceError, MissingDependencyError
from edgecv.jobs import devices as jobs
from edgecv.web import packages
from tests.web.test_scripts import install_files

FACTS = {"browser": "Firefox", "version": "140.0", "os": "Linux", "isolated": True, "clock_resolution_us": 20,
         "gpu": {"kind": "software", "adapter": "SwiftShader"}, "secret": "not a fact"}  # fmt: skip


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(packages.FOLDER_VARIABLE, str(tmp_path / "web"))
    install_files(tmp_path / "web")
    return tmp_path


@pytest.fixture
def server(folders: Path) -> Iterator[BrowserServer]:
    with BrowserServer() as made:
        yield made


Got = tuple[int, bytes, Any]


def get(link: str, path: str, body: bytes | None = None, context: ssl.SSLContext | None = None) -> Got:
    """Ask for exactly this path: nothing on the way resolves dots."""
    at = urllib.parse.urlsplit(link)
    kind = http.client.HTTPSConnection if at.scheme == "https" else http.client.HTTPConnection
    connection = kind(at.hostname, at.port, timeout=30, **({"context": context} if context else {}))
    connection.request("GET" if body is None else "POST", path, body)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, text, answer.headers


def token(link: str) -> str:
    return urllib.parse.urlsplit(link).path.strip("/")


@pytest.mark.parametrize(
    "path",
    ["/", "", "//", "/page.js", "/next?tab=t&page=p&after=0", "/{almost}/", "/{almost}/page.js", "/x/../{token}/"],
)
def test_without_the_token_every_address_is_forbidden(server, path):
    right = token(server.link)
    asked = path.format(almost=right[:-1] + ("A" if right[-1] != "A" else "B"), token=right)
    status, text, _ = get(server.link, asked or "/")
    assert status == 403
    assert b"open the whole link" in text
    assert get(server.link, asked or "/", b"{}")[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd", "litert/../../../../etc/passwd", "models/../../../etc/passwd", "models//etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd", "litert/%2e%2e/index.js", "..\\..\\etc\\passwd", "/etc/passwd",
        "page.js/../page.js",
        "litert/index.js%00", "models/" + "0" * 64 + ".tflite", "node_modules/x",
    ],
)  # fmt: skip
def test_no_address_leads_out_of_what_is_served(server, path):
    assert get(server.link, f"/{token(server.link)}/{path}")[0] == 404


def test_the_page_and_the_scripts_are_served_isolated(server):
    for path, kind in (("", "text/html"), ("page.js", "text/javascript"), ("worker.js", "text/javascript"),
                       ("litert/index.js", "text/javascript"), ("litert/wasm/x.wasm", "application/wasm")):  # fmt: skip
        status, text, headers = get(server.link, f"/{token(server.link)}/{path}")
        assert (status, headers["content-type"].split(";")[0]) == (200, kind)
        assert text
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b"\xff", b'{"tab": 1, "page": 2, "facts": 3}'])
def test_nonsense_is_refused_and_the_server_lives_on(server, body):
    for path in ("attach", "reply", "result", "leave"):
        assert get(server.link, f"/{token(server.link)}/{path}", body)[0] in (200, 400, 409)
    assert get(server.link, f"/{token(server.link)}/next?tab=x", None)[0] == 400
    assert get(server.link, f"/{token(server.link)}/")[0] == 200


def test_a_page_token_is_no_secret_of_commands(server):
    commands = f"http://127.0.0.1:{client.running().port}/"
    assert get(commands, f"/{token(server.link)}/connected", b"{}")[0] == 403
    assert get(commands, f"/{client.running().secret}/connected", b"{}")[0] == 200
    assert get(server.link, f"/{token(server.link)}/connected", b"{}")[0] == 404
    assert stat.S_IMODE(control.standing_file().stat().st_mode) == 0o600


def test_a_model_is_kept_under_its_contents_alone(server, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"some model")
    address = client.put(client.running(), path)
    assert client.put(client.running(), path) == address
    assert get(server.link, f"/{token(server.link)}/models/{address}")[1] == b"some model"
    wrong = f"/{client.running().secret}/put?address={address.replace(address[:4], '0000')}"
    commands = f"http://127.0.0.1:{client.running().port}/"
    assert get(commands, wrong, b"some model")[0] == 400
    assert get(commands, f"/{client.running().secret}/put?address=../../x.tflite", b"some model")[0] == 400


def test_one_server_at_a_time_and_a_killed_ones_file_is_no_server(folders):
    control.announce(control.Standing(port=1, secret="s", process=os.getpid(), link="http://gone/"))
    with BrowserServer() as first:
        with pytest.raises(ConfigError, match=first.link), BrowserServer():
            pass
        assert client.running().link == first.link
    assert control.standing() is None
    with pytest.raises(DeviceError, match="no server of browsers runs") as caught:
        open_device("browser").start()
    assert "edgecv device serve --browser" in caught.value.hint


def test_without_the_scripts_the_server_names_what_installs_them(folders):
    shutil.rmtree(folders / "web")
    with pytest.raises(MissingDependencyError) as caught, BrowserServer():
        pass
    assert "make web" in caught.value.hint
    assert control.standing() is None


def test_another_address_than_the_loopback_is_https_with_the_printed_certificate(folders):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    with BrowserServer("0.0.0.0") as server:
        assert server.link.startswith("https://")
        assert server.certificate is not None
        fingerprint = server.certificate.fingerprint
        trusting = ssl.create_default_context(cafile=str(server.certificate.path))
        assert get(server.link, f"/{token(server.link)}/page.js", context=trusting)[0] == 200
        assert get(server.link, "/page.js", context=trusting)[0] == 403
        assert stat.S_IMODE(server.certificate.path.stat().st_mode) == 0o600
    with BrowserServer("0.0.0.0") as again:
        assert again.certificate is not None
        assert again.certificate.fingerprint == fingerprint  # whoever trusted it once need not do it again


def test_a_port_that_is_taken_is_an_error_that_says_so(folders):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="cannot listen") as caught, BrowserServer(port=taken.getsockname()[1]):
            pass
    assert "--port" in caught.value.hint


class Page(threading.Thread):
    """Plays a browser's page that adds up: its model takes `b` and `a`, and gives them back, in an order of its own."""

    def __init__(self, link: str) -> None:
        super().__init__(daemon=True)
        self.link, self.over, self.asked = link, threading.Event(), list[dict[str, Any]]()
        self.name_there = json.loads(self.post("attach", {"facts": FACTS})[1])["name"]

    def post(self, what: str, said: dict[str, Any]) -> Got:
        return get(self.link, f"/{token(self.link)}/{what}", json.dumps({"tab": "t", "page": "p", **said}).encode())

    def run(self) -> None:
        after, answered = 0, 0
        while not self.over.is_set():
            status, text, _ = get(self.link, f"/{token(self.link)}/next?tab=t&page=p&after={after}")
            if status != 200:
                return
            for message in json.loads(text)["messages"]:
                after = message["number"]
                if message["kind"] == "line":
                    answered += 1
                    line = json.dumps(self.answer(json.loads(message["line"])))
                    self.post("reply", {"session": message["session"], "number": answered, "line": line})

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        tensor = {"dtype": "float32", "shape": [1, 3]}
        if request["command"] == "load":
            names = [{"name": "z", **tensor}, {"name": "a", **tensor}]
            return {"load_ms": 1.0, "engine": "played 1", "accelerator": "wasm", "kind": "measured", "adapter": None,
                    "inputs": names, "outputs": [{**one, "name": f"{one['name']}_out"} for one in names]}  # fmt: skip
        if request["command"] == "predict":
            return {"samples": request["samples"]}
        return {}


@pytest.fixture
def page(server: BrowserServer) -> Iterator[Page]:
    made = Page(server.link)
    made.start()
    yield made
    made.over.set()
    with contextlib.suppress(OSError):
        made.post("leave", {})
    made.join(20)


@pytest.fixture
def two_inputs(tmp_path: Path) -> Path:
    """An .onnx with inputs (a, z) and outputs (a_out, z_out), which the page shows the other way round."""
    onnx = pytest.importorskip("onnx", reason="onnx writes the model")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    infos = {name: helper.make_tensor_value_info(name, kind, [1, 3]) for name in ("a", "z", "a_out", "z_out")}
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in ("a", "z")]
    graph = helper.make_graph(nodes, "g", [infos["a"], infos["z"]], [infos["a_out"], infos["z_out"]])
    path = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def test_a_browser_is_a_device_whose_tensors_are_the_files(page, two_inputs):
    device = open_device("browser")
    facts = device.facts()
    assert facts["browser"] == "Firefox 140.0"
    assert "secret" not in facts
    assert facts["packages"] == dict(packages.versions())
    case = BenchCase(name="two", path=str(two_inputs))
    with AgentLink(device.start(), "two") as link:
        assert link.hello()["host"] == facts
        shown = link.describe(case, device.put(two_inputs))
        assert shown.engine == "played 1 in Firefox 140.0"
        assert [one.name for one in shown.inputs] == ["a", "z"]
        assert [one.name for one in shown.outputs] == ["a_out", "z_out"]
        sample = [np.full((1, 3), value, np.float32) for value in (1, 2)]
        (answers,) = link.predict([sample])
        assert [one.tolist() for one in answers] == [[[1.0] * 3], [[2.0] * 3]]
        packed = page.asked[-1]["samples"][0]
        assert [np.frombuffer(base64.b64decode(one["data"]), "<f4")[0] for one in packed] == [2, 1]
        assert page.asked[1]["name"] == "two.onnx"


def test_what_a_browser_cannot_tell_is_said(page):
    with AgentLink(open_device("browser").start(), "x") as link:
        assert set(read_state(link).missing) == set(FIGURES)
        with pytest.raises(ConfigError, match="no profiler"):
            link.ask("profiling", 5, command="profile", path="x")


def test_a_browser_of_this_host_measures_in_turn_with_it(page):
    from edgecv.bench.batch import THIS_HOST, lane

    assert lane(open_device(f"browser:{page.name_there}")) == THIS_HOST
    assert lane(open_device("browser:another")) == "browser:another"


def test_a_tab_that_is_closed_while_a_command_waits_ends_it_at_once(page):
    device = open_device("browser")
    with AgentLink(device.start(), "case") as link:
        link.hello()
        page.answer = lambda request: (page.post("leave", {}), {})[1]  # type: ignore[method-assign]
        with pytest.raises(
            DeviceError, match="case: while measuring: the tab was closed, left or loaded again"
        ) as caught:
            link.run(1, 0)
    assert "what was finished is kept" in caught.value.hint


def test_the_doctor_sees_scripts_server_tab_and_adapter(page):
    found = find("browser")
    seen = examine(found, open_device("browser"))
    checks = {check.name: (check.status, check.detail) for check in seen.checks}
    assert seen.healthy
    assert checks["server"] == ("ok", page.link)
    assert checks["connection"] == ("ok", "Firefox 140.0 on Linux")
    assert checks["isolation"][0] == "ok"
    assert checks["WebGPU"] == ("warning", "SwiftShader: a software renderer")


def test_the_doctor_without_a_server_or_scripts(folders):
    (check,) = [one for one in examine(find("browser"), open_device("browser")).checks if one.name == "connection"]
    assert (check.status, "serve --browser" in check.fix) == ("skipped", True)
    shutil.rmtree(folders / "web")
    (check,) = examine(find("browser"), open_device("browser")).checks
    assert (check.status, "make web" in check.fix) == ("failed", True)
    everyone = {seen.device: seen for seen in jobs.doctor()}
    assert everyone["browser"].healthy


def test_setup_says_which_scripts_there_are(folders):
    ready = jobs.setup("browser")
    assert (ready.changed, ready.packages) == (False, packages.versions())
    assert ready.place == str(folders / "web")


def test_names_of_browsers_are_devices_without_a_declaration():
    assert find("browser:my-phone").spec.browser == "my-phone"
    for wrong in ("browser:", "browser:a b", "browser:../x", "browser:-x"):
        with pytest.raises(ConfigError):
            find(wrong)
