"""The affine coupling block of normalising flows, as FrEIA builds it (METHODS 0.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from FrEIA.modules import AllInOneBlock
from torch import nn

Subnet = Callable[[int, int], nn.Module]


def coupling(
    shape: Sequence[int], subnet: Subnet, *, condition: int = 0, clamp: float, soft: bool
) -> nn.Module:
    """A block on tensors [n, *shape] that gives ([y], log det J [n]) for ([x],) or ([x], [c]).

    `subnet(inputs, outputs)` makes the network inside, `condition` is the number of channels of c,
    `clamp` limits the log of the scale. The permutation that ends the block is random and fixed: a
    rotation if `soft`, else an order of the channels; so build it inside `seeded`.
    """
    conditions = [(condition, *shape[1:])] if condition else []
    block: nn.Module = AllInOneBlock(
        [tuple(shape)],
        conditions,
        subnet_constructor=subnet,
        affine_clamping=clamp,
        permute_soft=soft,
    )
    return block
