"""The least and the largest value of every tensor of a network, found in one run in fp32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hwsim.functional.parameters import Array, Parameters
from hwsim.ir.network import Network

from .onnx_export import given, write
from .onnx_operators import add_layer
from .onnx_place import Place


def ranges(network: Network, parameters: Parameters, values: Mapping[str, Array]) -> dict[str, tuple[float, float]]:
    """Return (least, largest) of every input, state and layer; of all steps where there are several."""
    from .onnxruntime_session import session

    written = write(network, parameters, _emit, np.float32, lambda _: np.float32(0))
    bounds = [(f"{which}({name})", name, f"Reduce{which}") for name in _all(written.names) for which in ("Min", "Max")]
    for output, name, operator in bounds:
        written.graph.node(operator, [name], output, keepdims=0)
    made = session(written.graph.model([output for output, _, _ in bounds]), threads=1)
    found = made.run(None, {known: values[name] for name, known in given(network).items()})
    value = {output: float(number) for (output, _, _), number in zip(bounds, found, strict=True)}
    result = {}
    for tensor, names in written.names.items():
        several = [names] if isinstance(names, str) else names
        least = min(value[f"Min({name})"] for name in several)
        result[tensor] = (least, max(value[f"Max({name})"] for name in several))
    for state, source in network.states.items():
        least, most = result[source]
        result[state] = (min(0.0, least), max(0.0, most))
    return result


def _emit(place: Place) -> str:
    add_layer(place)
    return place.output


def _all(names: Mapping[str, str | list[str]]) -> list[str]:
    return list(dict.fromkeys(name for one in names.values() for name in ([one] if isinstance(one, str) else one)))
