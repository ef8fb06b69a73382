"""The report of runs: their folders are read, compared, and shown on one page. Needs no torch."""
