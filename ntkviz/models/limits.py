"""How large an uploaded model may be, by the server's mode; torch-free."""

from dataclasses import dataclass
from typing import Literal, get_args

#: Set by the server's configuration, never by the browser.
Mode = Literal["local", "team", "teaching"]


@dataclass(frozen=True)
class ModelLimits:
    """Caps on one model file and on the process that reads it.

    Attributes:
        file_mb: size of the file.
        n_parameters: numbers in all tensors together.
        memory_mb: address space of the child process that reads it. 1,000 MB are enough to import torch and differentiate a
            small model; the rest is for data and weights.
        seconds: wall clock and processor time of that process. Importing torch takes up to 5 s on a cold disk.
        n_tensors: 50,000 tiny tensors take safetensors 3.5 s; no classifier of this size has 5,000.
        name_length: of a tensor's name; safetensors itself accepts a name of 1 MB.
        dimension: of one axis; [0, 2**62] has no elements and overflows in arithmetic later.
        n_activations: values that the operations of an exported program may give for one sample together, 80 MB of float32.
    """

    file_mb: float
    n_parameters: int
    memory_mb: int
    seconds: int
    n_tensors: int = 5_000
    name_length: int = 256
    dimension: int = 2**31
    n_activations: int = 20_000_000

    @property
    def file_bytes(self) -> int:
        """``file_mb`` in bytes."""
        return int(self.file_mb * 2**20)


#: The local ones only keep a mistake from filling the machine; 50 million parameters is what a specification may have.
MODEL_LIMITS: dict[str, ModelLimits] = {
    "local": ModelLimits(file_mb=2048, n_parameters=50_000_000, memory_mb=12_000, seconds=300),
    "team": ModelLimits(file_mb=256, n_parameters=50_000_000, memory_mb=4_000, seconds=90),
    "teaching": ModelLimits(file_mb=32, n_parameters=5_000_000, memory_mb=2_500, seconds=60),
}


def limits_of(mode: str) -> ModelLimits:
    """The caps of a mode.

    Raises:
        ValueError: when there is no such mode.
    """
    if mode not in MODEL_LIMITS:
        raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}; got {str(mode)[:40]!r}.")
    return MODEL_LIMITS[mode]
