"""What a frozen backbone makes of an example, computed once and used in every epoch."""

import hashlib
import inspect
import warnings
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.progress import track
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from lightune.parallel.tensors import is_in_parts
from lightune.ranks import data_rank

_GIB = 2**30
_PROGRESS_FROM = 50  # batches
_BY_TOKEN = ("input_ids", "attention_mask", "token_type_ids")  # rows x tokens


class FrozenFeatures:
    """The forward pass of a frozen backbone, with a memory for the last hidden states of rows.

    The backbone works as in an evaluation, without dropout. States are kept in main memory, without padding, by the
    tokens of their row, so that batches may be drawn and padded in any way. The pooler on top, which is trained, works
    anew each time. States at padding are zeros.

    Args:
        backbone: The model under the head.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._backbone = backbone
        self._forward = backbone.forward
        self._parameters = inspect.signature(backbone.forward)
        self._pooler: nn.Module | None = getattr(backbone, "pooler", None)
        self._kept: dict[bytes, Tensor] = {}
        self._output: type = BaseModelOutputWithPooling  # as the backbone's own, once that is known

    @torch.compiler.disable
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the backbone would."""
        given = self._parameters.bind(*args, **kwargs).arguments
        tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
        if not self._kept or not {"input_ids"} <= tensors.keys() <= set(_BY_TOKEN):
            return self._evaluated(*args, **kwargs)
        return self._pooled(self._states(tensors))

    def remember(self, tensors: Mapping[str, Tensor], room: float) -> float:
        """Keep the states of rows.

        Args:
            tensors: What the backbone is given, rows x tokens.
            room: Bytes that are free. A batch that does not fit is not kept.

        Returns:
            Bytes that are free afterwards; 0 from where something did not fit, or the backbone's outputs are more than
            states and what a pooler makes of them.
        """
        real = _real(tensors)
        keys = _keys(tensors, real)
        found = self._computed(tensors)
        self._output = type(found)
        new = {
            key: states[mask].cpu()
            for key, states, mask in zip(keys, found.last_hidden_state, real, strict=True)
            if key not in self._kept
        }
        room -= sum(states.nbytes for states in new.values())
        if room < 0 or not self._gives_no_more(found):
            return 0.0
        self._kept |= new
        return room

    def __len__(self) -> int:
        return len(self._kept)

    def _evaluated(self, *args: Any, **kwargs: Any) -> Any:
        training = self._backbone.training
        self._backbone.eval()
        try:
            return self._forward(*args, **kwargs)
        finally:
            self._backbone.train(training)

    @torch.no_grad()
    def _computed(self, tensors: Mapping[str, Tensor]) -> Any:
        return self._evaluated(**tensors)

    def _pooled(self, states: Tensor) -> Any:
        pooled = {"pooler_output": self._pooler(states)} if self._pooler else {}
        return self._output(last_hidden_state=states, **pooled)

    @torch.no_grad()
    def _gives_no_more(self, found: Any) -> bool:
        theirs = getattr(found, "pooler_output", None)
        if theirs is None or self._pooler is None:
            return theirs is None
        return torch.allclose(theirs, self._pooler(found.last_hidden_state))

    def _states(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the last hidden states: rows x tokens x width."""
        real = _real(tensors)
        keys = _keys(tensors, real)
        new = [row for row, key in enumerate(keys) if key not in self._kept]
        found = {}
        if new:
            states = self._computed({name: tensor[new] for name, tensor in tensors.items()}).last_hidden_state
            found = {keys[row]: one[real[row]] for row, one in zip(new, states, strict=True)}
        rows = torch.cat([found[key] if key in found else self._kept[key].to(real.device) for key in keys])
        padded = rows.new_zeros((*real.shape, rows.shape[-1]))
        padded[real] = rows
        return padded


class FeatureMemory(Callback):
    """Computes what a frozen backbone makes of the training and validation rows before training begins.

    Every process does so in the same order, so that a resumed run has the same features to the bit. A run of one epoch
    has nothing to remember, and a stream's rows are not known.

    Args:
        gib: Memory for features, in GiB; rows beyond are computed in every epoch.
    """

    def __init__(self, gib: float) -> None:
        self.gib = gib

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        steps_of_an_epoch = data.micro_batches(data_rank().size) / trainer.accumulate_grad_batches
        once = data.stream is not None or trainer.estimated_stepping_batches <= steps_of_an_epoch
        model: Any = pl_module.model
        features = _features_of(model)
        # Where a process has a part of the backbone, all would have to compute the same number of batches.
        if features is not None and not once and not is_in_parts(model):
            with trainer.precision_plugin.forward_context():
                self._fill(features, _batches(data), pl_module.device)

    def _fill(self, features: FrozenFeatures, batches: Iterable[Mapping[str, Tensor]], device: torch.device) -> None:
        room = self.gib * _GIB
        for batch in batches:
            tensors = {name: batch[name].to(device).flatten(0, -2) for name in _BY_TOKEN if name in batch}
            room = features.remember(tensors, room)
            if not room:
                warnings.warn(
                    f"peft.features_gib={self.gib} has room for the features of {len(features):,} rows; those of the "
                    "others are computed in every epoch",
                    stacklevel=2,
                )
                return


def freeze(model: PreTrainedModel) -> None:
    """Let the backbone under a head work as in an evaluation, and be ready to remember.

    Nothing is done where the model is all backbone, or something below its pooler is trained.

    Args:
        model: With what is trained marked so.
    """
    backbone = model.base_model
    pooler = getattr(backbone, "pooler", None)
    above = set(pooler.parameters()) if pooler else set()
    if backbone is not model and not any(p.requires_grad for p in backbone.parameters() if p not in above):
        backbone.forward = FrozenFeatures(backbone)


def _features_of(model: Any) -> FrozenFeatures | None:
    """Return a model's features; None where its backbone takes more than a row's tokens."""
    forward = model.base_model.forward
    return forward if isinstance(forward, FrozenFeatures) and not model.config.is_encoder_decoder else None


def _batches(data: Any) -> Iterator[Mapping[str, Tensor]]:
    loaders = [data.evaluation_dataloader(split, everywhere=True) for split in ("train", "val")]
    total = sum(map(len, loaders))
    return iter(track(chain(*loaders), "Features", total=total, transient=True, disable=total < _PROGRESS_FROM))


def _real(tensors: Mapping[str, Tensor]) -> Tensor:
    ids = tensors["input_ids"]
    return tensors.get("attention_mask", torch.ones_like(ids)).bool()


def _keys(tensors: Mapping[str, Tensor], real: Tensor) -> list[bytes]:
    """Return what tells rows apart, whatever they are padded to."""
    columns = [tensors[name].cpu() for name in ("input_ids", "token_type_ids") if name in tensors]
    return [
        hashlib.blake2b(b"|".join(c[row][mask].numpy().tobytes() for c in columns), digest_size=16).digest()
        for row, mask in enumerate(real.cpu())
    ]
