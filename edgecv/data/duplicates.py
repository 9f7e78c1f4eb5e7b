"""Which samples have exactly the same content."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from edgecv.data.dataset import Images, Split
from edgecv.data.splits import ORDER, Indices


def content_ids(sources: Sequence[Images]) -> list[Indices]:
    """Number the contents of several sources: two samples have the same number when they are the same, byte by byte.

    Files are read only where two have the same length; nothing is decoded.

    Returns:
        int64 (n,) per source.
    """
    lengths = [[_length(source, i) for i in range(len(source))] for source in sources]
    shared = Counter(length for each in lengths for length in each)
    known: dict[bytes, int] = {}
    made: list[Indices] = []
    for number, (source, each) in enumerate(zip(sources, lengths, strict=True)):
        keys = [
            f"{number}:{i}".encode() if length is not None and shared[length] == 1 else _key(source, i)
            for i, length in enumerate(each)
        ]
        made.append(np.array([known.setdefault(key, len(known)) for key in keys], np.int64))
    return made


def _length(source: Images, index: int) -> int | None:
    length = getattr(source, "length", None)
    return None if length is None else int(length(index))


def _key(source: Images, index: int) -> bytes:
    return hashlib.blake2b(source.digest(index), digest_size=16).digest()


def count_duplicates(splits: Mapping[str, Split]) -> tuple[dict[str, int], dict[str, int]]:
    """Count samples whose content is there more than once.

    Returns:
        Split to the samples that repeat an earlier one of the same split; and "train/test" to the samples of the
        second split whose content is in the first one too.
    """
    names = [*(name for name in ORDER if name in splits), *(name for name in splits if name not in ORDER)]
    ids = dict(zip(names, content_ids([splits[name].images for name in names]), strict=True))
    within = {name: len(found) - len(np.unique(found)) for name, found in ids.items()}
    across = {f"{a}/{b}": int(np.isin(ids[b], ids[a]).sum()) for a, b in combinations(names, 2)}
    return within, across
