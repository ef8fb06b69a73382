"""Metrics on whole examples: pure functions from predictions and targets to numbers between 0 and 1.

Each task's file stands alone and nothing is imported here: ``qa`` and ``ner`` need no torch, ``classification`` does.
"""
