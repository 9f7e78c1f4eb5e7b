"""Real browsers: LiteRT.js and onnxruntime-web answer as this host, are timed, and what breaks is said and kept."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecv.bench import BenchCase, BenchPlan, ResultsFile, bench, open_device
from edgecv.bench.browsers.server import BrowserServer
from edgecv.bench.link import AgentLink
from edgecv.bench.remote import open_on_device
from edgecv.core.errors import ConfigError, DeviceError, UnsupportedModelError
from edgecv.jobs import agreement, verify
from edgecv.jobs import bench as benching
from edgecv.jobs.evaluate import EvaluationRequest, evaluate_file
from edgecv.runtime.engines import open_session
from edgecv.runtime.tensors import random_input
from edgecv.values.run_options import RunOptions
from tests.bench.browsers.conftest import SWIFTSHADER, opened
from tests.reporters import Told

# A browser takes a minute beside other work: `make test-slow`.
pytestmark = pytest.mark.slow

SHORT = BenchPlan(min_launches=3, max_launches=3, launch_seconds=0.05, min_rounds=3, max_rounds=5, warmup_ms=5.0,
                  max_warmup_ms=100.0)  # fmt: skip
FLOAT = 1e-4
BROWSERS = ("chromium", "firefox")


@pytest.fixture(scope="module", params=BROWSERS)
def tab(request, server, tmp_path_factory):
    with opened(request.param, server, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def chromium(server, tmp_path_factory):
    with opened("chromium", server, tmp_path_factory.mktemp("profile")) as found:
        yield found


def test_lenet5_is_verified_evaluated_and_timed(tab, zoo_files, tmp_path):
    files = zoo_files("lenet5")
    _answers_as_this_host(files, tab.name)
    here, there = (
        evaluate_file(files["int8"], EvaluationRequest(data="digits", device=device)) for device in ("local", tab.name)
    )
    assert there.device == tab.name
    assert there.accelerator == "wasm"
    assert "litert.js" in there.engine
    assert (there.first.value, there.n) == (here.first.value, here.n)
    _times(files, tab.name, tmp_path)


def test_mobilenet_v2_answers_as_this_host(tab, zoo_files):
    assert _answers_as_this_host(zoo_files("mobilenet_v2"), tab.name) == ["float32", "int8", "uint8", "onnx"]


def _answers_as_this_host(files: dict[str, Path], device: str) -> list[str]:
    """Hold each file's answers in a browser against this host's; return which kinds were."""
    for kind, file in files.items():
        found = verify.verify(file, device=device)
        assert found.passed, found.failure
        assert found.kind == "measured"
        compared = found.agreement
        assert compared is not None
        assert compared.values > 0
        assert compared.host_engine, compared.cause
        _require_many_answers(file)
        if kind in ("int8", "uint8"):
            assert (compared.differing, compared.max_steps) == (0, 0), f"{file.name}: {compared}"
        else:
            assert compared.max_abs_diff <= FLOAT, f"{file.name}: {compared}"
    return list(files)


def _require_many_answers(file: Path) -> None:
    """Answers that are all the same would agree anywhere."""
    session = open_session(str(file))
    rng = np.random.default_rng(0)
    seen = [session.run([random_input(i.shape, i.dtype, rng) for i in session.inputs])[0] for _ in range(8)]
    session.close()
    assert len(np.unique(np.stack(seen))) >= 8, f"{file.name} answers too few values to compare"


def _times(files: dict[str, Path], device: str, folder: Path) -> None:
    found = open_device(device)
    case = BenchCase(name="int8", path=str(files["int8"]))
    baseline = BenchCase(name="float", path=str(files["float32"]))
    store = ResultsFile(folder / "raw.json")
    of_float, of_int8 = bench([case], baseline=baseline, device=found, plan=SHORT, save=store.save)
    for latency in (of_float.latency, of_int8.latency):
        assert latency.accelerator == "wasm"
        assert latency.kind == "measured"
        assert found.facts()["browser"] in latency.engine
        assert latency.p50 > 0
        assert latency.load_ms
        assert latency.first_ms
        assert latency.peak_rss_bytes is None  # a page is not told
    assert of_int8.latency.ratio_to_baseline
    # What was measured is known: nothing is measured again.
    again = bench([case], baseline=baseline, device=found, plan=SHORT, earlier=store.read())
    assert [one.latency.samples for one in again] == [one.latency.samples for one in (of_float, of_int8)]


def test_facts_say_browser_clock_isolation_and_versions(tab):
    facts = open_device(tab.name).facts()
    assert facts["isolated"] is True
    assert 0 < facts["clock_resolution_us"] <= 100
    assert facts["browser"].startswith(("Chromium ", "Firefox "))
    assert facts["packages"]["@litertjs/core"]
    assert facts["gpu"]["kind"] in ("none", "software", "real")


def test_two_threads_answer_as_this_host(tab, zoo_files):
    with open_on_device(zoo_files("lenet5")["int8"], open_device(tab.name), options=RunOptions(threads=2)) as there:
        assert agreement.compare(zoo_files("lenet5")["int8"], there, samples=4).differing == 0


def test_several_inputs_and_outputs_keep_their_order(chromium, tmp_path):
    file = _two_and_two(tmp_path)
    device = open_device(chromium.name)
    here = open_session(str(file))
    with AgentLink(device.start(), "two") as link:
        shown = link.describe(BenchCase(name="two", path=str(file)), device.put(file))
        assert [(one.name, one.shape) for one in shown.inputs] == [(one.name, one.shape) for one in here.inputs]
        assert [one.name for one in shown.outputs] == [one.name for one in here.outputs]
        rng = np.random.default_rng(0)
        sample = [rng.normal(size=info.shape).astype(np.float32) for info in here.inputs]
        for mine, theirs in zip(here.run(sample), link.predict([sample])[0], strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-6)
    here.close()


def _two_and_two(folder: Path) -> Path:
    """Write a model whose signature names inputs and outputs in another order than its graph."""
    from edgecv.modelio.env import tensorflow

    tf = tensorflow()

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 3), tf.float32, "z"), tf.TensorSpec((1, 5), tf.float32, "a")])
        def __call__(self, z, a):
            return {"y": tf.reduce_sum(a) + z, "b": a * 2.0}

    module = Module()
    tf.saved_model.save(module, str(folder / "saved"), signatures=module.__call__.get_concrete_function())
    path = folder / "two.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert())
    return path


def test_a_file_that_a_browser_refuses_is_an_error_and_the_next_one_runs(chromium, zoo_files, tmp_path):
    device = open_device(chromium.name)
    broken = tmp_path / "broken.tflite"
    whole = zoo_files("lenet5")["float32"].read_bytes()
    broken.write_bytes(whole[:8] + bytes(200))
    with pytest.raises((UnsupportedModelError, DeviceError)):
        bench([BenchCase(name="broken", path=str(broken))], baseline=None, device=device, plan=SHORT)
    with pytest.raises(ConfigError, match="a browser runs this file with litert"):
        case = BenchCase(name="x", path=str(zoo_files("lenet5")["float32"]), engine="onnxruntime")
        bench([case], baseline=None, device=device, plan=SHORT)
    with pytest.raises(DeviceError, match="WebGPU"):
        case = BenchCase(name="x", path=str(zoo_files("lenet5")["float32"]), accelerator="gpu")
        bench([case], baseline=None, device=device, plan=SHORT)
    (found,) = bench(
        [BenchCase(name="fine", path=str(zoo_files("lenet5")["float32"]))], baseline=None, device=device, plan=SHORT
    )
    assert found.latency.p50 > 0


def test_a_tab_that_is_closed_loses_nothing_that_was_finished_and_says_so(server, zoo_files, tmp_path):
    """In the middle of a bench: finished launches are kept, the failure is told, and the same command goes on."""
    files, out = zoo_files("lenet5"), tmp_path / "raw.json"
    plan = replace(SHORT, min_launches=4, max_launches=4)
    case, store = BenchCase(name="int8", path=str(files["int8"])), ResultsFile(out)
    with opened("chromium", server, tmp_path / "first") as tab:

        def save(measurement):
            store.save(measurement)
            if len(measurement.launches) == 2:
                tab.close()

        with pytest.raises(DeviceError, match=r"the tab was closed|is not connected|no browser is connected"):
            bench([case], baseline=None, device=open_device(tab.name), plan=plan, save=save)
    (kept,) = ResultsFile(out).read()
    assert (len(kept.launches), kept.complete) == (2, False)
    with opened("chromium", server, tmp_path / "second") as tab:
        bench([case], baseline=None, device=open_device(tab.name), plan=plan, save=store.save, earlier=store.read())
    (whole,) = [one for one in ResultsFile(out).read() if one.complete]
    assert whole.launches[:2] == kept.launches


def test_a_reload_in_the_middle_ends_a_launch_which_is_tried_again_and_the_page_keeps_name_and_results(
    server, zoo_files, tmp_path
):
    with opened("chromium", server, tmp_path / "profile") as tab:
        plan, launches = replace(SHORT, min_launches=4, max_launches=4), []

        def save(measurement):
            launches.append(len(measurement.launches))
            if len(measurement.launches) == 2:
                tab.reload()

        warned = Told()
        case = BenchCase(name="x", path=str(zoo_files("lenet5")["float32"]))
        device = open_device(tab.name)
        (found,) = bench([case], baseline=None, device=device, plan=plan, save=save, retries=5, reporter=warned)
        assert found.latency.p50 > 0
        assert launches == [1, 2, 3, 4]
        there = server.hub._tabs[tab.id]
        assert f"browser:{there.name}" == tab.name
        assert any("closed, left or loaded again" in text or "not connected" in text for text in warned.warnings)
        assert len(there.results) >= 2
        assert all("blocks" in result["told"] for result in there.results)


def test_two_browsers_work_at_once_by_name(server, zoo_files, tmp_path):
    with opened("chromium", server, tmp_path / "c") as one, opened("firefox", server, tmp_path / "f") as other:
        assert one.name != other.name
        with pytest.raises(DeviceError, match="browsers are connected, and none was named"):
            open_device("browser").start()
        results: dict[str, float] = {}

        def ask(name: str) -> None:
            with open_on_device(zoo_files("lenet5")["int8"], open_device(name)) as there:
                results[name] = agreement.compare(zoo_files("lenet5")["int8"], there, samples=8).differing

        threads = [threading.Thread(target=ask, args=(tab.name,)) for tab in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == {one.name: 0, other.name: 0}


def test_webgpu_on_a_software_adapter_answers_and_is_called_simulated(server, zoo_files, tmp_path):
    with opened("chromium", server, tmp_path / "profile", SWIFTSHADER) as tab:
        if tab.facts["gpu"]["kind"] == "none":
            pytest.skip("this chromium gives no WebGPU adapter, not even a software one")
        assert tab.facts["gpu"]["kind"] == "software"
        options = RunOptions(accelerator="gpu")
        with open_on_device(zoo_files("lenet5")["float32"], open_device(tab.name), options=options) as there:
            assert (there.accelerator, there.kind) == ("webgpu", "simulated")
            assert there.adapter
            assert there.precision in ("float16", "float32")
            found = agreement.compare(zoo_files("lenet5")["float32"], there, samples=8)
            assert found.max_abs_diff <= (0.02 if there.precision == "float16" else FLOAT)
        case = BenchCase(name="x", path=str(zoo_files("lenet5")["float32"]), accelerator="gpu")
        (timed,) = bench([case], baseline=None, device=open_device(tab.name), plan=SHORT)
        assert (timed.latency.accelerator, timed.latency.kind) == ("webgpu", "simulated")
        assert timed.latency.adapter


def test_a_report_keeps_browsers_apart_from_native_figures(chromium, zoo_files, capsys):
    from edgecv.cli import render_bench

    files = zoo_files("lenet5")
    request = benching.BenchRequest(devices=("local", chromium.name), plan="quick")
    result = benching.bench_files([files["int8"]], request)
    render_bench.report(result)
    out = capsys.readouterr().out
    before, _, after = out.partition("in browsers")
    assert "ai-edge-litert" in before
    assert "litert.js" not in before
    assert "litert.js" in after
    assert "ai-edge-litert" not in after
    assert "its clock steps" in after
    assert result.devices[chromium.name]["isolated"] is True
    assert json.dumps(result.devices[chromium.name])


def test_no_page_gets_anything_without_the_token(server: BrowserServer) -> None:
    import urllib.error
    import urllib.request

    base = server.link.rsplit("/", 2)[0]
    for path in ("", "/", "/page.js", "/wrong/page.js", "/next?tab=a&page=b&after=0", "//", "/../"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{base}{path}")
        assert caught.value.code == 403
