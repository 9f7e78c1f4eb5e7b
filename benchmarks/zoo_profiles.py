"""Parameters, multiply-accumulates and memory of every architecture, for `edgecv zoo list`, which builds none.

    python benchmarks/zoo_profiles.py --out edgecv/zoo/profiles.json

The figures are counted on the layer graph, at the published input size; nothing is measured. A test compares the file
with the networks.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv import zoo
from edgecv.core.files import atomic_path


def profiles() -> dict[str, dict[str, Any]]:
    """Return architecture -> variant -> figures."""
    found: dict[str, dict[str, Any]] = {}
    for entry in zoo.entries():
        for variant in entry.variants:
            print(f"{entry.name}/{variant}", file=sys.stderr, flush=True)
            with zoo.weightless():
                model, _ = zoo.build(entry.name, variant=variant)
            found.setdefault(entry.name, {})[variant] = dataclasses.asdict(zoo.profile(model))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="file to write; default: stdout")
    options = parser.parse_args()
    text = json.dumps(profiles(), indent=1) + "\n"
    if options.out is None:
        print(text)
        return 0
    with atomic_path(options.out) as partial:
        partial.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
