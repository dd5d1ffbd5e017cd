"""The arithmetic of operators on real values, in numba: one set of kernels for reference values and for measurements.

| module         | what it computes                                                                |
|----------------|---------------------------------------------------------------------------------|
| `gemm`         | products on register tiles: fp32, int8 with 32-bit sums, binary by XNOR         |
| `amx`          | products of int8 and of binary values on a matrix unit                          |
| `amx_operands` | int8 and binary values arranged as that unit's tiles                            |
| `products`     | matrix products: blocked, Strassen's, int8                                      |
| `binary`       | +1 and -1 packed 64 to a word                                                   |
| `ternary`      | -1, 0 and +1, the zeros skipped                                                 |
| `convolution`  | convolutions: direct, im2col, depthwise, fp32 and int8                          |
| `winograd`     | 3 x 3 filters by F(2x2, 3x3) and F(4x4, 3x3)                                    |
| `fourier`      | convolutions as products of spectra                                             |
| `separable`    | filters that are outer products                                                 |
| `images`       | padding, pooling, depthwise and direct convolution of images channels last      |
| `int8`         | between int8 and what stands behind it: scales, 32-bit sums, tables             |
| `memory`       | arrays on cache lines                                                           |
| `elements`     | functions of elements and of rows in fp32                                       |

Images are stored (N, rows, columns, channels) inside, so that a window's elements are runs and every loop over channels
is a vector's. Every result is the same whatever the number of threads. Kernels are cached on disk by processor; a
cached kernel calls only what is in its own file. `hwsim.functional.algorithms` lists them by name with what each costs.
"""
