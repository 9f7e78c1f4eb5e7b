"""Registries, optional packages and profiles answer with names, nearest matches and next steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecv.core import optional
from edgecv.core.errors import ConfigError, EdgecvError, MissingDependencyError, nearest, unknown_name
from edgecv.core.registry import Registry
from edgecv.values import profiles


def test_an_unknown_name_lists_choices_and_guesses() -> None:
    error = unknown_name("scheme", "int9", ["int8", "float32"])
    assert "did you mean 'int8'" in str(error)
    assert "float32" in str(error)
    assert nearest("zzz", ["int8"]) is None


def test_a_registry_refuses_duplicates_and_unknown_names() -> None:
    registry: Registry[int] = Registry("thing")
    registry.add("one", 1)
    with pytest.raises(ConfigError, match="twice"):
        registry.add("one", 2)
    with pytest.raises(ConfigError, match="did you mean 'one'"):
        registry.get("onee")
    assert registry.names() == ("one",)
    assert dict(registry) == {"one": 1}


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(optional.EXTRAS, "no_such_package_here", "litert")
    assert not optional.available("no_such_package_here")
    with pytest.raises(MissingDependencyError, match=r"edgecv\[litert\]"):
        optional.require("no_such_package_here", why="to test")


def test_every_shipped_profile_decodes() -> None:
    assert {"cpu", "gpu", "edgetpu"} <= set(profiles.target_names())
    assert {"minmax", "moving_average", "percentile", "mse", "entropy"} <= set(profiles.calibration_names())
    for name in profiles.target_names():
        assert profiles.target(name).name == name
    for name in profiles.calibration_names():
        assert profiles.calibration(name).name == name


def test_a_report_asks_cheap_targets_unless_told_otherwise() -> None:
    asked = set(profiles.report_target_names())
    assert {"cpu", "gpu", "edgetpu"} <= asked < set(profiles.target_names())
    assert not any(name.startswith("ethos-u") for name in asked)


def test_an_unknown_target_gets_the_nearest_match() -> None:
    with pytest.raises(ConfigError, match="did you mean 'edgetpu'"):
        profiles.target("edgetpuu")


def test_a_profile_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('title = "mine"\ncuont = 3\n')
    with pytest.raises(ConfigError, match="did you mean 'count'"):
        profiles.calibration(str(recipe))


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text("title = \n")
    with pytest.raises(ConfigError, match="line 1"):
        profiles.calibration(str(recipe))


def test_errors_show_their_hint_and_code() -> None:
    error = EdgecvError("wrong", hint="do this")
    assert str(error) == "wrong\n  hint: do this"
    assert error.exit_code == 2


def test_a_profile_that_extends_another_takes_its_keys_table_by_table(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('extends = "edgetpu"\ntitle = "mine"\n[limits]\nresize_factor = 4\n')
    own, base = profiles.target(str(mine)), profiles.target("edgetpu")
    assert own.title == "mine"
    assert own.ops == base.ops
    assert own.limits == {**base.limits, "resize_factor": 4.0}
    mine.write_text('extends = "edgetup"\ntitle = "mine"\n')
    with pytest.raises(ConfigError, match="did you mean 'edgetpu'"):
        profiles.target(str(mine))


@pytest.mark.parametrize("error", ["SystemError('initialization raised unreported exception')", "ImportError('x')"])
def test_a_package_for_an_older_numpy_says_which_one_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: str
) -> None:
    (tmp_path / "built_for_another_numpy.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(optional, "BUILT_FOR_NUMPY_1", {"built_for_another_numpy"})
    monkeypatch.setattr(optional, "_numpy_version", lambda: "2.1.0")
    with pytest.raises(MissingDependencyError, match=r"does not work with numpy 2\.1\.0") as caught:
        optional.require("built_for_another_numpy", why="to run .tflite files")
    assert caught.value.hint == "pip install 'numpy<2'"
