import math

import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from edgecv.train import Augmentation, Plateau, Stage, TrainRecipe, default_recipe, recipe, recipe_names
from edgecv.train.recipes import learning_rate_at, plateau_factor


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_valid(name):
    assert recipe(name).epochs >= 1


def test_shipped_recipes_belong_to_architectures():
    known = set(zoo.names())
    for name in recipe_names():
        entry, _, variant = name.partition(".")
        assert name.startswith("_") or entry in known
        assert not variant or variant in zoo.get(entry).variants


def test_the_demos_recipe_is_what_it_was():
    assert default_recipe(zoo.get("lenet5").spec()) == TrainRecipe(
        learning_rate=2e-3,
        epochs=30,
        label_smoothing=0.05,
        augmentation=Augmentation(shift=2.0, rotation=10.0, zoom=0.1, shear=0.1),
    )
    assert default_recipe(zoo.get("lenet5").spec("book")).learning_rate == 3e-3


def test_an_own_file_extends_a_shipped_one(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "_objects"\nepochs = 3\n[augmentation]\nshift = 1.0\n[[stages]]\nepochs = 2\nfreeze = ["a*"]\n'
    )
    mine = recipe(str(path))
    assert (mine.batch_size, mine.epochs) == (64, 3)
    assert mine.augmentation == Augmentation(shift=1.0, flip=True)
    assert mine.stages == (Stage(epochs=2, freeze=("a*",)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat = 1", "unknown key 'learning_rat'\n.*did you mean 'learning_rate'"),
        ('optimizer = "adan"', "unknown value 'adan'"),
        ("warmup = -1", "warmup must be >= 0"),
        ('extends = "_object"', "unknown training recipe '_object'\n.*did you mean '_objects'"),
        ("[reduce_on_plateau]\nfactor = 1.5", "factor must be > 0 and < 1"),
        ("[[stages]]\nepochs = 0", "stages.epochs must be >= 1"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        recipe(str(path))


def test_unknown_recipes_list_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'resnet8'"):
        recipe("resnet9")


def test_schedules_by_hand():
    def rates(**settings):
        return [learning_rate_at(TrainRecipe(learning_rate=1.0, epochs=4, **settings), epoch) for epoch in range(4)]

    assert rates(schedule="constant") == [1, 1, 1, 1]
    assert rates(schedule="step") == pytest.approx([1, 1, 0.1, 0.01])
    assert rates(schedule="exponential") == pytest.approx([1, 10**-0.5, 0.1, 10**-1.5])
    assert rates(schedule="cosine") == pytest.approx(
        [1, (1 + math.cos(math.pi / 4)) / 2, 0.5, (1 - math.cos(math.pi / 4)) / 2]
    )
    assert rates(schedule="constant", warmup=3) == pytest.approx([0.25, 0.5, 0.75, 1])


def test_plateaus_by_hand():
    how = Plateau(factor=0.5, patience=2, smallest=0.1)
    assert plateau_factor(None, [1, 1, 1], rate=1.0) == 1
    assert plateau_factor(how, [3, 2, 1], rate=1.0) == 1
    assert plateau_factor(how, [1, 2, 2], rate=1.0) == 0.5
    assert plateau_factor(how, [1, 2, 2, 2], rate=1.0) == 0.5
    assert plateau_factor(how, [1, 2, 2, 2, 2], rate=1.0) == 0.25
    assert plateau_factor(how, [1] * 30, rate=1.0) == pytest.approx(0.1)
