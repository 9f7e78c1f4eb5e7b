"""Inputs and outputs are found by name, in whatever order; of what is not there, the message says what there is."""

from __future__ import annotations

import pytest

from edgecv.core.errors import UnsupportedModelError
from edgecv.values.binding import bind_inputs, bind_outputs, in_order
from edgecv.values.specs import Head, InputSpec, ModelSpec, one_input

LEFT, RIGHT = InputSpec("left", (4,)), InputSpec("right", (4,))
KIND = Head("kind", "classification", "logits", outputs=("scores",))
BOX = Head("place", "localisation", "probabilities", outputs=("class", "box"))


def spec(*inputs: InputSpec, heads: tuple[Head, ...] = (KIND,)) -> ModelSpec:
    return ModelSpec(name="net", inputs=inputs or (LEFT,), heads=heads)


class TestInputs:
    def test_are_found_by_name(self):
        assert bind_inputs(spec(LEFT, RIGHT), ["right", "left"], "f") == (1, 0)

    def test_a_single_one_needs_no_name(self):
        assert bind_inputs(spec(LEFT), ["serving_default_input_1:0"], "f") == (0,)

    def test_are_put_in_the_models_order(self):
        places = bind_inputs(spec(LEFT, RIGHT), ["right", "left"], "f")
        assert in_order(["for left", "for right"], places) == ["for right", "for left"]

    @pytest.mark.parametrize(
        ("declared", "names", "message"),
        [
            ((LEFT,), ["a", "b"], r"net\.tflite: its spec declares 1 inputs \(left\), the model has 2 \(a, b\)"),
            ((LEFT, RIGHT), ["left"], r"declares 2 inputs \(left, right\), the model has 1 \(left\)"),
            ((LEFT, RIGHT), ["left", "rigth"], r"the input 'right', and the model's inputs are left, rigth"),
            ((LEFT, RIGHT), ["left", "left"], r"the input 'left', and the model's inputs are left, left"),
        ],
    )
    def test_refused(self, declared, names, message):
        with pytest.raises(UnsupportedModelError, match=message):
            bind_inputs(spec(*declared), names, "net.tflite")


class TestOutputs:
    def test_are_found_by_name_and_others_are_left_alone(self):
        names = ["auxiliary", "box", "scores", "class"]
        assert bind_outputs(spec(heads=(BOX, KIND)), names, "f") == ((3, 1), (2,))

    def test_two_heads_may_read_one(self):
        second = Head("again", "classification", "logits", outputs=("scores",))
        assert bind_outputs(spec(heads=(KIND, second)), ["scores", "x"], "f") == ((0,), (0,))

    def test_a_single_one_needs_no_name(self):
        assert bind_outputs(spec(heads=(KIND,)), ["StatefulPartitionedCall:0"], "f") == ((0,),)

    def test_a_head_that_names_none_reads_the_one_of_its_name(self):
        head = Head("kind", "classification", "logits")
        assert bind_outputs(spec(heads=(head,)), ["x", "kind"], "f") == ((1,),)

    @pytest.mark.parametrize(
        ("heads", "names", "message"),
        [
            (
                (KIND,),
                ["a", "b"],
                r"net\.onnx: head 'kind' reads the output 'scores', and .* outputs are a, b",
            ),
            ((BOX,), ["class"], r"head 'place' reads the output 'box', and the model's outputs are class"),
            ((BOX,), [], r"reads the output 'class', and the model's outputs are none"),
            ((BOX,), ["box", "class", "box"], r"reads the output 'box', and the model's outputs are box, class, box"),
        ],
    )
    def test_refused_with_the_outputs_named(self, heads, names, message):
        with pytest.raises(UnsupportedModelError, match=message) as caught:
            bind_outputs(spec(heads=heads), names, "net.onnx")
        assert "docs/specs.md" in caught.value.hint


def test_the_input_of_a_model_of_one_is_called_after_what_it_takes():
    assert one_input("net", (4,), (KIND,)).input.name == "features"
