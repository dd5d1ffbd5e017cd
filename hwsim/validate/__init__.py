"""Every published table and every recorded measurement beside what the product says of it, and the score of each.

`records` gives a row per compared value, `scores` mean and worst errors by machine and metric; `markdown` and
`terminal` write them for people, `output` into a folder.
"""

from .record import MEASURED, PUBLISHED, TOOL, Record
from .rows import records
from .scores import Score, require_within, scores

__all__ = ["MEASURED", "PUBLISHED", "TOOL", "Record", "Score", "records", "require_within", "scores"]
