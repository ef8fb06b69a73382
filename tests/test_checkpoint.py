"""Checkpoints: what they hold, that they are whole or not there, and that they tell when they do not fit."""

import json
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch import nn

from lightune import checkpoint_card
from lightune.adapt import Adapter, Full
from lightune.checkpoint import CARD, AtomicCheckpointIO, digest, load_weights, saved_names
from lightune.errors import CheckpointError
from lightune.models import Backbone

CARD_CONTENT = {
    "version": "0.1",
    "config": {"task": {"name": "qa", "labels": ["a", "ü", "東京"]}, "optimizer": {"lr": 1e-5, "betas": [0.9, 0.999]}},
    "overrides": ["task=qa", 'run_dir="a b"'],
    "choices": {"task": "qa"},
    "metrics": {"val/f1": 0.1 + 0.2, "val/loss": 1e-17},
    "step": 12,
    "epoch": 1,
    "digest": "",
    "resume": None,
}
AUTO = "AutoModelForSequenceClassification"


def content(**card: Any) -> dict[str, Any]:
    """Return a checkpoint with tensors of several types and shapes, plain data, and a card."""
    torch.manual_seed(0)
    return {
        "state_dict": {
            "model.w": torch.randn(50, 40),
            "model.half": torch.randn(7).to(torch.bfloat16),
            "model.count": torch.tensor(3),
            "model.empty": torch.zeros(0),
        },
        "epoch": 1,
        "callbacks": {"last": {"seconds": [1.5, None]}},
        CARD: {**CARD_CONTENT, **card},
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a checkpoint that was written."""
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(content(), path)
    return path


def test_what_was_saved_is_loaded(path: Path) -> None:
    loaded = AtomicCheckpointIO().load_checkpoint(path)
    assert loaded.keys() == content().keys()
    assert loaded[CARD] == CARD_CONTENT
    assert loaded["callbacks"] == content()["callbacks"]
    for name, tensor in content()["state_dict"].items():
        assert loaded["state_dict"][name].dtype == tensor.dtype
        assert torch.equal(loaded["state_dict"][name], tensor)


def test_torch_alone_can_load_it_as_plain_data(path: Path) -> None:
    loaded = torch.load(path, weights_only=True)
    assert torch.equal(loaded["state_dict"]["model.w"], content()["state_dict"]["model.w"])
    assert CARD not in loaded


def test_the_card_is_read_without_the_tensors(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("tensors were loaded"))
    assert checkpoint_card.read(path) == CARD_CONTENT


def test_the_card_can_be_read_by_unzip_and_any_json_reader(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        (entry,) = [name for name in archive.namelist() if name.endswith(checkpoint_card.ENTRY)]
        assert json.loads(archive.read(entry)) == {**CARD_CONTENT, "format": checkpoint_card.FORMAT}


def test_a_renamed_checkpoint_is_still_one(path: Path) -> None:
    renamed = path.with_name("the best of all.ckpt")
    path.rename(renamed)
    assert AtomicCheckpointIO().load_checkpoint(renamed)[CARD] == CARD_CONTENT


def test_a_checkpoint_is_replaced_whole(path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint(content(step=13), path)
    assert checkpoint_card.read(path)["step"] == 13
    assert [entry.name for entry in path.parent.iterdir()] == ["last.ckpt"]


def fails_in_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    def save(obj: Any, file: Path) -> None:
        file.write_bytes(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", save)


def fails_in_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_card, "write", lambda path, card: (_ for _ in ()).throw(KeyboardInterrupt))


def fails_in_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError("Input/output error")))


@pytest.mark.parametrize("fails", [fails_in_tensors, fails_in_card, fails_in_flush])
def test_a_write_that_fails_leaves_the_old_checkpoint(
    fails: Callable[[pytest.MonkeyPatch], None], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fails(patch)
        with pytest.raises((CheckpointError, KeyboardInterrupt)):
            AtomicCheckpointIO().save_checkpoint(content(step=13), path)
    assert AtomicCheckpointIO().load_checkpoint(path)[CARD]["step"] == 12
    assert [entry.name for entry in path.parent.iterdir()] == ["last.ckpt"]


def test_what_a_killed_process_left_behind_is_in_nobodys_way(path: Path) -> None:
    (path.parent / ".last.ckpt.part").write_bytes(path.read_bytes()[:100])
    AtomicCheckpointIO().save_checkpoint(content(step=13), path)
    assert checkpoint_card.read(path)["step"] == 13
    assert [entry.name for entry in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999])
def test_a_truncated_checkpoint_is_refused(share: float, path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        checkpoint_card.read(path)
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        AtomicCheckpointIO().load_checkpoint(path)


def entry_places(path: Path) -> list[int]:
    """Return the place of the middle byte of each entry that has content."""
    raw, places = path.read_bytes(), []
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            # A local header: 30 bytes, the last four of which are the lengths of what lies before the content.
            name, extra = struct.unpack_from("<HH", raw, entry.header_offset + 26)
            if entry.file_size:
                places.append(entry.header_offset + 30 + name + extra + entry.file_size // 2)
    return places


def test_a_flipped_byte_is_found_in_every_entry(path: Path) -> None:
    whole, places = path.read_bytes(), entry_places(path)
    assert len(places) >= 5  # the data, three tensors, the card
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="does not match its checksum"):
            AtomicCheckpointIO().load_checkpoint(path)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path: torch.save({"state_dict": {}}, path), "was not written by lightune"),
        (lambda path: path.write_text("not a checkpoint"), "truncated or damaged"),
        (lambda path: path.write_bytes(b""), "truncated or damaged"),
        (lambda path: path.mkdir(), "there is no such checkpoint"),
        (lambda path: None, "there is no such checkpoint"),
    ],
    ids=["another program's", "text", "empty", "folder", "nothing"],
)
def test_what_is_no_checkpoint_of_ours(write: Callable[[Path], object], says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    write(path)
    with pytest.raises(CheckpointError, match=says):
        checkpoint_card.read(path)


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("checkpoints/lst.ckpt", "checkpoints/lst.ckpt: there is no such checkpoint"),
        ("checkpoints/lst.ckpt", "did you mean 'last.ckpt'?"),
        ("no/such/place/last.ckpt", "did you mean|there is: checkpoints"),
        (".", "this folder holds no checkpoints/best.ckpt"),
    ],
)
def test_a_checkpoint_that_is_not_found(named: str, says: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent.parent)
    if named == ".":
        path.unlink()
    with pytest.raises(CheckpointError, match=says):
        checkpoint_card.find(named, prefer="best", runs=Path("runs"))


class Small(nn.Module):
    """Two layers that share nothing."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.backbone = nn.Linear(width, 8)
        self.head = nn.Linear(8, 2)


@pytest.mark.parametrize("everything", [False, True])
def test_weights_go_into_a_model_of_the_same_build(everything: bool, tmp_path: Path) -> None:
    written, read = frozen_pair()
    save(written, tmp_path / "a.ckpt", everything)
    load_weights(read, tmp_path / "a.ckpt", everything)
    assert torch.equal(written.head.weight, read.head.weight)
    assert torch.equal(written.backbone.weight, read.backbone.weight)


def frozen_pair() -> tuple[Small, Small]:
    """Return two models with the same frozen backbone and different heads."""
    models = Small(), Small()
    models[1].backbone.load_state_dict(models[0].backbone.state_dict())
    for model in models:
        model.backbone.requires_grad_(False)
    return models


def save(model: nn.Module, path: Path, everything: bool) -> None:
    kept = saved_names(model, everything)
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items() if name in kept}
    card = {**CARD_CONTENT, "digest": digest(model)}
    AtomicCheckpointIO().save_checkpoint({"state_dict": tensors, CARD: card}, path)


def other_backbone(model: Small) -> nn.Module:
    with torch.no_grad():
        model.backbone.weight[3, 2] += 1
    return model


def other_width(model: Small) -> nn.Module:
    model.head = nn.Linear(8, 3)
    return model


def other_parts(model: Small) -> nn.Module:
    model.tail = nn.Linear(2, 2)
    return model


def thawed(model: Small) -> nn.Module:
    return model.requires_grad_(True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_backbone, "the frozen backbone had other weights"),
        (other_width, "does not fit the model: size mismatch for head.weight"),
        (other_parts, "does not fit the model: 2 tensors differ, e.g. tail.bias"),
        (thawed, "does not fit the model: 2 tensors differ, e.g. backbone.bias"),
    ],
)
def test_a_model_of_another_build_is_refused(change: Callable[[Small], nn.Module], says: str, tmp_path: Path) -> None:
    written, read = frozen_pair()
    save(written, tmp_path / "a.ckpt", everything=False)
    with pytest.raises(CheckpointError, match=says):
        load_weights(change(read), tmp_path / "a.ckpt", everything=False)


def test_the_digest_sees_any_frozen_tensor_and_only_those() -> None:
    one, other = frozen_pair()
    assert digest(one) == digest(other) != ""
    other.backbone.bias.data[0] += 0.5
    assert digest(one) != digest(other)
    assert digest(Small()) == ""


def test_the_digest_survives_a_trip_through_bfloat16() -> None:
    model, _ = frozen_pair()
    before = digest(model)
    assert digest(model.to(torch.bfloat16)) == before


def lora() -> Adapter:
    return Adapter(partial(LoraConfig, r=2), target_modules=["query", "value"])


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("pretrained", [True, False])
def test_a_checkpoint_holds_what_no_file_has(
    method: str, pretrained: bool, minilm: Backbone, tiny_encoder: Backbone
) -> None:
    backbone = minilm if pretrained else tiny_encoder
    config = backbone.read_config(num_labels=3)
    model, fresh = backbone.load(AUTO, config)
    adapted = (Full() if method == "full" else lora()).apply(model, fresh, "SEQ_CLS")
    names = saved_names(adapted, everything=not pretrained)
    trained = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    if method == "lora" and pretrained:
        layers = config.num_hidden_layers
        assert len([name for name in names if "lora_" in name]) == layers * 2 * 2  # query and value, A and B
        assert names == trained
        assert any("classifier" in name for name in names)
        assert not any("word_embeddings" in name for name in names)
    else:
        assert names >= set(dict(adapted.named_parameters()))
    assert trained <= names


def test_the_digest_is_of_pretrained_weights_and_not_of_a_head_as_it_was_drawn(minilm: Backbone) -> None:
    """A GPU draws other numbers than a CPU, and peft keeps the head as it was drawn."""
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model, fresh = minilm.load(AUTO, minilm.read_config(num_labels=3))
        found.append(digest(lora().apply(model, fresh, "SEQ_CLS")))
    assert found[0] == found[1] != ""
