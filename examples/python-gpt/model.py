"""A GPT, written out: RMSNorm, rotary positions, causal attention, SwiGLU, tied embeddings.

The block is that of Llama (arXiv 2302.13971), the positions are RoFormer's (arXiv 2104.09864).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import Config


class GPT(nn.Module):
    cos: Tensor
    sin: Tensor

    def __init__(self, config: Config, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.RMSNorm(config.width)
        self.head = nn.Linear(config.width, vocab_size, bias=False)

        # Not in checkpoints: they follow from the settings.
        cos, sin = rotary_tables(config.block, config.width // config.heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

        self.apply(init_weights)
        self.head.weight = self.embedding.weight
        # Each layer adds to the residual stream twice; so scaled, depth does not widen it.
        for name, weight in self.named_parameters():
            if name.endswith(("attention.out.weight", "mlp.down.weight")):
                nn.init.normal_(weight, std=(2 * config.depth * weight.shape[1]) ** -0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        time = tokens.shape[1]
        cos, sin = self.cos[:time], self.sin[:time]  # (time, size / 2)
        x = self.dropout(self.embedding(tokens))  # (batch, time, width)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.head(self.norm(x))  # (batch, time, vocabulary)


class Block(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.width)
        self.attention = Attention(config)
        self.mlp_norm = nn.RMSNorm(config.width)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin)
        return x + self.mlp(self.mlp_norm(x))


class Attention(nn.Module):
    """Causal attention; fewer `kv_heads` than `heads` share keys and values (arXiv 2305.13245)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads = config.heads
        self.kv_heads = config.kv_heads or config.heads
        self.size = config.width // config.heads
        self.dropout = config.dropout
        self.query = nn.Linear(config.width, self.heads * self.size, bias=False)
        self.key = nn.Linear(config.width, self.kv_heads * self.size, bias=False)
        self.value = nn.Linear(config.width, self.kv_heads * self.size, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        q = split_heads(self.query(x), self.size)
        k = split_heads(self.key(x), self.size)
        v = split_heads(self.value(x), self.size)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)  # (batch, heads, time, size)
        y = F.scaled_dot_product_attention(
            q,
            k,
            v,
            is_causal=True,
            dropout_p=self.dropout if self.training else 0.0,
            enable_gqa=self.kv_heads < self.heads,
        )
        y = self.out(y.transpose(1, 2).flatten(2))  # (batch, time, width)
        return F.dropout(y, self.dropout, self.training)


class MLP(nn.Module):
    """SwiGLU (arXiv 2002.05202): one half of the hidden layer is the gate of the other."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        # Three matrices of 8/3 hold as much as the usual two of 4; multiples of 32 are fast.
        hidden = -(-config.width * 8 // 3 // 32) * 32
        self.gate = nn.Linear(config.width, hidden, bias=False)
        self.up = nn.Linear(config.width, hidden, bias=False)
        self.down = nn.Linear(hidden, config.width, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.down(F.silu(self.gate(x)) * self.up(x)))


def split_heads(x: Tensor, size: int) -> Tensor:
    """(batch, time, heads * size) to (batch, heads, time, size), for the heads that are here."""
    return x.unflatten(-1, (x.shape[-1] // size, size)).transpose(1, 2)


def rotary_tables(time: int, size: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle by which each position turns each pair of numbers of a head."""
    frequency = 10_000.0 ** -(torch.arange(0, size, 2) / size)
    angle = torch.outer(torch.arange(time), frequency)  # (time, size / 2)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn queries or keys by their position; their products then see the distance only."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1).type_as(x)


def init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=module.in_features**-0.5)  # variance out = variance in
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.05)
