"""How long and how many joules a neural network takes, on which accelerator, in which number format.

    >>> import hwsim
    >>> result = hwsim.simulate("alexnet", on="systolic:rows=128,cols=128", format="int8")
    >>> result.total["seconds"], result.frame, result.sources

| name                             | what                                                            |
|----------------------------------|-----------------------------------------------------------------|
| `simulate`                       | a network on a chip, layer by layer                             |
| `sweep`                          | many simulations, each computed once, in one file               |
| `compare`                        | results beside published tables, with errors                    |
| `NetworkResult`, `LayerResult`   | what came out                                                   |
| `Network`, `NetworkBuilder`      | what is computed                                                |
| `Accelerator`                    | what computes                                                   |
| `catalog`                        | the networks, chips, dataflows, formats and reports there are   |
| `HwsimError`                     | base of every error that is the input's fault                   |
"""

from hwsim import catalog
from hwsim.arch.accelerator import Accelerator
from hwsim.errors import HwsimError
from hwsim.ir.builder import NetworkBuilder
from hwsim.ir.network import Network
from hwsim.results.compare import compare
from hwsim.results.record import LayerResult, NetworkResult
from hwsim.simulate import simulate
from hwsim.sweep import sweep

__version__ = "0.1.0"

__all__ = [
    "Accelerator",
    "HwsimError",
    "LayerResult",
    "Network",
    "NetworkBuilder",
    "NetworkResult",
    "__version__",
    "catalog",
    "compare",
    "simulate",
    "sweep",
]
