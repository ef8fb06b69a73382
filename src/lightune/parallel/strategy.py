"""Each process holds a part of the weights, gradients and optimiser states: FSDP2, tensor parallelism, or both."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from lightning import Trainer
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from lightune import ranks
from lightune.checkpoint import saved_names
from lightune.errors import ConfigError
from lightune.parallel.layers import shard, split
from lightune.parallel.skeleton import filled, without_tensors
from lightune.parallel.tensors import in_parts_like, is_in_parts, whole


class Sharded(ModelParallelStrategy):
    """Lightning's model parallelism, with checkpoints as those of any other run.

    Each file holds whole tensors: an evaluation needs one process, and a run may be resumed with another number of
    them.

    Args:
        tensor_parallel_size: Over how many processes each matrix is split; ``auto``: all of this machine's. The layers
            are shared out over what that leaves of the processes (FSDP2).
        offload: Whether weights and optimiser states lie in main memory, and on the GPU only what is computed with.
        process_group_backend: Of torch.distributed; None: as fits the device.
        timeout: How long a process waits for the others before the job ends.
    """

    needs_equal_batches = True  # all ranks make each forward pass together

    def __init__(
        self,
        tensor_parallel_size: Literal["auto"] | int = 1,
        offload: bool = False,
        process_group_backend: str | None = None,
        timeout: timedelta = timedelta(minutes=30),
    ) -> None:
        super().__init__(
            tensor_parallel_size=tensor_parallel_size,
            save_distributed_checkpoint=False,
            process_group_backend=process_group_backend,
            timeout=timeout,
        )
        self.offload = offload
        self._skeleton: nn.Module | None = None  # the model without its tensors

    @property
    def tensor_size(self) -> int:
        """Processes that together make one model, each with a part of every matrix."""
        return self.num_processes if self._tensor_parallel_size == "auto" else self._tensor_parallel_size

    @property
    def data_size(self) -> int:
        """Processes, or groups of them, that see different data.

        Raises:
            ConfigError: The processes cannot be grouped like that.
        """
        processes = self.num_processes * self.num_nodes
        if processes % self.tensor_size:
            raise ConfigError(
                f"trainer.strategy.tensor_parallel_size={self.tensor_size} does not divide the {processes} processes",
                "type a number that does, or another trainer.devices",
            )
        return processes // self.tensor_size

    def setup_environment(self) -> None:
        """Start the process groups."""
        self._data_parallel_size, self._tensor_parallel_size = self.data_size, self.tensor_size
        super().setup_environment()
        ranks.share_data_over(self.device_mesh["data_parallel"])

    def parallelize(self, model: nn.Module) -> None:
        """Share a model out, in place; a model that is, stays as it is."""
        if is_in_parts(model):
            return
        self._skeleton = without_tensors(model)
        if self.tensor_size > 1:
            split(model, self.device_mesh["tensor_parallel"])
        if self.data_size > 1 or self.tensor_size == 1:
            shard(model, self.device_mesh["data_parallel"], self.offload)

    def teardown(self) -> None:
        """Let what comes next in this process share data out as it likes."""
        super().teardown()
        ranks.share_data_over(None)

    def model_to_device(self) -> None:
        """Move what is not shared out; what is offloaded stays where it is."""
        if not self.offload:
            super().model_to_device()

    def setup_optimizers(self, trainer: Trainer) -> None:
        """Make the optimisers."""
        super().setup_optimizers(trainer)
        self._let_them_step_one_by_one()

    def _let_them_step_one_by_one(self) -> None:
        """Have optimisers take tensors one by one: those that do it with many at once refuse shared and whole ones."""
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            if len({type(parameter.data) for parameter in group["params"]}) > 1:
                group.update({way: False for way in ("fused", "foreach") if way in group})

    def whole_model(self, model: nn.Module) -> nn.Module | None:
        """Return the model as it was before it was shared out, on the first rank; every rank has to call it."""
        if self._skeleton is None:
            return model
        tensors = whole(dict(model.named_parameters()), kept=self.is_global_zero)
        return filled(self._skeleton, tensors) if self.is_global_zero else None

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold, whole, on the first rank."""
        module: Any = self.lightning_module
        kept = saved_names(module.model, module.everything)
        state = {name: t for name, t in module.state_dict().items() if name.removeprefix("model.") in kept}
        tensors = whole(state, kept=self.is_global_zero)
        return tensors if self.is_global_zero else {}

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the optimiser's state, whole, on the first rank."""
        inner = optimizer._optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        state: dict[str, Any] = whole(inner.state_dict(), kept=self.is_global_zero)
        return state

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Have Lightning restore optimisers as with one process."""
        return True

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Return the content of a checkpoint, whole, to every rank."""
        return self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take each tensor's part."""
        module: Any = self.lightning_module
        there = module.state_dict()
        tensors = {name: in_parts_like(tensor, there[name]) for name, tensor in checkpoint["state_dict"].items()}
        module.load_state_dict(tensors, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take each tensor's part."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            parts = {
                number: {key: _part_of(value, parameters[number]) for key, value in values.items()}
                for number, values in state["state"].items()
            }
            optimizer.load_state_dict({**state, "state": parts})
        self._let_them_step_one_by_one()


def _part_of(value: Any, parameter: Tensor) -> Any:
    return in_parts_like(value, parameter) if isinstance(value, Tensor) else value
