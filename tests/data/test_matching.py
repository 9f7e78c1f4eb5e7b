import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.data import Dataset, Split, Target, fitted, match_targets
from edgecv.data.sources import ArrayImages
from edgecv.values.specs import Head, InputSpec, ModelSpec

READS = {"verification": ("verification", "embedding", "classification"), "embedding": ("embedding", "classification")}


def reads(task):
    return READS.get(task, (task,))


def head(name, task="classification", labels=()):
    return Head(name=name, task=task, activation="linear", labels=labels)


def target(name, task="classification", labels=("a", "b")):
    return Target(name=name, task=task, labels=labels)


BOXES, MASK, KIND, WHO = (
    target("objects", "detection"),
    target("mask", "segmentation"),
    target("kind"),
    target("who", "embedding"),
)


@pytest.mark.parametrize(
    ("heads", "targets", "expected"),
    [
        ([head("boxes", "detection")], [MASK, BOXES, KIND], (1,)),
        ([head("kind"), head("m", "segmentation")], [MASK, KIND], (1, 0)),
        ([head("b"), head("a")], [target("a"), target("b")], (1, 0)),
        ([head("x"), head("y")], [target("a"), target("b")], (0, 1)),
        ([head("output", "embedding")], [KIND, WHO], (1,)),
        ([head("kind", "embedding")], [KIND, WHO], (0,)),
        ([head("output", "embedding")], [KIND, MASK], (0,)),
        # Of its name, but of a kind it does not read.
        ([head("objects", "segmentation")], [BOXES, MASK], (1,)),
    ],
)
def test_which_target_a_head_is_about(heads, targets, expected):
    assert match_targets(heads, targets, dataset="toys", reads=reads) == expected


def test_two_heads_of_a_task_do_not_share_a_target():
    heads = [head("first"), head("second"), head("third", "embedding")]
    with pytest.raises(ConfigError, match=r"has the heads first, second; 'toys' has one target for them, 'kind'"):
        match_targets(heads, [KIND, MASK], dataset="toys", reads=reads)
    assert match_targets(heads[1:], [KIND, MASK], dataset="toys", reads=reads) == (0, 0)


def test_nothing_fits():
    with pytest.raises(ConfigError, match=r"'kind' is for detection; 'toys' has no target for detection: kind \(class"):
        match_targets([head("kind", "detection")], [KIND], dataset="toys", reads=reads)


def test_several_fit():
    with pytest.raises(ConfigError, match="2 targets for classification") as caught:
        match_targets([head("x")], [target("a"), target("b")], dataset="toys", reads=reads)
    assert "y_<head>" in caught.value.hint


def test_labels_of_another_order_are_refused():
    with pytest.raises(ConfigError, match="first: 'b' is 'a'"):
        match_targets([head("kind", labels=("b", "a"))], [KIND], dataset="toys", reads=reads)
    assert match_targets([head("k", "embedding", ("x",))], [WHO], dataset="toys", reads=reads) == (0,)


def people(columns=1):
    images = ArrayImages(np.arange(24, dtype=np.uint8).reshape(24, 1, 1), np.arange(24))
    values = (np.arange(24) % 4, np.arange(24) % 2)[:columns]
    splits = {name: Split(name=name, images=images, targets=values) for name in ("train", "test")}
    known = (target("who", "embedding", tuple("abcd")), target("kind"))[:columns]
    return Dataset(name="people", uri="test:people", targets=known, splits=splits)


def spec(*heads, inputs=2):
    return ModelSpec(name="twin", inputs=tuple(InputSpec(f"i{i}", (1,)) for i in range(inputs)), heads=heads)


def test_pairs_are_drawn_for_a_model_that_compares_two_images():
    found = fitted(people(), spec(head("same", "verification")), reads=reads)
    assert [(t.name, t.task, t.labels) for t in found.targets] == [("same", "verification", ("different", "same"))]
    record = found.split("train").record(0)
    assert len(record.inputs) == 2
    assert record.truths[0] in (0, 1)
    # Drawn anew, the pairs are the same; those of another split are others.
    again = fitted(people(), spec(head("same", "verification")), reads=reads)
    assert again.split("train").sha256 == found.split("train").sha256 != found.split("test").sha256
    assert fitted(found, spec(head("same", "verification")), reads=reads) is found


def test_identities_go_before_classes():
    found = fitted(people(2), spec(head("same", "verification")), reads=reads)
    assert len(set(found.split("train").groups.tolist())) == 4


def test_a_model_of_one_input_takes_the_data_as_they_are():
    data = people()
    assert fitted(data, spec(head("who", "embedding"), inputs=1), reads=reads) is data


@pytest.mark.parametrize(("inputs", "task"), [(3, "verification"), (2, "classification")])
def test_inputs_that_the_data_do_not_have(inputs, task):
    with pytest.raises(ConfigError, match=f"takes {inputs} inputs, a sample of 'people' has 1"):
        fitted(people(), spec(head("x", task), inputs=inputs), reads=reads)


def test_labels_matter_where_another_kind_is_read_too():
    known = {"localisation": ("localisation", "detection")}
    one = head("where", "localisation", ("b", "a"))
    with pytest.raises(ConfigError, match="first: 'b' is 'a'"):
        match_targets([one], [BOXES], dataset="toys", reads=lambda task: known[task])
