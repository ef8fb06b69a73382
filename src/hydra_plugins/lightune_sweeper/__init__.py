"""Hydra's way to lightune's sweeper."""
