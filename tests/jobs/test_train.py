"""What `edgecv train` makes of its options."""

import pytest

from edgecv.core.errors import ConfigError
from edgecv.jobs.train import TrainPlan, train
from edgecv.modelio import load_keras


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m.keras"
    train(TrainPlan(name="lenet5", epochs=1), out=path)
    return path


STAGED = """
learning_rate = 1e-3

[[stages]]
epochs = 4
train_last = 1

[[stages]]
epochs = 8
learning_rate = 1e-4
"""


def test_epochs_and_rate_reach_a_recipe_with_stages(tmp_path):
    recipe = tmp_path / "staged.toml"
    recipe.write_text(STAGED)
    plan = TrainPlan(name="lenet5", recipe=str(recipe), epochs=3, learning_rate=5e-4)
    train(plan, out=tmp_path / "m.keras")
    used = load_keras(tmp_path / "m.keras").manifest.provenance.recipe
    assert [stage["epochs"] for stage in used["stages"]] == [1, 2]
    assert [stage["learning_rate"] for stage in used["stages"]] == [None, pytest.approx(5e-5)]
    assert used["learning_rate"] == pytest.approx(5e-4)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"variant": "book"}, "--variant"), ({"input_size": 28}, "--input-size"), ({"width": 0.5}, "--width")],
)
def test_options_of_architectures_are_refused_with_from(trained, tmp_path, options, named):
    with pytest.raises(ConfigError, match=named):
        train(TrainPlan(source=trained, **options), out=tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()
