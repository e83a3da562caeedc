"""Networks to export, and exported programs taken apart so that a test can alter them."""

import functools
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 3))


class Residual(nn.Module):
    """A small ResNet: BatchNorm, in-place activations and sums, a strided shortcut, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.main = nn.Sequential(
            nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, padding=1)
        )
        self.norm, self.shortcut = nn.BatchNorm2d(8), nn.Conv2d(6, 8, 1, stride=2, bias=False)
        self.act, self.pool, self.drop, self.fc = nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Dropout(0.3), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.norm(self.main(x))
        y += self.shortcut(x)
        return self.fc(self.drop(torch.flatten(self.pool(self.act(y)), 1)))


class Encoder(nn.Module):
    """Embeddings, positions, a Transformer layer with a padding mask, a masked mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(30, 8), nn.Parameter(torch.randn(7, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu", norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        padding = tokens == 0
        hidden = self.norm(self.layers(self.embed(tokens) + self.place, src_key_padding_mask=padding))
        kept = (~padding).unsqueeze(-1).float()
        return self.head((hidden * kept).sum(1) / kept.sum(1).clamp(min=1))


class Mixed(nn.Module):
    """Convolutional odds and ends: GroupNorm, SiLU, pads, several pools, cat, split, softmax pooling, a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.group, self.head = nn.Conv2d(1, 8, 3, padding="same"), nn.GroupNorm(2, 8), nn.Linear(24, 2)
        self.register_buffer("scale", torch.linspace(0.5, 1.5, 8)[:, None, None], persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = nn.functional.silu(self.group(self.conv(x))) * self.scale
        left, right = nn.functional.pad(h, (1, 1, 0, 0)).chunk(2, dim=1)
        h = torch.cat([nn.functional.max_pool2d(left, 2), nn.functional.avg_pool2d(right, 2)], 1)
        weight = torch.softmax(h.flatten(2).mean(1, keepdim=True), -1)
        pooled = (h.flatten(2) * weight).sum(-1)
        return self.head(torch.cat([pooled, h.amax((2, 3)), h.permute(0, 2, 3, 1).reshape(x.shape[0], -1, 8).mean(1)], 1))


class Tied(nn.Module):
    """One matrix in two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 2)
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.second(torch.tanh(self.first(x)))))


def _numbers(*shape: int) -> Callable[[], torch.Tensor]:
    return lambda: torch.randn(6, *shape, generator=torch.Generator().manual_seed(1))


def _tokens() -> torch.Tensor:
    tokens = torch.randint(1, 30, (6, 7), generator=torch.Generator().manual_seed(1))
    tokens[2:, 5:] = 0
    return tokens


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], torch.Tensor]]] = {
    "mlp": (perceptron, _numbers(4, 4)),
    "resnet": (Residual, _numbers(3, 8, 8)),
    "transformer": (Encoder, _tokens),
    "mixed": (Mixed, _numbers(1, 6, 6)),
    "tied": (Tied, _numbers(5)),
}


@functools.cache
def network(key: str) -> tuple[nn.Module, torch.Tensor]:
    """A network in eval mode, with statistics and scales that are not those of a fresh one, and six inputs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        build, inputs = NETWORKS[key]
        model = build().eval()
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                for tensor in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                    tensor.add_(torch.rand_like(tensor))
    return model, inputs()


def exported(model: nn.Module, x: torch.Tensor, *, free: bool = True, decomposed: bool = False) -> bytes:
    """What torch.export.save writes."""
    shapes = ({0: torch.export.Dim("batch", min=1)},) if free else None
    program = torch.export.export(model, (x,), dynamic_shapes=shapes)
    if decomposed:
        program = program.run_decompositions()
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


@functools.cache
def file_of(key: str) -> bytes:
    """A network's exported program."""
    return exported(*network(key))


@dataclass
class Parts:
    """An exported program taken apart; change what is needed, then write it."""

    members: dict[str, bytes]
    compression: int = zipfile.ZIP_STORED
    more: list[tuple[str, bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, data: bytes) -> "Parts":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return cls({m.filename.partition("/")[2]: archive.read(m) for m in archive.infolist()})

    def json(self, member: str) -> Any:
        return json.loads(self.members[member])

    def put(self, member: str, value: Any) -> "Parts":
        self.members[member] = json.dumps(value).encode()
        return self

    def graph(self, change: Callable[[Any], object]) -> "Parts":
        """Change the JSON of the graph."""
        document = self.json("models/model.json")
        change(document)
        return self.put("models/model.json", document)

    def weights(self, change: Callable[[Any], object]) -> "Parts":
        """Change the list of weights."""
        member = "data/weights/model_weights_config.json"
        config = self.json(member)
        change(config["config"])
        return self.put(member, config)

    def bytes(self) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", self.compression) as archive:
            for name, data in [*self.members.items(), *self.more]:
                archive.writestr(f"archive/{name}", data)
        return buffer.getvalue()

    def write(self, path: Path) -> Path:
        path.write_bytes(self.bytes())
        return path
