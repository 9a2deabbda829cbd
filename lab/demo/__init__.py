"""The story that `make demo` tells, what it measures, and the report it leaves."""
