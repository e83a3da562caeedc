"""An exported graph as a torch.nn.Module: its operations in their order, its parameters under their own names.

Linear layers become ``torch.nn.Linear`` and other layers modules that can be watched with hooks, so that kernels that look at
the readout or at activations find them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ntkviz.models.pt2.archive import AGAIN
from ntkviz.models.pt2.operators import IN_PLACE, LAYERS, LINEAR, MAKERS, OPERATORS, REQUIRED, VIEWS
from ntkviz.models.pt2.program import Program, Ref, Special, Step, refuse
from ntkviz.models.rejection import quoted

_DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
}
_FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d, 4: torch.preserve_format}
_DEVICE = Special("device")


class Operation(nn.Module):
    """A layer of an exported network; holds its parameters, and is given them."""

    def __init__(self, name: str) -> None:
        """An operation by its name in the tables."""
        super().__init__()
        self._operator = name

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """What the operation returns."""
        return OPERATORS[self._operator](*arguments, **named)

    def extra_repr(self) -> str:
        """The name, for print(model)."""
        return self._operator


@dataclass(frozen=True)
class _Call:
    """A step that is ready to run: ``run(*positional, **keyword)``, and the values that nobody needs after it."""

    operator: str
    run: Callable[..., Any]
    positional: tuple[Any, ...]
    keyword: dict[str, Any]
    outputs: tuple[str | None, ...]
    several: bool
    done: tuple[str, ...]


class ExportedNetwork(nn.Module):
    """A network that came as an exported program; its own attributes begin with "_", as those of layers seldom do."""

    def __init__(self, program: Program, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put the graph together, in eval mode.

        Args:
            program: a checked graph.
            tensors: its parameters, buffers and constants by name; one tensor under two names is shared.

        Raises:
            UploadRejected: when an operation is not allowed, works as in training, or overwrites what is used again.
            KeyError: when a name cannot be that of a parameter.
        """
        super().__init__()
        self._program = program
        steps = _functional(program)
        for step in steps:
            _check(step)
        names = {entry.value: entry.name for entry in program.stored if entry.kind == "parameter"}
        layers = _owned_layers(steps, names, tensors)
        self._slots = _register(self, program, tensors, layers)
        self._calls = self._made_calls(steps, names, layers)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits for ``x`` ``[n, *input_shape]``.

        Raises:
            ValueError: when ``x`` has another shape.
        """
        return self._run(x)

    def _run(self, x: torch.Tensor, seen: Callable[[str, Any], None] | None = None) -> torch.Tensor:
        """As :meth:`forward`, calling ``seen(operator, result)`` after each operation.

        Raises:
            ValueError: when ``x`` has another shape than the program was exported for.
        """
        if tuple(x.shape[1:]) != self._program.input_shape or not x.ndim:
            raise ValueError(
                f"The network was exported for samples of shape {list(self._program.input_shape)}; got {list(x.shape[1:])}. Bring "
                "inputs of that shape."
            )
        values: dict[str | None, Any] = {self._program.input: x}
        for value, owner, name, trained in self._slots:
            values[value] = (owner._parameters if trained else owner._buffers)[name]
        for call in self._calls:
            arguments = [_resolved(part, values, x) for part in call.positional]
            named = {key: _resolved(part, values, x) for key, part in call.keyword.items()}
            result = call.run(*arguments, **named)
            if isinstance(result, (tuple, list)) != call.several or (call.several and len(result) != len(call.outputs)):
                raise ValueError(f"{call.operator} gave other results than the {len(call.outputs)} that the file names.")
            if call.several:
                values.update(zip(call.outputs, result, strict=True))
            elif call.outputs:
                values[call.outputs[0]] = result
            if seen is not None:
                seen(call.operator, result)
            for name in call.done:
                del values[name]
        return values[self._program.output]

    def _made_calls(self, steps: list[Step], names: Mapping[str, str], layers: Mapping[str, nn.Module]) -> list[_Call]:
        """The steps with what runs them; layers without parameters are registered here, so that hooks can watch them."""
        last: dict[str, int] = {}
        for index, step in enumerate(steps):
            last |= dict.fromkeys([*step.uses(), *(name for name in step.outputs if name)], index)
        last[self._program.output] = len(steps)
        inner = _free_name("operations", self)
        shelf = nn.Module()
        calls = []
        for index, step in enumerate(steps):
            done = tuple(name for name in {*step.uses(), *(n for n in step.outputs if n)} if last[name] == index)
            owner = _owner(step, names)
            run: Callable[..., Any] = OPERATORS[step.operator]
            if owner in layers and _suits(layers[owner], step, names):
                run = layers[owner]
            elif step.operator in LAYERS:
                run = Operation(step.operator)
                shelf.add_module(f"{step.operator.split('.')[3]}_{index}", run)
            calls.append(_Call(step.operator, run, *_arguments(step, run), step.outputs, step.several, done))
        if list(shelf.children()):
            self.add_module(inner, shelf)
        return calls


def _resolved(part: Any, values: Mapping[str | None, Any], x: torch.Tensor) -> Any:
    """An argument with the values that it names."""
    if isinstance(part, Ref):
        return values[part.name]
    if isinstance(part, list):
        return [_resolved(entry, values, x) for entry in part]
    return x.device if isinstance(part, Special) else part


def _arguments(step: Step, run: Callable[..., Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with torch's own constants; an ``nn.Linear`` has its weights itself."""
    if isinstance(run, nn.Linear):
        return (step.positional[0],), {}
    keyword = {name: _special(value) for name, value in step.keyword.items()}
    if step.operator in MAKERS:
        keyword["device"] = _DEVICE
    return tuple(_special(value) for value in step.positional), keyword


def _special(value: Any) -> Any:
    """Constant of torch for a number in the file."""
    if not isinstance(value, Special):
        return value
    if value.kind == "device":
        return _DEVICE
    table = {"dtype": _DTYPES, "memory_format": _FORMATS, "layout": {7: torch.strided}}[value.kind]
    if value.number not in table:
        refuse(f"The exported program asks for the {value.kind} of number {value.number}, which is not known here. {AGAIN}")
    return table[value.number]


def _functional(program: Program) -> list[Step]:
    """The steps, with those that overwrite a tensor replaced by those that make a new one, where that changes nothing."""
    made_at = {name: index for index, step in enumerate(program.steps) for name in step.outputs if name}
    users: dict[str, list[int]] = {program.output: [len(program.steps)]}
    for index, step in enumerate(program.steps):
        for name in step.uses():
            users.setdefault(name, []).append(index)
    buffers = {entry.value for entry in program.stored if entry.kind != "parameter"}
    steps = []
    for index, step in enumerate(program.steps):
        if step.operator in IN_PLACE:
            if any(part.name in buffers for part in step.positional[:1] if isinstance(part, Ref)):
                refuse(
                    "The exported program changes its buffers when it runs, as BatchNorm does in training mode. Export it in evaluation "
                    f"mode: call model.eval() first. {AGAIN}"
                )
            if not _sole_owner(program.steps, index, made_at, users):
                refuse(
                    f"The operation {quoted(step.operator)} overwrites a tensor that the exported program uses again. Write it without "
                    "inplace=True and export again."
                )
            step = Step(IN_PLACE[step.operator], step.positional, step.keyword, step.outputs, step.several)
        steps.append(step)
    return steps


def _sole_owner(steps: tuple[Step, ...], index: int, made_at: Mapping[str, int], users: Mapping[str, list[int]]) -> bool:
    """Whether nobody else sees what a step overwrites: not later, and not through a view of the same memory."""
    while True:
        step = steps[index]
        target = step.positional[0] if step.positional else None
        if not isinstance(target, Ref) or target.name not in made_at:  # an input or a weight
            return False
        others = [user for user in users[target.name] if user != index]
        if any(user > index or steps[user].operator in VIEWS or steps[user].several for user in others):
            return False
        index = made_at[target.name]
        if steps[index].several:
            return False
        if steps[index].operator not in VIEWS and IN_PLACE.get(steps[index].operator, "") not in VIEWS:
            return True


def _check(step: Step) -> None:
    """Refuse an operation that is not in the table, or that works as in training."""
    if step.operator not in OPERATORS:
        hint = "Wrap or rewrite the layer that uses it, and export again"
        if "transformer_encoder" in step.operator or "native_multi_head" in step.operator:
            hint = "Export it with gradients enabled (not under torch.no_grad()), or with ntkviz.export_model"
        refuse(
            f"The exported program uses the operation {quoted(step.operator)}, which is not among the {len(OPERATORS)} that are allowed here. "
            f"{hint}; or bring the weights with an architecture."
        )
    if step.operator in REQUIRED:
        place, name, wanted, default, message = REQUIRED[step.operator]
        found = step.keyword.get(name, step.positional[place] if len(step.positional) > place else default)
        if isinstance(found, (Ref, list)) or found != wanted:
            refuse(message)


def _owner(step: Step, names: Mapping[str, str]) -> str:
    """The module that a layer's parameters belong to, "" when there is none or more than one."""
    if step.operator not in LAYERS:
        return ""
    owned = [names[name] for name in step.uses() if name in names]
    owners = {name.rpartition(".")[0] for name in owned}
    return owners.pop() if len(owners) == 1 and {name.rpartition(".")[2] for name in owned} <= {"weight", "bias"} else ""


def _owned_layers(steps: list[Step], names: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> dict[str, nn.Module]:
    """Path -> module of each layer that has parameters of its own."""
    layers: dict[str, nn.Module] = {}
    for step in steps:
        path = _owner(step, names)
        if not path or path in layers:
            continue
        weight = tensors.get(f"{path}.weight")
        if step.operator == LINEAR and weight is not None and weight.ndim == 2 and not step.keyword:
            bias = len(step.positional) > 2 and step.positional[2] is not None
            layers[path] = nn.Linear(weight.shape[1], weight.shape[0], bias=bias, device="meta")
            if _suits(layers[path], step, names):
                continue
        layers[path] = Operation(step.operator)
    return layers


def _suits(layer: nn.Module, step: Step, names: Mapping[str, str]) -> bool:
    """Whether a layer's module does what a step does; for nn.Linear, weight and bias must be in their places."""
    if isinstance(layer, Operation):
        return layer._operator == step.operator
    path = _owner(step, names)
    wanted = [f"{path}.weight"] + ([f"{path}.bias"] if getattr(layer, "bias", None) is not None else [])
    given = [names.get(part.name) for part in step.positional[1:] if isinstance(part, Ref)]
    return step.operator == LINEAR and not step.keyword and given == wanted and isinstance(step.positional[0], Ref)


def _register(
    root: nn.Module, program: Program, tensors: Mapping[str, torch.Tensor], layers: Mapping[str, nn.Module]
) -> list[tuple[str, nn.Module, str, bool]]:
    """Register all tensors under their names; value, module, name in it, and whether it is a parameter, for each."""
    parameters: dict[int, nn.Parameter] = {}
    slots = []
    for entry in program.stored:
        *folders, leaf = entry.name.split(".")
        owner = root
        for depth, part in enumerate(folders):
            if part not in owner._modules:
                owner.add_module(part, layers.get(".".join(folders[: depth + 1]), nn.Module()))
            owner = owner._modules[part] or owner
        tensor = tensors[entry.name]
        if entry.kind == "parameter":
            owner.register_parameter(leaf, parameters.setdefault(id(tensor), nn.Parameter(tensor)))
        else:
            owner.register_buffer(leaf, tensor)
        slots.append((entry.value, owner, leaf, entry.kind == "parameter"))
    return slots


def _free_name(name: str, module: nn.Module) -> str:
    """The name, lengthened until the module has nothing of that name."""
    while hasattr(module, name):
        name += "_"
    return name
