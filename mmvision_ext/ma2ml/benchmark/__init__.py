"""Comparison of search methods on complete tables of results."""
