"""The real values of operators: operands in a format, and the references that engines must equal."""
