from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgecv import runtime
from edgecv.convert.embed import embed_onnx, embed_tflite
from edgecv.core.errors import ConfigError, DataError, MissingDependencyError, UnsupportedModelError
from edgecv.values.manifest import TensorInfo
from edgecv.values.specs import Head, InputSpec, ModelSpec

from .conftest import LABELS, SPEC, manifest, onnx_model


class TestPredict:
    @pytest.mark.parametrize("name", ["float32", "int8", "uint8", "int8_float_io", "onnx"])
    def test_labels_scores_and_units(self, files, image, name):
        with runtime.load(getattr(files, name)) as model:
            found = model.predict(image)
        assert {label for label, _ in found.labels} == set(LABELS)
        values = [score for _, score in found.labels]
        assert values == sorted(values, reverse=True)
        assert sum(values) == pytest.approx(1, abs=0.03)
        assert found.outputs[0].dtype == np.float32

    def test_matches_keras(self, files, net, image):
        expected = net(runtime.preprocess(image, SPEC)).numpy()[0]
        for name, tolerance in (("float32", 1e-5), ("int8", 0.05), ("uint8", 0.05), ("int8_float_io", 0.05)):
            with runtime.load(getattr(files, name)) as model:
                np.testing.assert_allclose(model.predict(image).outputs[0], expected, atol=tolerance)

    @pytest.mark.parametrize("name", ["int8", "uint8"])
    def test_matches_an_interpreter_fed_by_hand(self, files, image, name):
        """Parity: plain ai-edge-litert and the numbers that the file itself gives."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(getattr(files, name)))
        interpreter.allocate_tensors()
        source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        scale, zero_point = source["quantization"]
        real = image.reshape(1, 8, 8, 1).astype(np.float32) / 255
        limits = np.iinfo(source["dtype"])
        stored = np.clip(np.round(real / scale) + zero_point, limits.min, limits.max).astype(source["dtype"])
        interpreter.set_tensor(source["index"], stored)
        interpreter.invoke()
        scale, zero_point = sink["quantization"]
        expected = (interpreter.get_tensor(sink["index"])[0].astype(np.float64) - zero_point) * scale
        with runtime.load(getattr(files, name)) as model:
            np.testing.assert_allclose(model.predict(image).outputs[0], expected, rtol=1e-6)

    def test_takes_files_arrays_and_pil_of_any_size(self, files, tmp_path):
        from PIL import Image

        pixels = np.random.default_rng(0).integers(0, 256, (31, 17, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "a.png")
        with runtime.load(files.float32) as model:
            answers = [model.predict(x).labels for x in (pixels, tmp_path / "a.png", Image.fromarray(pixels))]
        assert answers[0] == answers[1] == answers[2]

    @pytest.mark.parametrize("shape", [(8, 8, 4), (0, 8), (8,)])
    def test_bad_images(self, files, shape):
        with runtime.load(files.float32) as model, pytest.raises(DataError):
            model.predict(np.zeros(shape, np.uint8))


class TestLoad:
    def test_what_it_says_of_itself(self, files):
        with runtime.load(files.int8) as model:
            assert model.spec == SPEC
            assert model.manifest == manifest("tflite", "int8")
            assert model.engine.startswith("ai-edge-litert ")
            assert (model.accelerator, model.adapter, model.is_software_adapter) == ("cpu", None, False)
            assert model.session.threads == 1
            assert (model.inputs[0].dtype, model.inputs[0].shape) == ("int8", (1, 8, 8, 1))

    def test_without_a_manifest_a_spec_is_needed(self, files, image):
        with pytest.raises(UnsupportedModelError, match=r"spec=ModelSpec"):
            runtime.load(files.bare)
        with runtime.load(files.bare, spec=SPEC) as model:
            assert model.manifest is None
            assert model.predict(image).label in LABELS

    def test_spec_wins_over_the_manifest(self, files, image):
        with runtime.load(files.float32, spec=SPEC.with_labels(tuple("vwxyz"))) as model:
            assert model.predict(image).label in "vwxyz"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"inputs": (InputSpec("x", (1, 8, 8)),)},
                r"input 'x' of shape \(1, 1, 8, 8\), the file has \(1, 8",
            ),
            ({"inputs": (InputSpec("x", (64,)),)}, "shape"),
            ({"inputs": (SPEC.input, InputSpec("y", (64,)))}, r"declares 2 inputs \(image, y\), the model has 1"),
            ({"heads": (SPEC.head, Head("age", "regression", "linear"))}, "head 'class' reads the output 'class', and"),
            ({"heads": (Head("box", "localisation", "linear"),)}, "needs class scores"),
            ({"heads": (Head("class", "classification", "probabilities", ("a", "b")),)}, "2 labels"),
        ],
    )
    def test_a_spec_that_does_not_fit(self, files, changes, message):
        with pytest.raises(UnsupportedModelError, match=message):
            runtime.load(files.bare, spec=dataclasses.replace(SPEC, **changes))

    def test_integer_onnx_gets_its_quantisation_from_the_manifest(self, tmp_path, image):
        info = TensorInfo(name="x", shape=(1, 8, 8, 1), dtype="int8", scale=1 / 255, zero_point=-128)
        content = manifest("onnx", "int8", inputs=(info,))
        (tmp_path / "i.onnx").write_bytes(embed_onnx(onnx_model(None, io_type=3), content))
        with runtime.load(tmp_path / "i.onnx") as model:
            assert model.inputs[0] == info

    def test_closed(self, files, image):
        for path in (files.float32, files.onnx):
            model = runtime.load(path)
            model.close()
            model.close()
            with pytest.raises(ConfigError, match="closed"):
                model.predict(image)


class TestSeveralInputs:
    """The file takes a and b and gives their sum and a - b; the spec has them the other way round."""

    SPEC = ModelSpec(
        name="two",
        inputs=(InputSpec("b", (3,)), InputSpec("a", (3,))),
        heads=(Head("gap", "regression", "linear", outputs=("minus",)), Head("plus", "regression", "linear")),
    )

    @pytest.fixture
    def file(self, tmp_path):
        from onnx import helper

        nodes = [helper.make_node("Add", ["a", "b"], ["plus"]), helper.make_node("Sub", ["a", "b"], ["minus"])]
        values = [helper.make_tensor_value_info(name, 1, (1, 3)) for name in ("a", "b", "plus", "minus")]
        graph = helper.make_graph(nodes, "two", values[:2], values[2:])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        (tmp_path / "two.onnx").write_bytes(model.SerializeToString())
        return tmp_path / "two.onnx"

    def test_inputs_and_outputs_are_bound_by_name(self, file):
        with runtime.load(file, spec=self.SPEC) as model:
            found = model.predict(([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]))
            assert (model.bound_inputs, model.bound_outputs) == ((1, 0), ((1,), (0,)))
        assert found.values.tolist() == [9.0, 18.0, 27.0]
        assert found.heads["plus"].values.tolist() == [11.0, 22.0, 33.0]
        assert [output.tolist() for output in found.outputs] == [[11.0, 22.0, 33.0], [9.0, 18.0, 27.0]]

    @pytest.mark.parametrize("given", [[1.0, 2.0, 3.0], ([1.0, 2.0, 3.0],), np.zeros((2, 3), np.float32)])
    def test_another_number_is_refused(self, file, given):
        with runtime.load(file, spec=self.SPEC) as model, pytest.raises(DataError, match=r"takes 2 inputs \(b, a\)"):
            model.predict(given)

    def test_names_that_the_file_lacks_are_told_with_those_it_has(self, file):
        wrong = dataclasses.replace(self.SPEC, inputs=(InputSpec("left", (3,)), InputSpec("right", (3,))))
        with pytest.raises(UnsupportedModelError, match=r"two\.onnx: .* input 'left', .* inputs are a, b"):
            runtime.load(file, spec=wrong)
        wrong = dataclasses.replace(self.SPEC, heads=(Head("sum", "regression", "linear"),))
        with pytest.raises(UnsupportedModelError, match=r"head 'sum' reads the output 'sum', .* are plus, minus"):
            runtime.load(file, spec=wrong)


class TestRun:
    def test_checks_its_inputs(self, files):
        with runtime.load(files.float32) as model:
            for tensors in ([], [np.zeros((8, 8, 1), np.float32)], [np.full((1, 8, 8, 1), np.nan, np.float32)]):
                with pytest.raises(DataError):
                    model.run(tensors)

    def test_results_are_copies(self, files):
        ones = np.ones((1, 8, 8, 1), np.float32)
        for path in (files.float32, files.int8, files.onnx):
            with runtime.load(path) as model:
                first = model.run([ones])[0]
                kept = first.copy()
                model.run([ones * 0])
                assert np.array_equal(first, kept)


class TestEngines:
    def test_unknown_names(self, files):
        with pytest.raises(ConfigError, match="litert"):
            runtime.open_session(files.float32, engine="litret")
        with pytest.raises(ConfigError, match="gpu"):
            runtime.open_session(files.float32, accelerator="gpuu")
        with pytest.raises(ConfigError, match="threads"):
            runtime.open_session(files.float32, threads=0)

    def test_combinations_that_do_not_exist(self, files, tmp_path):
        with pytest.raises(ConfigError, match=r"does not open \.onnx"):
            runtime.open_session(files.onnx, engine="litert")
        with pytest.raises(ConfigError, match="no 'gpu'"):
            runtime.open_session(files.float32, engine="tflite-runtime", accelerator="gpu")

    def test_missing_package_names_the_extra(self, files, monkeypatch):
        monkeypatch.setattr("edgecv.runtime.engines.available", lambda module: False)
        with pytest.raises(MissingDependencyError, match=r"edgecv\[litert\]"):
            runtime.open_session(files.float32)
        with pytest.raises(MissingDependencyError, match=r"edgecv\[onnxruntime\]"):
            runtime.open_session(files.onnx)

    def test_onnx_on_a_gpu_never_falls_back(self, files):
        import onnxruntime

        from edgecv.core.errors import DeviceError

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            pytest.skip("this ONNX Runtime has CUDA")
        with pytest.raises(DeviceError, match="CUDA"):
            runtime.load(files.onnx, accelerator="gpu")

    def test_dynamic_shapes(self, tmp_path):
        (tmp_path / "d.onnx").write_bytes(onnx_model(None, ("batch", "height", "width", 1)))
        with pytest.raises(UnsupportedModelError, match=r"dynamic shape \(\?, \?, \?, 1\)"):
            runtime.open_session(tmp_path / "d.onnx")

    def test_a_variable_batch_is_one(self, tmp_path, image):
        (tmp_path / "b.onnx").write_bytes(onnx_model(manifest("onnx", "float32"), ("batch", 8, 8, 1)))
        with runtime.load(tmp_path / "b.onnx") as model:
            assert model.inputs[0].shape == (1, 8, 8, 1)
            assert model.predict(image).label in LABELS

    def test_onnx_that_its_engine_refuses(self, tmp_path):
        (tmp_path / "o.onnx").write_bytes(onnx_model(None, op="NoSuchOperator"))
        with pytest.raises(UnsupportedModelError, match="NoSuchOperator"):
            runtime.open_session(tmp_path / "o.onnx")

    @pytest.mark.parametrize("place", [0.2, 0.5, 0.8, 0.97])
    def test_truncated_files_name_themselves(self, files, tmp_path, place):
        for source in (files.int8, files.onnx):
            data = source.read_bytes()
            path = tmp_path / f"cut{source.suffix}"
            path.write_bytes(data[: int(len(data) * place)])
            with pytest.raises(UnsupportedModelError, match="cut"):
                runtime.open_session(path)

    def test_keras_files_are_for_the_toolchain(self, tmp_path):
        import zipfile

        with zipfile.ZipFile(tmp_path / "m.keras", "w") as out:
            out.writestr("config.json", "{}")
        with pytest.raises(ConfigError, match="convert"):
            runtime.open_session(tmp_path / "m.keras")

    def test_fill_is_seeded(self, files):
        for path in (files.float32, files.int8, files.onnx):
            answers = []
            for seed in (1, 1, 2):
                session = runtime.open_session(path)
                session.fill(seed)
                session.invoke()
                answers.append(session.get_outputs()[0])
                session.close()
            assert np.array_equal(answers[0], answers[1])
            assert not np.array_equal(answers[0], answers[2])

    def test_an_embedded_manifest_leaves_the_file_runnable(self, files):
        assert embed_tflite(files.bare.read_bytes(), manifest("tflite", "float32")) == files.float32.read_bytes()


@pytest.mark.parametrize(("code", "name"), [(9, "bool"), (8, "string"), (14, "complex64"), (16, "bfloat16")])
def test_inputs_that_are_no_real_numbers_are_refused_by_name(tmp_path, code, name):
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_model(manifest("onnx", "float32"), io_type=code))
    says = "its input 'x' is of type bool" if name == "bool" else ""  # ONNX Runtime refuses most others itself
    with pytest.raises(UnsupportedModelError, match=rf"m\.onnx.*{says}"):
        runtime.load(path)
