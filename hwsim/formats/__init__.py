"""Number formats, one file each: the file's record has the file's name. They are found by `hwsim.catalog`."""

from hwsim.formats._number_format import NumberFormat

__all__ = ["NumberFormat"]
