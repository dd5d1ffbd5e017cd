"""Times of GPU kernels that others measured and published, as their files have them.

| file                  | what                                                     | from                       |
|-----------------------|----------------------------------------------------------|----------------------------|
| `gpu_gemm.csv`        | products on tensor cores of H100 and A100                | ai-dynamo/aiconfigurator   |
| `gpu_attention.csv`   | attention on H100, of a sequence and of one query        | ai-dynamo/aiconfigurator   |
| `gpu_gemm_fp32.csv`   | products in fp32; N and K are swapped, as its grids show | sitar-lab/NeuSight         |
| `gpu_vector_fp32.csv` | elementwise operators, softmax, layer norm in fp32       | sitar-lab/NeuSight         |
| `gpu_conv_fp32.csv`   | convolutions of 3x3 in fp32, with the kernels that ran   | sitar-lab/NeuSight         |
| `deepbench.csv`       | products, convolutions, recurrent layers                 | baidu-research/DeepBench   |

Every row has its `source`. Rows and columns that nothing reads are left out; values are those of the source.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


@cache
def kernels(name: str, folder: Path = FOLDER) -> tuple[dict[str, str], ...]:
    """Return the rows of a table of `folder`, by default that which is shipped, every value as the text there."""
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file))
