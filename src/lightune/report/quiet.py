"""What libraries say that is right but of no use to the reader of a run's output."""

import logging
import warnings

import transformers


def quiet() -> None:
    """Silence it."""
    transformers.logging.set_verbosity_error()  # its report on a fresh head; lightune looks at the keys itself
    transformers.logging.disable_progress_bar()
    for name in ("lightning.pytorch", "lightning.fabric", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its advice is about how torch reduces over two dimensions of processes.
    logging.getLogger("torch.distributed.tensor._redistribute").setLevel(logging.ERROR)
    # Says which rank of a distributed run has died.
    logging.getLogger("lightning.fabric.strategies.launchers.subprocess_script").setLevel(logging.INFO)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
        ".*Trying to infer the `batch_size`.*",
        ".*lr_scheduler.step\\(\\)` before.*",
        ".*is_gradient_checkpointing.*",
        ".*broadcast_buffers.*",
        ".*when logging on epoch level in distributed setting.*",
        ".*smaller than the logging interval.*",
    ):
        warnings.filterwarnings("ignore", message=message)
