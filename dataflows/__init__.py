"""Dataflows, one file each: the file's function has the file's name. They are found by `hwsim.catalog`."""
