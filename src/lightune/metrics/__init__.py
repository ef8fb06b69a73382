"""Metrics on whole examples: pure functions from predictions and targets to numbers.

One file for each kind of prediction, and nothing is imported here: ``qa`` and ``ner`` need no torch, the others do.
"""
