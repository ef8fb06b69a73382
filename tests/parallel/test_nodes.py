"""Two machines, each played by a torchrun of its own on the loopback, take the steps of one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import command, running

RUN = ("task=classification", *running.BERT_WITHOUT_DROPOUT, *running.PLAIN, running.ADAPTER_WITHOUT_DROPOUT)
ENVIRONMENT = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
TRAIN = str(command.ROOT / "train.py")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_two_nodes_take_the_steps_of_one(tmp_path: Path) -> None:
    where = ["--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", str(_free_port())]
    options = ["data.batch_size=4", "trainer=ddp_cpu", "trainer.num_nodes=2", "trainer.devices=1"]
    typed = [*running.SMALL, *RUN, *options, f"run_dir={tmp_path / 'two'}"]
    nodes = [
        subprocess.Popen(
            [*TORCHRUN, *where, "--node-rank", str(node), TRAIN, *typed],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for node in range(2)
    ]
    said = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert [text.count("Test, best checkpoint") for text in said] == [1, 0]  # one process speaks
    alone = running.train(tmp_path / "alone", *RUN, "data.batch_size=8")
    assert running.losses(tmp_path / "two") == pytest.approx(running.losses(alone), abs=1e-5)


def test_processes_from_outside_need_one_folder(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [*TORCHRUN, "--standalone", "--nproc-per-node", "2", TRAIN, "model=tiny", "trainer=ddp_cpu"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert outcome.returncode != 0
    assert "run_dir: processes that torchrun or srun started" in outcome.stderr
    assert not [*tmp_path.iterdir()]
