"""Train, evaluate the best checkpoint, and leave a run folder: ``python train.py task=qa peft=lora``."""

from typing import Any

import hydra
from omegaconf import DictConfig

from lightune import cli


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> Any:
    """Return what a study optimises: by default the best checkpoint's value of the task's monitored metric."""
    return cli.run("train", cfg)


if __name__ == "__main__":
    cli.guard(main)
