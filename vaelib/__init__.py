"""Variational bounds that can be checked line by line: the code behind the book."""

__version__ = "0.1.0"
