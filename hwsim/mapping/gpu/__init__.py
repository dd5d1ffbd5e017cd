"""HOW a layer is placed on a GPU: blocks of outputs on streaming multiprocessors, chosen as libraries choose them.

| module              | noun                                                                            |
|---------------------|---------------------------------------------------------------------------------|
| `constants`         | what is fitted, per class of operators and number format                        |
| `kernels`           | cycles of products and streams, compiled                                        |
| `attention_kernels` | cycles of attention, compiled                                                   |
| `kernel`            | `Kernel`, what runs; `BlockMapping`, its loop nest; the machine as kernels take it |
| `matrix`            | matrix products, batched ones, matrix by vector                                 |
| `convolution`       | implicit product, Winograd, depthwise, and the choice between them              |
| `transforms`        | multiply-accumulates and additions of Winograd and FFT                          |
| `recurrent`         | products that wait for one another                                              |
| `stream`            | operators that are no products                                                  |
| `attention`         | two products and the softmax between them in one kernel                         |
| `place`             | from a layer to its mapping                                                     |
"""
