"""WHAT is computed: layers, the network they form, and how networks are built and imported.

| module            | noun                                                        |
|-------------------|-------------------------------------------------------------|
| `layer`           | `Layer`: one operator with its loop bounds                  |
| `network`         | `Network`: layers and the edges between them                |
| `lifetimes`       | from when to when each tensor is needed, and the peak       |
| `shapes`          | shape inference                                             |
| `builder`         | `NetworkBuilder`: one method per operator                   |
| `recurrent`       | LSTM, GRU and RNN lowered to matrix products over time      |
| `minimal_filters` | Winograd's filters F(m, r): matrices and what they cost     |
| `onnx`            | package: networks from ONNX files                           |
| `topology`        | networks from SCALE-Sim topology CSV files                  |
| `training`        | a network with its backward pass and updates                |
| `untrusted`       | bounded reading of files that nobody vouches for            |
"""

from hwsim.ir.builder import NetworkBuilder
from hwsim.ir.layer import Kind, Layer, Shape
from hwsim.ir.network import Network, Tensor

__all__ = ["Kind", "Layer", "Network", "NetworkBuilder", "Shape", "Tensor"]
