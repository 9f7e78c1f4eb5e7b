"""Names of how pixels are scaled."""

from edgecv.values.presets import PRESETS


def test_texts_go_on_after_the_word_pixels() -> None:
    assert not [text for text in PRESETS.values() if text.startswith("pixels")]
