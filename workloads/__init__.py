"""Networks, one family per file: `NAME.py` defines `NAME(...) -> Network`, found by listing this folder."""
