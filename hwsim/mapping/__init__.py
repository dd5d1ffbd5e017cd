"""HOW a layer is placed on an array.

| module           | noun                                                             |
|------------------|------------------------------------------------------------------|
| `loops`          | `Mapping` and its loop nest; coverage check                      |
| `folding`        | `Folding`: tiles of a systolic array, grouped into passes        |
| `passes`         | what each pass takes and moves, and the sums over all            |
| `systolic`       | the search for the fastest folding                               |
| `tiled`          | tiles of weights whose sums stay in accumulators                 |
| `row_stationary` | sets of PEs that keep rows of filters, and their passes          |
| `row_stationary_geometry` | filter pieces, and ifmap rows under strips of the ofmap |
| `row_stationary_traffic` | what such a mapping moves and does                       |
| `row_stationary_place`, `row_stationary_search` | the choice among all that fit     |
| `row_stationary_sets` | which PE does what                                          |
| `compressed`     | products of compressed matrices, rows interleaved over PEs       |
| `nodes`, `nodes_lanes` | layers on nodes of tiles: which part is whose            |
| `nodes_grid`, `nodes_stages` | links, and what nodes tell each other              |
| `nodes_capacity` | whether nodes hold a network                                   |
| `placed`         | a layer with its mapping, as engines are given it                |
| `program`        | `Program`: a network as instructions of one matrix unit          |
| `compile`        | from placed layers to a program                                  |
| `unified_buffer` | which activation lies where, from when to when                   |
"""

from hwsim.mapping.loops import ArrayMapping, Loop, Mapping

__all__ = ["ArrayMapping", "Loop", "Mapping"]
