"""Long short-term memories: stacked layers of them over a sequence.

Hochreiter & Schmidhuber, Neural Computation 9(8), 1997, with the forget gate of Gers et al. (2000). The default is one
of the two layers of the medium model of Zaremba et al., "Recurrent neural network regularization", arXiv:1409.2329
(2014), Sec. 4.1: 650 units, 35 steps.
"""

from __future__ import annotations

from ._recurrent import Sizes, stacked

SOURCE = "Hochreiter & Schmidhuber, Neural Computation 9(8), 1997; default sizes: Zaremba et al., arXiv:1409.2329"

lstm = stacked("lstm", Sizes(hidden=650, inputs=650, steps=35), SOURCE)
