"""WHEN it happens: from mappings to cycles, action counts and a timeline.

| module          | what                                                                            |
|-----------------|---------------------------------------------------------------------------------|
| `array`         | systolic array, layers one after the other, closed form                         |
| `array_stepped` | the same array cycle by cycle with real values                                  |
| `array_kernels` | its PEs, compiled                                                               |
| `vector`        | layers that are not matrix products, and which of them cost nothing             |
| `tiles`         | a matrix unit fed by instructions that overlap across layers                    |
| `tiles_closed`  | when its blocks of instructions are complete, by recurrence                     |
| `tiles_events`  | the same with units as processes                                                |
| `ledger`        | who takes its cycles                                                            |
| `row_stationary` | processing passes of sets of PEs that keep rows of filters, closed form        |
| `row_stationary_stepped`, `row_stationary_kernels` | the same cycle by cycle with real values     |
| `row_stationary_trace` | its timeline                                                             |
| `sparse`        | compressed sparse columns that non-zero activations are broadcast to, closed form |
| `sparse_operands`, `sparse_kernels` | what it multiplies; random matrices and its recurrence, compiled |
| `sparse_stepped` | the same cycle by cycle with real values                                       |
| `zeros`         | how many zeros results have, told from what the next products read              |
| `nodes`         | nodes of tiles that keep all synapses and send each other neurons                |
| `nodes_closed`  | how long their messages take, by one line of nodes                              |
| `nodes_events`  | the same with all nodes as processes                                            |
| `nodes_values`  | what their tiles compute, part by part                                          |
| `clock`         | simulated time that counts its events                                           |
| `in_turn`       | layers one after the other                                                      |
| `trace`         | a timeline                                                                      |

An engine is a module with the functions of `Engine`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hwsim.arch.accelerator import Accelerator
    from hwsim.engine.trace import Span
    from hwsim.formats import NumberFormat
    from hwsim.ir.network import Network
    from hwsim.mapping.placed import Placed
    from hwsim.results.record import Execution, NetworkResult


class Engine(Protocol):
    """What a module of this folder offers to be named by a chip.

    One that has `MIXES_FORMATS = True` runs each layer in the format it is placed in; to others all are in `fmt`.
    `READS_DENSITIES` names the densities of layers, "weight_density" and "input_density", that cycles, counts and
    columns depend on, mappings by the dataflows of this package included; without it, both are taken to.
    """

    def execute(
        self, network: Network, placed: Sequence[Placed], chip: Accelerator, fmt: NumberFormat, fidelity: str, seed: int
    ) -> Execution:
        """Return cycles and action counts of every layer.

        With `fidelity` "closed" they are computed, with "stepped" counted in a simulation in which seeded values move.
        """

    def spans(self, result: NetworkResult) -> Iterable[Iterable[Span]]:
        """Return the timeline of every layer, each from the cycle in which the layer begins."""
