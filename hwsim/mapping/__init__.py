"""HOW a layer is placed on an array.

| module     | noun                                                             |
|------------|------------------------------------------------------------------|
| `loops`    | `Mapping` and its loop nest; coverage check                      |
| `folding`  | `Folding`: tiles of a systolic array, grouped into passes        |
| `passes`   | what each pass takes and moves, and the sums over all            |
| `systolic` | the search for the fastest folding                               |
"""

from hwsim.mapping.loops import Loop, Mapping

__all__ = ["Loop", "Mapping"]
