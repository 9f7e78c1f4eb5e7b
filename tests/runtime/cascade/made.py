"""A cascade of our own: what is in its file can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

STUMP = "<_><internalNodes>0 -1 {feature} {split}</internalNodes><leafValues>{below} {above}</leafValues></_>"
RIGHT_MINUS_LEFT = ("<_>0 0 4 4 -1.</_><_>2 0 2 4 2.</_>", 0)
BELOW_MINUS_ABOVE = ("<_>0 0 4 4 -1.</_><_>0 2 4 2 2.</_>", 0)
DIAMOND = ("<_>2 0 1 1 1.</_>", 1)


def stump(feature: int, split: float, below: float = -1.0, above: float = 1.0) -> str:
    return STUMP.format(feature=feature, split=split, below=below, above=above)


def stage(threshold: float, *trees: str) -> str:
    return (
        f"<_><maxWeakCount>{len(trees)}</maxWeakCount><stageThreshold>{threshold}</stageThreshold>"
        f"<weakClassifiers>{''.join(trees)}</weakClassifiers></_>"
    )


def document(stages: list[str], features: list[tuple[str, int]], window: tuple[int, int] = (4, 4)) -> str:
    rows = "".join(f"<_><rects>{rects}</rects><tilted>{tilted}</tilted></_>" for rects, tilted in features)
    return (
        '<?xml version="1.0"?>\n<opencv_storage><cascade type_id="opencv-cascade-classifier">'
        "<stageType>BOOST</stageType><featureType>HAAR</featureType>"
        f"<height>{window[0]}</height><width>{window[1]}</width><stageNum>{len(stages)}</stageNum>"
        f"<stages>{''.join(stages)}</stages><features>{rows}</features></cascade></opencv_storage>"
    )


def written(folder: Path, stages: list[str], features: list[tuple[str, int]], **more: tuple[int, int]) -> Path:
    path = folder / "cascade.xml"
    path.write_text(document(stages, features, **more))
    return path
