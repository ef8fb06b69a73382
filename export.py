"""Write a checkpoint as a Hugging Face model: ``python export.py checkpoint=runs/qa/…/checkpoints/best.ckpt``."""

import hydra
from omegaconf import DictConfig

from lightune import cli


@hydra.main(version_base="1.3", config_path="conf", config_name="export")
def main(cfg: DictConfig) -> float | None:
    """Return nothing."""
    return cli.run("export", cfg, room="export")


if __name__ == "__main__":
    cli.guard(main, must_have="checkpoint")
