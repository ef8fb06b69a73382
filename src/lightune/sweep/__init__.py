"""Searches over hyper-parameters: what Hydra's sweeper plugin does, with Optuna, a process for each trial."""
