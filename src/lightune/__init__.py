"""lightune: fine-tuning language models with PyTorch Lightning and Hydra.

Importing this package imports nothing heavy; torch comes only once a configuration was composed and checked.
"""

import logging

# These tell at their import of kernels for GPUs that are not here. All processes, forked ones too, come by here first.
for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).setLevel(logging.ERROR)

__version__ = "0.1.0"
