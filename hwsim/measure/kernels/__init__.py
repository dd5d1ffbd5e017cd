"""The operators in numba, fp32 and int8: products on register tiles, and everything else on its elements.

Images are stored (N, rows, columns, channels), so that a window's elements are runs and every loop over channels is a
vector's. Kernels are cached on disk by processor; a cached kernel calls only what is in its own file.
"""
