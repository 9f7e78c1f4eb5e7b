"""A stand-in for edgetpu_compiler, which cannot be had here: it answers with the wording of published logs.

The wording is that of logs in https://github.com/google-coral/edgetpu/issues (427, 449, 608, 829, 879, 358) and of
https://coral.ai/docs/edgetpu/compiler/; names and numbers are the test's. It compiles nothing: STAND_IN_MODEL names the
file that it "writes", STAND_IN_CASE what happens.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

VERSION = "Edge TPU Compiler version 16.0.384591198"
STARTED = "Started a compilation timeout timer of 180 seconds."
FINISHED = "Compilation child process completed within timeout period."

SUCCESS = """{version}
{started}

Model compiled successfully in 542 ms.

Input model: {source}
Input size: 4.04MiB
Output model: {output}
Output size: 4.13MiB
On-chip memory used for caching model parameters: 604.50KiB
On-chip memory remaining for caching model parameters: 511.50KiB
Off-chip memory used for streaming uncached model parameters: 3.45MiB
Number of Edge TPU subgraphs: 1
Total number of operations: 4
Operation log: {log}

Model successfully compiled but not all operations are supported by the Edge TPU. A percentage of the model will \
instead run on the CPU, which is slower. If possible, consider updating your model to use only operations supported by \
the Edge TPU. For details, visit g.co/coral/model-reqs.
Number of operations that will run on Edge TPU: 2
Number of operations that will run on CPU: 2

{table}{finished}
Compilation succeeded!
"""

TABLE = """Operator                       Count      Status

TANH                           1          More than one subgraph is not supported
TANH                           2          Mapped to Edge TPU
HARD_SWISH                     1          Operation not supported
"""

FAILURES = {
    "version": "ERROR: Didn't find op for builtin opcode 'QUANTIZE' version '3'. An older version of this builtin "
    "might be supported. Are you using an old TFLite binary with a newer model?\n\nERROR: Registration failed.\n\n"
    "Invalid model: {source}\nModel could not be parsed\n",
    "dynamic": f"{STARTED}\nERROR: Attempting to use a delegate that only supports static-sized tensors with a graph "
    "that has dynamic-sized tensors.\nCompilation failed: Model failed in Tflite interpreter. Please ensure model can "
    f"be loaded/run in Tflite interpreter.\n{FINISHED}\nCompilation failed! \n",
    "activations": f"{STARTED}\nERROR: Restored original execution plan after delegate application failure.\n"
    "Compilation failed: Compilation failed due to large activation tensors in model.\n"
    f"{FINISHED}\nCompilation failed! \n",
    "internal": "\nInternal compiler error. Aborting! \n",
    "float": "Invalid model: {source}\nModel not quantized\n",
    "silent": f"{STARTED}\n{FINISHED}\nCompilation failed! \n",
}


def main(arguments: list[str]) -> int:
    case = os.environ.get("STAND_IN_CASE", "success")
    print(VERSION)
    if "--version" in arguments:
        return 0
    Path(os.environ["STAND_IN_ARGUMENTS"]).write_text("\n".join(arguments))
    source, folder = Path(arguments[-1]), Path(arguments[arguments.index("-o") + 1])
    if case == "hang":
        # Like the real one, which forks: the child must die as well.
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(os.environ["STAND_IN_PIDS"]).write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    if case in FAILURES:
        print(FAILURES[case].format(source=source))
        return 1
    output, log = folder / f"{source.stem}_edgetpu.tflite", folder / f"{source.stem}_edgetpu.log"
    shutil.copyfile(os.environ["STAND_IN_MODEL"], output)
    log.write_text(f"{VERSION}\nInput: {source}\nOutput: {output}\n\n{TABLE}")
    names = {"source": source, "output": output, "log": log, "started": STARTED, "finished": FINISHED}
    print(SUCCESS.format(version="", table=TABLE, **names))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
