"""Attention between pixels, between frames and to the time, with the cosine of the angle between query and key."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SHARPNESS = 8.0  # factor of the cosines


def plain_norm(width: int) -> nn.LayerNorm:
    """A layer norm without an offset."""
    return nn.LayerNorm(width, bias=False)


class Attended(nn.Module):
    """What queries find: softmax over the cosines with the keys, one of which, with its value, is learned.

    Args:
        heads: their number.
        head_width: numbers in a head.
    """

    def __init__(self, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.null = nn.Parameter(torch.randn(2, head_width))  # a key and a value for those that find nothing
        self.query_scale = nn.Parameter(torch.ones(head_width))
        self.key_scale = nn.Parameter(torch.ones(head_width))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
        """Weighted sums of values.

        Args:
            queries: (batch, heads, n, head_width).
            keys: (batch, heads, m, head_width); one head is shared by all.
            values: of the same shape.
            bias: added to the scaled cosines, (heads, n, 1 + m), the learned key first.

        Returns:
            The heads side by side, (batch, n, heads * head_width).
        """
        null_key, null_value = (one.expand(*keys.shape[:2], 1, -1) for one in self.null)
        keys, values = torch.cat([null_key, keys], dim=2), torch.cat([null_value, values], dim=2)
        queries = functional.normalize(queries, dim=-1) * self.query_scale
        keys = functional.normalize(keys, dim=-1) * self.key_scale
        if keys.shape[1] != self.heads:
            keys, values = (one.expand(-1, self.heads, -1, -1) for one in (keys, values))
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=SHARPNESS)
        return found.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Attention of tokens to one another, all heads with the same keys and values, added to the tokens.

    Args:
        width: of a token.
        heads: their number.
        head_width: numbers in a head.
        context: width of other tokens that are attended to as well; 0: none.
        causal: tokens see none that come later, and how far apart two are counts. It begins as the identity.
    """

    def __init__(self, width: int, heads: int, head_width: int, context: int = 0, causal: bool = False) -> None:
        super().__init__()
        self.norm = plain_norm(width)
        self.queries = nn.Linear(width, heads * head_width, bias=False)
        self.keys_values = nn.Linear(width, 2 * head_width, bias=False)
        self.context = nn.Sequential(nn.LayerNorm(context), nn.Linear(context, 2 * head_width)) if context else None
        self.attended = Attended(heads, head_width)
        self.bias = CausalBias(width, heads) if causal else None
        self.out = nn.Sequential(nn.Linear(heads * head_width, width, bias=False), plain_norm(width))
        if causal:
            nn.init.zeros_(self.out[1].weight)

    def forward(self, tokens: Tensor, context: Tensor | None = None) -> Tensor:
        """Tokens (batch, n, width), any context (batch, m, its width): tokens of the same shape."""
        normed = self.norm(tokens)
        queries = self.queries(normed).unflatten(-1, (self.attended.heads, -1)).transpose(1, 2)
        keys_values = self.keys_values(normed)
        if self.context is not None:
            keys_values = torch.cat([self.context(context), keys_values], dim=1)
        keys, values = keys_values[:, None].chunk(2, dim=-1)
        bias = None if self.bias is None else self.bias(tokens.shape[1])
        return tokens + self.out(self.attended(queries, keys, values, bias))


class CausalBias(nn.Module):
    """What is added to the cosines of tokens: a function of how much later a token is; minus infinity for later keys.

    Args:
        width: of the two hidden layers of the function.
        heads: their number.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.function = nn.Sequential(
            *(nn.Linear(1, width), plain_norm(width), nn.SiLU()),
            *(nn.Linear(width, width), plain_norm(width), nn.SiLU()),
            nn.Linear(width, heads),
        )
        self.null = nn.Parameter(torch.zeros(heads))

    def forward(self, n: int) -> Tensor:
        """The bias between n tokens and a learned key before them, (heads, n, 1 + n)."""
        places = torch.arange(n, device=self.null.device)
        later = places[:, None] - places
        of_distance = self.function(places[:, None].to(self.null.dtype))
        bias = of_distance[later.clamp_min(0)].permute(2, 0, 1).masked_fill(later < 0, -torch.inf)
        return torch.cat([self.null[:, None, None].expand(-1, n, 1), bias], dim=-1)


class CrossAttention(nn.Module):
    """Attention of tokens to those of a context, each head with its own keys and values, added to the tokens."""

    def __init__(self, width: int, context: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.norm = plain_norm(width)
        self.queries = nn.Linear(width, heads * head_width, bias=False)
        self.keys_values = nn.Linear(context, 2 * heads * head_width, bias=False)
        self.attended = Attended(heads, head_width)
        self.out = nn.Sequential(nn.Linear(heads * head_width, width, bias=False), plain_norm(width))

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Tokens (batch, n, width), context (batch, m, its width): tokens of the same shape."""
        every = (self.queries(self.norm(tokens)), *self.keys_values(context).chunk(2, dim=-1))
        queries, keys, values = (one.unflatten(-1, (self.attended.heads, -1)).transpose(1, 2) for one in every)
        return tokens + self.out(self.attended(queries, keys, values))


class LinearAttention(nn.Module):
    """Attention between the pixels of large images, whose cost grows as their number (Shen et al., WACV 2021).

    Args:
        width: channels of the images.
        context: width of other tokens that are attended to as well.
        heads: their number.
        head_width: numbers in a head.
    """

    def __init__(self, width: int, context: int, heads: int, head_width: int) -> None:
        super().__init__()
        inner, self.heads = heads * head_width, heads
        self.norm = plain_norm(width)
        self.queries, self.keys, self.values = (
            nn.Sequential(
                nn.Conv2d(width, inner, 1, bias=False),
                nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False),
            )
            for _ in range(3)
        )
        self.context = nn.Sequential(nn.LayerNorm(context), nn.Linear(context, 2 * inner, bias=False))
        self.out = nn.Sequential(nn.SiLU(), nn.Linear(inner, width, bias=False), plain_norm(width))

    def forward(self, images: Tensor, context: Tensor) -> Tensor:
        """Images (structures, channels, rows, columns) of the same shape; context (structures, m, its width)."""
        normed = self.norm(images.movedim(1, -1)).movedim(-1, 1)
        every = [part(normed).flatten(2).transpose(1, 2) for part in (self.queries, self.keys, self.values)]
        more = self.context(context).chunk(2, dim=-1)
        every[1:] = [torch.cat([one, other], dim=1) for one, other in zip(every[1:], more, strict=True)]
        queries, keys, values = (one.unflatten(-1, (self.heads, -1)).transpose(1, 2) for one in every)
        queries = queries.softmax(dim=-1) * queries.shape[-1] ** -0.5
        found = queries @ (keys.softmax(dim=-2).transpose(-1, -2) @ values)
        out = self.out(found.transpose(1, 2).flatten(2))
        return images + out.transpose(1, 2).unflatten(2, images.shape[2:])
