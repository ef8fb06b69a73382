"""What a checkpoint holds, and how it is written and read without ever being half there.

A checkpoint is Lightning's dictionary of tensors and plain data, loadable with ``weights_only=True``, plus the card
that `checkpoint_card` describes. Its ``state_dict`` holds what cannot be had again elsewhere: every trained
parameter, whatever adapters brought, pretrained weights that a method changed at its start, and all of the model where
its weights did not come from files. Frozen pretrained weights are named by the configuration and recognised by a
digest.
"""

import hashlib
import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import Tensor, nn

from lightune import checkpoint_card, overrides
from lightune.errors import CheckpointError, loader_process_died
from lightune.models.adapted import adapter_tensors, changed_weights
from lightune.models.quantization import quantized_parameters
from lightune.parallel.tensors import in_parts_like

CARD = "lightune"
_SAMPLES = 16  # values of each frozen tensor that enter the digest: enough to tell models apart, quick for large ones


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint under another name, flushes it to the disk, and renames it: it is whole or not there."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint with its card.

        Args:
            checkpoint: Lightning's dictionary; its entry ``lightune`` becomes the card.
            path: Final name of the file.
            storage_options: Not supported.
        """
        assert storage_options is None
        final = Path(path)
        final.parent.mkdir(parents=True, exist_ok=True)
        unfinished = final.with_name(f".{final.name}.part")
        try:
            torch.save({key: value for key, value in checkpoint.items() if key != CARD}, unfinished)
            checkpoint_card.write(unfinished, checkpoint[CARD])
            _flush(unfinished)
            unfinished.replace(final)
            _flush(final.parent)
        except (OSError, RuntimeError) as error:  # RuntimeError: of torch's writer
            if loader_process_died(error):
                raise
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{final}: it could not be written: {reason}", _go_on_from(final)) from error
        finally:
            unfinished.unlink(missing_ok=True)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Return the dictionary that was saved, on the CPU unless told otherwise.

        Raises:
            CheckpointError: The file is missing, damaged, or not lightune's.
        """
        card = checkpoint_card.read(Path(path))
        return {**_content(path, map_location=map_location or "cpu"), CARD: card}


def _content(path: str | Path, **how: Any) -> dict[str, Any]:
    try:
        content: dict[str, Any] = torch.load(path, weights_only=True, **how)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: it holds more than tensors and plain data, and was not loaded", "use one that lightune wrote"
        ) from error
    return content


def _flush(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _go_on_from(path: Path) -> str:
    run = checkpoint_card.home_of(path)
    free = shutil.disk_usage(path.parent).free / 2**20
    return f"{free:,.0f} MiB are free there. What was written before is whole: type {overrides.word('resume', run)}"


def saved_names(model: nn.Module, everything: bool) -> set[str]:
    """Return the names of the tensors that a checkpoint has to hold.

    Args:
        model: The adapted model.
        everything: Whether frozen weights are to be held too, because no file has them.
    """
    if everything:
        return set(model.state_dict())
    trained = {name for name, parameter in model.named_parameters(remove_duplicate=False) if parameter.requires_grad}
    return trained | adapter_tensors(model) | changed_weights(model)


def digest(model: nn.Module) -> str:
    """Return a short hash of the pretrained parameters that stay as they were; "" where there is none.

    A few values of each are looked at.
    """
    sha = hashlib.sha256()
    saved = saved_names(model, everything=False)
    # peft keeps a head as it was drawn beside the one that is trained: nobody's pretrained weights.
    drawn = ".original_module."
    frozen = [(name, p) for name, p in sorted(model.named_parameters()) if name not in saved and drawn not in name]
    # Quantised weights are told by their names alone: processors differ in how they round.
    quantized = quantized_parameters(model)
    for name, parameter in frozen:
        sha.update(name.encode())
        if name in quantized:
            continue
        flat = parameter.detach().flatten()
        picked = flat[:: max(flat.numel() // _SAMPLES, 1)][: _SAMPLES + 1]
        # Rounded, because a weight may have gone through bfloat16 on its way; by the CPU, whichever processor holds it.
        sha.update(picked.cpu().bfloat16().float().numpy().tobytes())
    return sha.hexdigest()[:16] if frozen else ""


def load_weights(model: nn.Module, path: Path, everything: bool, frozen: str | None = None) -> None:
    """Put a checkpoint's tensors into a model that was built from the same configuration.

    Args:
        model: The adapted model.
        path: A checkpoint.
        everything: As in `saved_names`.
        frozen: The model's digest, where it is known.

    Raises:
        CheckpointError: Missing or damaged; of another model; or its frozen backbone had other weights.
    """
    card = checkpoint_card.read(path)
    # Mapped into memory, so that the optimiser's state, twice the size of the weights, is never read.
    content = _content(path, map_location="cpu", mmap=True)
    prefix = "model."
    tensors: Mapping[str, Tensor] = {
        name.removeprefix(prefix): tensor for name, tensor in content["state_dict"].items() if name.startswith(prefix)
    }
    _compare_names(path, set(tensors), saved_names(model, everything))
    if not everything and card.get("digest", "") != (digest(model) if frozen is None else frozen):
        raise CheckpointError(
            f"{path}: the frozen backbone had other weights when this checkpoint was written",
            "install the same model package or revision as the run's environment.json says",
        )
    there = model.state_dict()
    try:
        model.load_state_dict({name: in_parts_like(t, there[name]) for name, t in tensors.items()}, strict=False)
    except RuntimeError as error:  # torch's word for tensors of another shape
        raise CheckpointError(
            f"{path}: the checkpoint does not fit the model: {str(error).splitlines()[1].strip()}",
            "use the configuration it was trained with",
        ) from error


def write_weights(source: Path, target: Path) -> None:
    """Write a checkpoint from which a run can be evaluated and not resumed: its weights and its card."""
    weights = _content(source, map_location="cpu", mmap=True)["state_dict"]
    AtomicCheckpointIO().save_checkpoint({"state_dict": weights, CARD: checkpoint_card.read(source)}, target)


def place_in_data(path: Path) -> Mapping[str, Any]:
    """Return what a checkpoint says of the place in the training data; nothing is read but that."""
    place: Mapping[str, Any] = _content(path, map_location="cpu", mmap=True).get("DataModule", {})
    return place


def _compare_names(path: Path, there: set[str], wanted: set[str]) -> None:
    if there != wanted:
        odd = sorted(there ^ wanted)
        raise CheckpointError(
            f"{path}: the checkpoint does not fit the model: {len(odd)} tensors differ, e.g. {odd[0]}",
            "use the model, task and peft method that it was trained with",
        )
