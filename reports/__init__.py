"""Reports, one file per table or figure: the file's function has the file's name. They are found by `hwsim.catalog`."""
