"""A small Transformer encoder that classifies short texts.

Attention is written out (four Linear layers and a softmax) instead of using nn.MultiheadAttention or nn.TransformerEncoder:
their projections are hidden from module hooks, and their nested tensors have no rule under torch.func.vmap. No branch
depends on the data; padding (token id 0) is masked by arithmetic.

Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017 (arXiv 1706.03762); normalisation before each sub-layer as
in Xiong et al., ICML 2020 (arXiv 2002.04745).
"""

import math
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import nn

from ntkviz.models.architectures.options import MAX_CLASSES, Options

#: The token id that stands for "no word here".
PADDING_ID = 0


class TransformerOptions(Options):
    """Options of :class:`TextTransformer`."""

    vocabulary: int = Field(1000, ge=2, le=1_000_000, description="Token ids, padding (0) and unknown (1) included.")
    length: int = Field(32, ge=1, le=1024, description="Positions T of a text.")
    n_classes: int = Field(2, ge=1, le=MAX_CLASSES, description="Logits C; 1 for two classes by one logit.")
    width: int = Field(32, ge=1, le=4096, description="Width of the vectors that stand for tokens.")
    heads: int = Field(4, ge=1, le=64, description="Attention heads; must divide the width.")
    blocks: int = Field(1, ge=1, le=24, description="Number of encoder blocks.")
    hidden: int = Field(64, ge=1, le=16_384, description="Width of the feed-forward part of each block.")
    dropout: float = Field(0.0, ge=0, le=0.95, description="Dropout while training; none in eval mode.")

    @model_validator(mode="after")
    def _divides(self) -> Self:
        """Refuse a number of heads that does not divide the width.

        Raises:
            ValueError: in that case.
        """
        if self.width % self.heads:
            raise ValueError(f"`heads` must divide `width`; {self.heads} does not divide {self.width}")
        return self


class _Attention(nn.Module):
    """Multi-head self-attention over the positions that are not padding."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        # A module and not a function, so that the largest array of the network is seen by hooks that count memory.
        self.weights = nn.Softmax(dim=-1)
        self.out = nn.Linear(width, width)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """``[n, T, width]`` to ``[n, heads, T, width / heads]``."""
        n, length, width = x.shape
        return x.reshape(n, length, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """Attend; ``x`` ``[n, T, width]``, ``padding`` bool ``[n, T]``."""
        query, key, value = self._split(self.query(x)), self._split(self.key(x)), self._split(self.value(x))
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # [n, heads, T, T]
        # The smallest finite number and not -inf: a text of padding alone would become NaN.
        scores = scores.masked_fill(padding[:, None, None, :], torch.finfo(scores.dtype).min)
        mixed = self.weights(scores) @ value
        return self.out(mixed.transpose(1, 2).reshape(x.shape))


class _Block(nn.Module):
    """Attention and a feed-forward part, each on a normalised copy and added."""

    def __init__(self, options: TransformerOptions) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(options.width)
        self.attention = _Attention(options.width, options.heads)
        self.feed_norm = nn.LayerNorm(options.width)
        self.feed_in = nn.Linear(options.width, options.hidden)
        self.feed_act = nn.GELU()
        self.feed_out = nn.Linear(options.hidden, options.width)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), padding))
        return x + self.dropout(self.feed_out(self.feed_act(self.feed_in(self.feed_norm(x)))))


class TextTransformer(nn.Module):
    """Token ids ``[n, T]`` (0 is padding) to logits ``[n, C]``: embed, encode, average over the words, read out."""

    def __init__(self, options: TransformerOptions) -> None:
        """Make the layers, initialised by torch from its global generator."""
        super().__init__()
        self.length = options.length
        self.embedding = nn.Embedding(options.vocabulary, options.width)
        self.position = nn.Embedding(options.length, options.width)
        for table in (self.embedding, self.position):
            # torch starts them at standard deviation 1, and what is learned from few texts would drown in that.
            nn.init.normal_(table.weight, std=0.1)
        self.dropout = nn.Dropout(options.dropout)
        self.blocks = nn.ModuleList(_Block(options) for _ in range(options.blocks))
        self.norm = nn.LayerNorm(options.width)
        self.readout = nn.Linear(options.width, options.n_classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits ``[n, C]``.

        Args:
            tokens: int64 ``[n, T]``, T at most the ``length`` of the options, ids below ``vocabulary``.

        Returns:
            Tensor ``[n, C]``.

        Raises:
            ValueError: when a text has more positions than were learned.
        """
        if tokens.shape[-1] > self.length:
            raise ValueError(
                f"Texts have {tokens.shape[-1]} positions; expected at most {self.length}. Cut them, or use a larger `length`."
            )
        padding = tokens == PADDING_ID
        # One row of positions for every text: a row shared by the batch would mix the texts' gradients in a module hook.
        places = torch.arange(tokens.shape[-1], device=tokens.device).expand_as(tokens)
        hidden = self.dropout(self.embedding(tokens) + self.position(places))
        for block in self.blocks:
            hidden = block(hidden, padding)
        kept = (~padding).to(hidden.dtype).unsqueeze(-1)  # [n, T, 1]
        pooled = (self.norm(hidden) * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)
        return self.readout(pooled)
