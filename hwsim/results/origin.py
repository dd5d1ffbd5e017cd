"""What a figure is drawn from, as a digest in its metadata, so that it is known of which rows and code it is."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

KEY = "Source"
"""The key of a picture's metadata; PNG and SVG both have it."""


def origin(report: str, frame: pd.DataFrame) -> str:
    """Return what a figure depends on as a digest: rows, published values, the code of reports, hwsim, matplotlib."""
    import matplotlib
    import pandas as pd

    from hwsim import __version__, catalog
    from hwsim.published import comparisons

    module = sys.modules[catalog.report(report).__module__]
    file = Path(str(module.__file__))
    code = sorted(file.parent.glob("*.py")) if module.__package__ else [file]
    whole = hashlib.sha256(f"{report} {__version__} {matplotlib.__version__} {list(frame)}".encode())
    whole.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    for path in (*code, *comparisons().values()):
        whole.update(path.read_bytes())
    return f"hwsim rows {whole.hexdigest()}"
