"""Trees of tensors: named tuples, tuples, lists and mappings, of any depth, that hold the state of an ensemble.

A tensor ``[K, ...]`` has the K members first; one without dimensions belongs to all of them. Whatever else a tree holds
is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree

T = TypeVar("T")


def tensor_map(function: Callable[..., Tensor], tree: T, *others: T) -> T:
    """Apply a function to each tensor, or to each with its counterparts in trees of the same form."""

    def apply(leaf: Any, *counterparts: Any) -> Any:
        return function(leaf, *counterparts) if isinstance(leaf, Tensor) else leaf

    mapped: T = _pytree.tree_map(apply, tree, *others)
    return mapped


def select(tree: T, members: Sequence[int]) -> T:
    """Copies of some members' tensors, in that order; those that are trained are so still."""
    index = list(members)

    def of_members(tensor: Tensor) -> Tensor:
        chosen = tensor.detach()[index] if tensor.dim() else tensor.detach().clone()
        return chosen.requires_grad_(tensor.requires_grad)

    return tensor_map(of_members, tree)


def copied(tree: T) -> T:
    """Copies without gradients."""
    return tensor_map(lambda tensor: tensor.detach().clone(), tree)


def row(tree: T, position: int) -> T:
    """A copy, on the CPU, of what one member has, without the members' dimension."""
    return tensor_map(lambda tensor: tensor[position].detach().cpu().clone(), tree)


def stack(trees: Sequence[T]) -> T:
    """What several members have, with the members' dimension first."""
    first, *rest = trees
    return tensor_map(lambda *rows: torch.stack(rows), first, *rest)


def finite(tree: Any) -> Tensor:
    """Which members' numbers are all finite, ``[K]``."""
    tensors = [leaf for leaf in _pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]
    return torch.stack([tensor.isfinite().flatten(1).all(1) for tensor in tensors]).all(0)


class Stateful:
    """What has its whole state in some of its attributes: trees, or lists of what is stateful itself."""

    state_names: ClassVar[tuple[str, ...]]

    @property
    def state(self) -> dict[str, Any]:
        """One tree, which shares memory; a new one may take its place."""
        return {
            name: [part.state for part in value] if _are_stateful(value) else value
            for name, value in ((name, getattr(self, name)) for name in self.state_names)
        }

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        for name in self.state_names:
            if _are_stateful(getattr(self, name)):
                for part, of_part in zip(getattr(self, name), state[name], strict=True):
                    part.state = of_part
            else:
                setattr(self, name, state[name])


def _are_stateful(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, Stateful) for part in value)
