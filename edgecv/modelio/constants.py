"""Functions of tensorflow as graphs without variables."""

from __future__ import annotations

from typing import Any


def constant_graph(function: Any) -> Any:
    """Return the GraphDef of a ConcreteFunction with constants for variables, and functions that it calls inlined.

    The public `convert_variables_to_constants_v2` goes on to make a function of it, which takes eight more copies of
    the weights in memory.
    """
    from tensorflow.python.framework import convert_to_constants

    values = convert_to_constants._FunctionConverterDataInEager(
        func=function, lower_control_flow=False, aggressive_inlining=False
    )
    graph_def, _ = convert_to_constants._replace_variables_by_constants(values)
    return graph_def
