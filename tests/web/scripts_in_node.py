"""Runs the page's scripts in Node, where they need no browser: what they compute is a matter of numbers."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.web import demo_page

RUN = """
import {{ readFileSync }} from "node:fs";
import {{ prepared }} from "./image.js";
import {{ toReal, toStored }} from "./tensors.js";
const cases = JSON.parse(readFileSync(0, "utf8"));
const typed = ({{ dtype, data, shape }}) => {{
  const bytes = Uint8Array.from(Buffer.from(data, "base64"));
  const kinds = {{ float32: Float32Array, uint8: Uint8Array, int8: Int8Array, int32: Int32Array }};
  return {{ values: new kinds[dtype](bytes.buffer), shape }};
}};
const plain = (value) => ArrayBuffer.isView(value) ? Array.from(value) : value;
const run = async (given) => {{ {body} }};
const found = [];
for (const given of cases) found.push(await run(given));
process.stdout.write(JSON.stringify(found, (key, value) => plain(value)));
"""


def node() -> str | None:
    """Return the program, None when it is not installed."""
    return shutil.which("node")


def packed(array: np.ndarray) -> dict[str, Any]:
    """Return an array as the scripts of the tests take one."""
    import base64

    whole = np.ascontiguousarray(array)
    data = base64.b64encode(whole.tobytes()).decode()
    return {"dtype": str(whole.dtype), "data": data, "shape": list(whole.shape)}


def computed(folder: Path, body: str, cases: list[dict[str, Any]]) -> list[Any]:
    """Return what a function of JavaScript makes of each case: its body, in which `given` is the case."""
    home = folder / "scripts"
    if not home.exists():
        shutil.copytree(demo_page.SCRIPTS, home)
        (home / "package.json").write_text('{"type": "module"}')
    (home / "run.js").write_text(RUN.format(body=body), encoding="utf-8")
    command = [node() or "node", "run.js"]
    done = subprocess.run(command, cwd=home, input=json.dumps(cases), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]
