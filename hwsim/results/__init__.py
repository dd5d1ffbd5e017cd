"""WHAT came out: the result records, how they are stored, and what they are compared with.

| module             | noun                                                              |
|--------------------|-------------------------------------------------------------------|
| `record`           | `LayerResult`, `NetworkResult`, `Timing`, action counts           |
| `beside`           | what is published and measured of runs, for their figures         |
| `store`            | result folders and files                                          |
| `terminal`         | the table of a result                                             |
| `expectation`      | rows of comparison tables: what a result should be                |
| `subject`          | a result, of this run or of a file, as it is compared             |
| `compare`          | a result beside its expectations, errors, scores                  |
| `terminal_compare` | the tables of comparisons and mean errors                         |
| `scale_sim`        | what SCALE-Sim 3 prints for the same layer, and why it differs    |
| `like`             | a result with SCALE-Sim's figures beside its own                  |
"""
