"""The training loop, one for dense models and for siblings."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from trainables.stacks.stack import Stack
from trainables.tasks.random_numbers import random_numbers, random_stream
from trainables.tasks.task import Batch, Task
from trainables.training.gradients import clip_gradients, frozen_batch_norm_statistics
from trainables.training.masks import Masks
from trainables.training.optimizers import make_optimizer
from trainables.training.recipe import Recipe
from trainables.training.saved_optimizer import load_optimizer_state, optimizer_state
from trainables.training.schedules import learning_rate


class Training:
    """A stack of models in training; what each becomes does not depend on the others, but for dropout and the like.

    Args:
        stack: The models, on their device.
        recipe: How they are trained.
        task: What they are trained for.
        seeds: Names of each model's own random stream of batches.
        masks: Weights to keep, by parameter name of a plain model; the others are zero from the start and after
            every step. Or what says which are kept when.

    Attributes:
        epoch: Epochs done.
        diverged: For each model the epoch, counted from 1, in which its loss, weights or batch-norm statistics first
            were not finite; 0 if never.
        losses: Mean training loss of the last epoch, for each model; with label smoothing that of the smoothed labels.
        samples: Trained on so far by this object, counted for each model.
    """

    def __init__(
        self,
        stack: Stack,
        recipe: Recipe,
        task: Task,
        seeds: Sequence[tuple[str | int, ...]],
        masks: Mapping[str, Tensor] | Masks | None = None,
    ) -> None:
        self.stack, self.recipe, self.task, self._seeds = stack, recipe, task, seeds
        self.epoch = 0
        self.samples = 0
        self.losses = [0.0] * stack.models
        self.diverged = [0] * stack.models
        self._parameters = dict(stack.module.named_parameters())
        self._masks = masks if isinstance(masks, Masks) else Masks(stack, masks or {})
        if recipe.rho and stack.models > 1:
            raise ValueError(f"SAM perturbs one model at a time, not a stack of {stack.models}")
        self._optimizer = make_optimizer(self._parameters.values(), recipe)

    def run_epoch(self) -> None:
        """Train for one epoch."""
        recipe = self.recipe
        streams = [random_stream(*seed, self.epoch) for seed in self._seeds]
        batches = self.task.batches(streams, recipe.batch_size, drop_last=recipe.iterations is not None)
        if recipe.iterations is not None:
            steps_before = self.epoch * self.task.steps_per_epoch(recipe.batch_size, drop_last=True)
            batches = islice(batches, recipe.iterations - steps_before)
        steps, steps_of_epoch = 0, self.task.steps_per_epoch(recipe.batch_size)
        losses = torch.zeros(self.stack.models, device=self.stack.device)
        self.stack.train()
        with random_numbers(streams[0].initial_seed(), losses.device):  # for dropout, in models that have it
            for step, batch in enumerate(batches):
                done = self.epoch + step / steps_of_epoch if recipe.iterations is None else steps_before + step
                for group in self._optimizer.param_groups:
                    group["lr"] = learning_rate(recipe, done)
                losses += self._step(batch)
                self.samples += self.stack.models * batch.samples
                steps += 1
        self.epoch += 1
        self.losses = (losses / steps).tolist()
        finite_models = losses.isfinite() & self.stack.finite()
        for model, finite in enumerate(finite_models.tolist()):
            if not finite and not self.diverged[model]:
                self.diverged[model] = self.epoch

    def try_on(self, batches: Sequence[Batch]) -> None:
        """Take steps on these batches, outside of all epochs, to see whether that works and how long it takes."""
        self.stack.train()
        for batch in batches:
            self._step(batch)

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load_state_dict` needs to go on as if training had never stopped.

        Of plain models, whatever the kind of stack and the layout in memory: another device may have others.
        """
        tensors = optimizer_state(self._optimizer, self._parameters)
        return {
            "epoch": self.epoch,
            "diverged": self.diverged,
            "models": self.stack.states(),
            "optimizer": {key: self.stack.unstack_state(named) for key, named in tensors.items()},
            **({"masks": masks} if (masks := self._masks.state_dict()) else {}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` gave. One without ``optimizer`` is of a training that is over."""
        self.epoch, self.diverged = state["epoch"], list(state["diverged"])
        self.stack.load(state["models"])
        if "optimizer" in state:
            tensors = {key: self.stack.stack_states(models) for key, models in state["optimizer"].items()}
            load_optimizer_state(self._optimizer, self._parameters, tensors)
        self._masks.load_state_dict(state.get("masks", {}))

    def _step(self, batch: Batch) -> Tensor:
        losses = self._gradients(batch)
        if self.recipe.rho:

            def again() -> None:
                """A second time, at the perturbed weights; of the first gradients SAM took the direction alone."""
                self._gradients(batch)
                self._clip_gradients()

            self._masks.mask_gradients()  # or pruned weights would be perturbed, and have a part in the norm
            with frozen_batch_norm_statistics(self.stack):
                self._optimizer.step(again)  # type: ignore[arg-type]
        else:
            self._clip_gradients()
            self._optimizer.step()
        self._masks.after_step()
        return losses

    def _gradients(self, batch: Batch) -> Tensor:
        """Compute gradients afresh, and return the mean loss of every model."""
        self._optimizer.zero_grad()
        self._masks.enter()
        bfloat16 = self.recipe.precision == "bfloat16"
        with torch.autocast(self.stack.device.type, torch.bfloat16, enabled=bfloat16):
            means = self.task.losses(self.stack, batch, self.recipe.label_smoothing)
        means.sum().backward()  # a sum: each model's gradient is that of its own mean loss
        self._masks.leave(self._optimizer.param_groups[0]["lr"])
        return means.detach()

    @torch.no_grad()
    def _clip_gradients(self) -> None:
        if self.recipe.gradient_clipping:
            gradients = {name: p.grad for name, p in self._parameters.items() if p.grad is not None}
            self._masks.mask_gradients()  # or the gradients of weights that stay zero would decide
            clip_gradients(self.stack, gradients, self.recipe.gradient_clipping)
