"""Six dataflows on one storage area: how often each level of memory is accessed, and the mapping of least energy.

| module              | what                                                                               |
|---------------------|------------------------------------------------------------------------------------|
| `shape`             | a layer in the paper's terms: planes, filters, rows read by strips                 |
| `search`            | `Storage`, and the search for the candidate of least energy                        |
| `mapping`           | `AccessMapping`: the one that was found                                            |
| `row_stationary`    | RS                                                                                 |
| `output_stationary` | what OSA, OSB and OSC share; they are `output_stationary_a`, `_b` and `_c`         |
| `weight_stationary` | WS                                                                                 |
| `no_local_reuse`    | NLR                                                                                |

The framework is that of Chen, Emer and Sze, ISCA 2016: the reuse of a datum splits into factors a b c d over
DRAM, global buffer, array and register files. An input or weight is read a times from DRAM, ab from the buffer, abc
over the array and abcd from registers; of the partial sums of an output, written to DRAM once, 2(b - 1) cross the
buffer, b(c - 1) the array and 2bc(d - 1) the registers. A level that gives no reuse is passed by and costs nothing;
filling a level costs no more than the read outside it. A module of a dataflow offers the functions of `search.Reuse`.
"""
