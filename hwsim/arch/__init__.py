"""WHAT computes: the records a chip file fills in.

| module             | noun                                                             |
|--------------------|------------------------------------------------------------------|
| `source`           | `Source`: where a number comes from                              |
| `technology`       | scaling between process nodes                                    |
| `energy`           | `EnergyTable`: energy per action                                 |
| `reference_energy` | entries from the published 45 nm tables                          |
| `area`             | area of arithmetic, memories and printed dies                    |
| `accelerator`      | `Accelerator`, `PEArray`, `MemoryLevel`                          |
| `rate`             | clocks, and bandwidths as bits per cycle                         |
"""

from hwsim.arch.accelerator import Accelerator, MemoryLevel, PEArray
from hwsim.arch.energy import EnergyEntry, EnergyTable
from hwsim.arch.source import Source

__all__ = ["Accelerator", "EnergyEntry", "EnergyTable", "MemoryLevel", "PEArray", "Source"]
