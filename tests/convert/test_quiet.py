import os

import pytest

from edgecv.convert.quiet import conversion
from edgecv.core.errors import ConversionError


def test_native_output_is_kept_back(capfd):
    with conversion("it broke"):
        os.write(2, b"from C++\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_failure_tells_the_converters_own_reason():
    with (
        pytest.raises(ConversionError, match="it broke: loc: error: op Foo is unknown") as error,
        conversion("it broke"),
    ):
        os.write(2, b"note: fine so far\nloc: error: op Foo is unknown\n")
        raise RuntimeError("see above")
    assert isinstance(error.value.__cause__, RuntimeError)


def test_own_errors_pass_through():
    with pytest.raises(ConversionError, match=r"^mine$"), conversion("it broke"):
        raise ConversionError("mine")
