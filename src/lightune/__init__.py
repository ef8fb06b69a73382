"""lightune: fine-tuning language models with PyTorch Lightning and Hydra.

Importing this package imports nothing heavy; torch comes only once a configuration was composed and checked.
"""

__version__ = "0.1.0"
