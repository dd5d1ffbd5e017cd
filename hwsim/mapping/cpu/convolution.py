"""Names of the algorithms that a CPU can be told to convolve by; `hwsim.functional` has their records."""

AUTO, DIRECT = "auto", "direct"

ALGORITHMS = (AUTO, DIRECT, "im2col", "winograd_f2", "winograd_f4", "fft")
"""`AUTO` is what the library does: direct, but for integers whose channels do not go in fours."""
