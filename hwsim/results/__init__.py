"""WHAT came out: the result records, how they are stored, and what they are compared with.

| module      | noun                                                          |
|-------------|---------------------------------------------------------------|
| `record`    | `LayerResult`, `NetworkResult`, `Timing`, action counts       |
| `store`     | result folders and files                                      |
| `scale_sim` | what SCALE-Sim 3 prints for the same layer, and why it differs |
"""
