"""Suites ``smoke`` and ``reference``: every strategy on generated scenes, with the reference model."""
