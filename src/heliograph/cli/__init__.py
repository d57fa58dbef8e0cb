"""The command line: outermost; every room is imported by the command that needs it, when it runs."""
