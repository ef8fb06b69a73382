"""Evaluate a checkpoint, which is all it needs: ``python eval.py checkpoint=runs/qa/…/checkpoints/best.ckpt``."""

import hydra
from omegaconf import DictConfig

from lightune import cli


@hydra.main(version_base="1.3", config_path="conf", config_name="eval")
def main(cfg: DictConfig) -> float | None:
    """Return the checkpoint's value of the task's monitored metric on the chosen split."""
    return cli.run("evaluate", cfg)


if __name__ == "__main__":
    cli.guard(main, must_have="checkpoint")
