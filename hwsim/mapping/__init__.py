"""HOW a layer is placed on an array.

| module           | noun                                                             |
|------------------|------------------------------------------------------------------|
| `loops`          | `Mapping` and its loop nest; coverage check                      |
| `folding`        | `Folding`: tiles of a systolic array, grouped into passes        |
| `passes`         | what each pass takes and moves, and the sums over all            |
| `systolic`       | the search for the fastest folding                               |
| `tiled`          | tiles of weights whose sums stay in accumulators                 |
| `placed`         | a layer with its mapping, as engines are given it                |
| `program`        | `Program`: a network as instructions of one matrix unit          |
| `compile`        | from placed layers to a program                                  |
| `unified_buffer` | which activation lies where, from when to when                   |
"""

from hwsim.mapping.loops import ArrayMapping, Loop, Mapping

__all__ = ["ArrayMapping", "Loop", "Mapping"]
