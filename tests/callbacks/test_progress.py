"""The progress bar shows the loss, and no version of a logger."""

from pathlib import Path

import pytest
from lightning import Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from lightune.callbacks import ProgressBar


class Logs(BoringModel):
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.step(batch)
        self.log("train/loss", loss, prog_bar=True)
        return loss


@pytest.mark.parametrize(("bar", "version"), [(ProgressBar, False), (TQDMProgressBar, True)])
def test_a_loggers_version_is_left_out(
    bar: type[TQDMProgressBar], version: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_train_batches=3,
        limit_val_batches=0,
        logger=CSVLogger(tmp_path),
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        callbacks=[bar(refresh_rate=1)],
    ).fit(Logs())
    shown = "".join(capsys.readouterr())
    assert "3/3" in shown
    assert "train/loss=" in shown
    assert ("v_num" in shown) is version


def test_the_bar_is_drawn_every_so_many_batches() -> None:
    assert ProgressBar().refresh_rate == 10
    assert ProgressBar(refresh_rate=3).refresh_rate == 3
