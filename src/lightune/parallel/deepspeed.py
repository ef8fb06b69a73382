"""Weights, gradients and optimiser states shared out by DeepSpeed (ZeRO, Rajbhandari et al. 2020)."""

import copy
from argparse import Namespace
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy
from lightning.pytorch.utilities.types import LRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from lightune.checkpoint import saved_names
from lightune.parallel.skeleton import filled, without_tensors
from lightune.parallel.tensors import whole


class DeepSpeed(DeepSpeedStrategy):
    """Lightning's DeepSpeed, with checkpoints as those of any other run, and on CPUs too.

    DeepSpeed flattens what is trained, one vector for each group of parameters, and gives each process a part. Each
    file holds whole tensors nevertheless: an evaluation needs one process, and a run may be resumed with another
    strategy and another number of processes.

    Args:
        stage: What is shared out: 1 optimiser states, 2 gradients too, 3 weights too.
        offload: Whether weights and optimiser states lie in main memory, and on the GPU only what is computed with;
            stage 3 only.
        process_group_backend: Of torch.distributed; None: as fits the device.
        timeout: How long a process waits for the others before the job ends.
    """

    def __init__(
        self,
        stage: Literal[1, 2, 3] = 2,
        offload: bool = False,
        process_group_backend: str | None = None,
        timeout: timedelta = timedelta(minutes=30),
    ) -> None:
        super().__init__(
            stage=stage,
            offload_optimizer=offload,
            offload_parameters=offload,
            logging_batch_size_per_gpu=1,  # of no consequence, and Lightning would look into the loader for it
            process_group_backend=process_group_backend,
            timeout=timeout,
        )
        assert isinstance(self.config, dict)
        # Its own optimiser for main memory has to be compiled, and is no other than torch's.
        self.config["zero_force_ds_cpu_optimizer"] = False
        self.needs_equal_batches = stage == 3  # all ranks make each forward pass together
        self._skeleton: nn.Module | None = None  # the model without its tensors
        self._groups: list[list[nn.Parameter]] = []  # the optimiser's, before they were flattened

    def setup_environment(self) -> None:
        """Start the process group, on CPUs too, which Lightning refuses."""
        super(DeepSpeedStrategy, self).setup_environment()

    def setup_distributed(self) -> None:
        """Start the process group; on CPUs gloo, where DeepSpeed would compile something of its own first."""
        if isinstance(self.accelerator, CUDAAccelerator):
            super().setup_distributed()
            return
        from deepspeed.ops import __compatible_ops__

        __compatible_ops__["deepspeed_shm_comm"] = False
        self.set_world_ranks()
        self._init_deepspeed_distributed()

    def parallelize(self, model: nn.Module) -> None:
        """Remember how a model was before it is shared out."""
        self._skeleton = without_tensors(model) if self.zero_stage_3 else None
        for module in model.modules() if self.zero_stage_3 else ():
            if hasattr(module, "generate"):
                setattr(module, "_is_fsdp_managed_module", True)  # noqa: B010  # so ranks generate equally many tokens

    def _format_batch_size_and_grad_accum_config(self) -> None:
        super()._format_batch_size_and_grad_accum_config()
        assert isinstance(self.config, dict)
        self.config["gradient_accumulation_steps"] = 1  # the loop counts micro-batches, `backward` says which is last

    @property
    def handles_gradient_accumulation(self) -> bool:
        """Leave it to Lightning, as with any other strategy: the last step of an epoch may have fewer micro-batches."""
        return False

    def init_deepspeed(self) -> None:
        """Share the model out; for an evaluation only where weights are to be shared out as well."""
        module: Any = self.lightning_module
        if module.trainer.training:
            self._initialize_deepspeed_train(module)
        elif self.zero_stage_3:
            self.model, _ = self._setup_model_and_optimizer(module, None)
        else:
            self.model_to_device()

    def _setup_model_and_optimizer(
        self, model: nn.Module, optimizer: Optimizer | None, lr_scheduler: Any = None
    ) -> tuple[Any, Any]:
        import deepspeed

        engine, zero, _, _ = deepspeed.initialize(
            args=Namespace(device_rank=self.root_device.index or 0),  # Lightning's own is for GPUs, which have numbers
            config=self.config,
            model=model,
            model_parameters=[parameter for parameter in model.parameters() if parameter.requires_grad],
            optimizer=optimizer,
            lr_scheduler=lr_scheduler,
            dist_init_required=False,
        )
        return engine, zero

    def _init_optimizers(self) -> tuple[Optimizer, LRSchedulerConfig | None]:
        optimizer, scheduler = super()._init_optimizers()
        self._groups = [list(group["params"]) for group in optimizer.param_groups]
        return optimizer, scheduler

    @contextmanager
    def block_backward_sync(self) -> Generator[None, None, None]:
        """Do nothing where micro-batches are added up: `backward` says that there are more to come."""
        yield

    def backward(self, closure_loss: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Add up gradients, and share them out after a step's last micro-batch."""
        assert self.lightning_module is not None
        accumulates = self.lightning_module.trainer.fit_loop._should_accumulate()
        self.deepspeed_engine.set_gradient_accumulation_boundary(not accumulates)
        self.multiply_gradients(1.0)
        return super().backward(closure_loss, *args, **kwargs)

    def multiply_gradients(self, factor: float) -> None:
        """Have gradients multiplied before they are clipped: DeepSpeed divides them by its loss scale."""
        self.deepspeed_engine.optimizer.override_loss_scale(1 / factor)

    def own_gradients(self) -> list[Tensor]:
        """Return this process's part of the gradients that the optimiser is about to take."""
        zero: Any = self.deepspeed_engine.optimizer
        flat = [part.grad for part in self._flat_parts() if part.grad is not None]  # where they are offloaded
        return flat or [gradient for group in zero.averaged_gradients.values() for gradient in group]

    def _flat_parts(self) -> list[Tensor]:
        """Return this process's part of each group of parameters, as the optimiser sees it."""
        zero: Any = self.deepspeed_engine.optimizer
        parts: list[Tensor] = (
            zero.fp32_partitioned_groups_flat if self.zero_stage_3 else zero.single_partition_of_fp32_groups
        )
        return parts

    def on_train_end(self) -> None:
        """Have the model whole again."""
        self._release()

    def on_test_end(self) -> None:
        """Have the model whole again."""
        self._release()

    def _release(self) -> None:
        """Take the model from DeepSpeed, whole, in main memory where weights were shared out."""
        module: Any = self.lightning_module
        if self.model is module:
            return
        if self._skeleton is not None:
            module.model = filled(self._skeleton, whole(dict(module.model.named_parameters())))
        self.deepspeed_engine.destroy()
        self.model, self.optimizers = module, []

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold, whole, on the first rank."""
        module: Any = self.lightning_module
        kept = saved_names(module.model, module.everything)
        state = module.state_dict(keep_vars=True)
        tensors = whole(
            {name: tensor for name, tensor in state.items() if name.removeprefix("model.") in kept},
            kept=self.is_global_zero,
        )
        return {name: tensor.detach() for name, tensor in tensors.items()} if self.is_global_zero else {}

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the optimiser's state as torch has it, whole, on the first rank; every rank has to call it."""
        inner: Any = self.deepspeed_engine.optimizer.optimizer
        tensors, numbers = _kinds(next(iter(inner.state.values()), {}))
        self._link_states(inner)
        states = [
            # A copy for each: torch counts the steps of a parameter in place.
            {**copy.deepcopy(numbers), **{key: self._whole_state(parameter, key) for key in tensors}}
            for group in self._groups
            for parameter in group
        ]
        return {"state": dict(enumerate(states)) if tensors or numbers else {}, "param_groups": self._described(inner)}

    def _link_states(self, inner: Optimizer) -> None:
        """Let DeepSpeed find each parameter's states: by itself it looks when only the first group has stepped."""
        from deepspeed.utils import lazy_init_hp_params_optimizer_state

        for parameters, part in zip(self._groups, self._flat_parts(), strict=True):
            if not self.zero_stage_3:
                lazy_init_hp_params_optimizer_state(parameters, part, inner.state)

    def _described(self, inner: Optimizer) -> list[dict[str, Any]]:
        """Return the settings of each group, with the numbers of its parameters."""
        found, first = [], 0
        for group, parameters in zip(inner.param_groups, self._groups, strict=True):
            numbers = list(range(first, first := first + len(parameters)))
            found.append({**group, "params": numbers})
        return found

    def _whole_state(self, parameter: nn.Parameter, key: str) -> Tensor | None:
        from deepspeed.utils import safe_get_full_optimizer_state

        tensor = safe_get_full_optimizer_state(parameter, key)
        return tensor.cpu() if self.is_global_zero else None

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Have Lightning restore optimisers as with one process."""
        return True

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint, on the first rank."""
        super(DDPStrategy, self).save_checkpoint(checkpoint, filepath, storage_options)

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Return the content of a checkpoint, whole, to every rank."""
        return self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Do nothing: a run that is resumed puts weights into the model before it is shared out."""

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take each state's part."""
        inner: Any = self.deepspeed_engine.optimizer.optimizer
        (saved,) = checkpoint["optimizer_states"]
        for group, settings in zip(inner.param_groups, saved["param_groups"], strict=True):
            group.update({key: value for key, value in settings.items() if key != "params"})
        if saved["state"]:
            self._put_states(inner, saved["state"])

    def _put_states(self, inner: Optimizer, states: Mapping[int, Mapping[str, Any]]) -> None:
        tensors, numbers = _kinds(states[0])
        for part in self._flat_parts():
            own = {key: torch.zeros_like(part) for key in tensors}
            inner.state[part] = {**own, **copy.deepcopy(numbers)}
        self._link_states(inner)
        parameters = [parameter for group in self._groups for parameter in group]
        for number, parameter in enumerate(parameters):
            for key in tensors:
                self._put_state(parameter, states[number][key], key)

    def _put_state(self, parameter: Any, value: Tensor, key: str) -> None:
        from deepspeed.utils import safe_set_full_optimizer_state, safe_set_local_optimizer_state

        if not self.zero_stage_3:
            safe_set_full_optimizer_state(parameter, value.to(parameter.device), key)
            return
        size = parameter.ds_tensor.numel()  # the last rank's is filled up with zeros
        filled_up = functional.pad(value.flatten(), (0, size * self.world_size - value.numel()))
        own = filled_up.narrow(0, size * self.global_rank, size)
        safe_set_local_optimizer_state(parameter, own.to(self.root_device), key)


def _kinds(state: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Return the names of states that a parameter has an own number in for each of its own, and what it has once."""
    tensors = [key for key, value in state.items() if isinstance(value, Tensor) and value.dim()]
    return tensors, {key: value for key, value in state.items() if key not in tensors}
