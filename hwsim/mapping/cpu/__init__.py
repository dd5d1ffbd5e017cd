"""HOW a layer is placed on a CPU: blocks of outputs on threads, in registers and caches, and how long it takes there.

| module      | noun                                                                                |
|-------------|-------------------------------------------------------------------------------------|
| `machine`   | `Machine`: cores, vectors, caches and memory as the times read them                  |
| `constants` | `Constants`: what is fitted, per class of operators and format; typical and ideal    |
| `facts`     | `Facts`: what datasheets, measurements and this machine's system say of a CPU        |
| `work`      | `Work`: what a library's operator does, in padded multiply-accumulates and bytes     |
| `around`    | `Around`: what a network says of its operators that their layers do not                |
| `convolution` | names of the algorithms of convolutions that are no part of the library           |
| `times`     | seconds of work on a machine                                                         |
| `blocks`    | `BlockMapping`: the loop nest, and the place of a product in it                      |
"""
