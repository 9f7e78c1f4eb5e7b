import pytest

from edgecv.convert.request import check_calibration, check_request
from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET
from edgecv.values.profiles import CalibrationRecipe


class Notes:
    bar = QUIET.bar

    def __init__(self):
        self.warnings = []

    def info(self, message):
        return

    def warn(self, message):
        self.warnings.append(message)


def request(**changes):
    settings = {"format": "tflite", "scheme": "int8", "method": "ptq", "io_dtype": None, "target": "cpu"}
    return check_request(**{**settings, "reporter": QUIET, **changes})


def test_defaults_of_the_boundary():
    assert request().io_dtype == "int8"
    assert request(format="onnx").io_dtype == "float32"
    assert request(scheme="float16").io_dtype == "float32"


def test_methods():
    assert request(scheme="float32").method == "none"
    assert request(scheme="dynamic").method == "ptq"
    assert request(method="qat").method == "qat"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "tflit"}, "unknown output format 'tflit'"),
        ({"format": "keras"}, "unknown output format 'keras'"),
        ({"scheme": "int9"}, "unknown scheme 'int9'"),
        ({"scheme": "int4", "format": "onnx"}, "there is no int4 for onnx"),
        ({"method": "pqt"}, "unknown method 'pqt'"),
        ({"method": "none"}, "int8 needs a method"),
        ({"method": "qat", "scheme": "float32"}, "method qat makes int8 files"),
        ({"io_dtype": "int16"}, "unknown io dtype of int8 tflite 'int16'"),
        ({"io_dtype": "int8", "scheme": "float32"}, "of a float32 file are float32"),
        ({"target": "tpu"}, "unknown target 'tpu'"),
    ],
)
def test_what_does_not_exist(changes, message):
    with pytest.raises(ConfigError, match=message):
        request(**changes)


def test_target_decides_formats_and_warns_of_schemes(tmp_path):
    profile = tmp_path / "stick.toml"
    profile.write_text(
        'title = "t"\naccelerator = "npu"\nverdict = "all_builtin"\nformats = ["tflite"]\nschemes = ["int8"]\n'
    )
    notes = Notes()
    request(target=str(profile), reporter=notes)
    assert notes.warnings == []
    request(target=str(profile), scheme="float32", reporter=notes)
    assert len(notes.warnings) == 1
    assert "does not run float32 well" in notes.warnings[0]
    with pytest.raises(ConfigError, match="does not take onnx"):
        request(target=str(profile), format="onnx", reporter=notes)


def test_ptq_needs_its_calibration():
    recipe = CalibrationRecipe(name="r", title="t")
    check_calibration(request(), recipe, has_dataset=True)
    with pytest.raises(ConfigError, match="needs a calibration recipe"):
        check_calibration(request(), None, has_dataset=True)
    with pytest.raises(ConfigError, match="needs a data set"):
        check_calibration(request(), recipe, has_dataset=False)


def test_qat_refuses_a_granularity_that_it_cannot_honour():
    recipe = CalibrationRecipe(name="r", title="t", granularity="per_tensor")
    with pytest.raises(ConfigError, match="brings its own scales"):
        check_calibration(request(method="qat"), recipe, has_dataset=True)
