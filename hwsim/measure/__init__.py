"""Real runs on real machines, as the same record that a simulation gives.

| module      | what                                                                               |
|-------------|------------------------------------------------------------------------------------|
| `measure`   | the whole flow on one screen: network -> backend -> timed runs -> `Measurement`    |
| `record`    | `Measurement`, what came out                                                       |
| `recorded`  | what is known of a measurement, checked where it comes from a file                 |
| `predict`   | a prediction beside a measurement, and how far apart they are                      |
| `beside`    | measurements, made now or read, with the predictions that stand beside them        |
| `terminal`  | the tables that are printed of them                                                |
| `backend`   | what a library offers to be measured: `Backend`, `Runner`, `Sample`                |
| `backends`  | one file per library                                                               |
| `operands`  | seeded inputs and weights, made once, and whether they fit the memory              |
| `moves`     | changes of layout as views                                                         |
| `program`   | a network as calls in order, for libraries that run one layer at a time            |
| `layerwise` | the runner of such a program: one timer per layer, and runs without them           |
| `timing`    | warm-up, enough runs, median and spread, what counts as noise                      |
| `machine`   | `Machine`: processor, caches, memory, clock, and the fingerprint of what matters   |
| `clock`     | the processor's clock as a chain of dependent additions shows it                   |
| `streams`   | bytes per second of a level of memory                                              |
| `cache`     | caches filled with other data before cold runs                                     |
| `threads`   | threads pinned and bounded, and given back afterwards                              |
| `power`     | energy counters where the machine shows them                                       |
"""
