"""Which parameters the structured path covers, proven on a few samples of the model at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from ntkviz.gradients.derived import Origin, Pull, leaves_behind
from ntkviz.gradients.graph import Trace
from ntkviz.gradients.recognise import Pass, find_sites, place
from ntkviz.gradients.sites import Site
from ntkviz.gradients.tracing import Tracer, branches_on_data, gradients_at

#: A parameter's gradient must agree with autograd's to this share of its largest entry.
_TOLERANCE = 1e-3
#: Rounding, as a share of the largest gradient entry of the model.
_NOISE = 1e-5


@dataclass(frozen=True)
class Plan:
    """What is known of a model's graph.

    Attributes:
        sites: in the order of the walk; each has a parameter in ``uses``.
        uses: covered parameter -> its (site index, role), all of them.
        left_over: other parameter -> why it is not covered.
        places: of the sites among all that a pass has.
        keys: of all sites of a pass, in order; a pass with others is not taken apart.
        readout: index of the site whose output is the logits, or None.
        left_shapes: of each site's left factor, a sample.
        right_shapes: of each site's right factor, a sample and head.
        made: tensors that are made of parameters alone, and the ways from them to the parameters.
    """

    sites: tuple[Site, ...] = ()
    uses: Mapping[str, tuple[tuple[int, str], ...]] = field(default_factory=dict)
    left_over: Mapping[str, str] = field(default_factory=dict)
    places: tuple[int, ...] = ()
    keys: tuple[object, ...] = ()
    readout: int | None = None
    left_shapes: tuple[tuple[int, ...], ...] = ()
    right_shapes: tuple[tuple[int, ...], ...] = ()
    made: Mapping[Origin, Mapping[str, Pull]] = field(default_factory=dict)


def make_plan(tracer: Tracer, x: torch.Tensor, v: torch.Tensor, truth: Mapping[str, torch.Tensor]) -> Plan:
    """Find the sites of a model and keep those that give what autograd gives.

    Args:
        tracer: of the model.
        x: ``[n, ...]``, a few samples.
        v: ``[C]``, a mix of logits.
        truth: name -> ``[n, size]``, gradients of v . f by autograd, a sample at a time.

    Returns:
        The plan; without sites when the model cannot be traced, with the reason for every parameter.
    """
    try:
        if branches_on_data(tracer, x):
            return Plan(left_over=dict.fromkeys(truth, "the forward pass reads numbers out of tensors and may branch on them"))
        return _plan(tracer, x, v, truth)
    except _NotTraceable as error:
        return Plan(left_over=dict.fromkeys(truth, str(error)))
    except Exception as error:  # whatever a model does, there is the path that autograd takes for certain
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        return Plan(left_over=dict.fromkeys(truth, f"its graph could not be taken apart: {reason}"))


def _plan(tracer: Tracer, x: torch.Tensor, v: torch.Tensor, truth: Mapping[str, torch.Tensor]) -> Plan:
    """See :func:`make_plan`.

    Raises:
        _NotTraceable: when a batch and its samples run different operations.
    """
    given = len(x)
    x = x if given > 2 else x[[0, *range(given), given - 1]]  # two copies of a sample would look like any batch of two
    truth = truth if given > 2 else {name: g[[0, *range(given), given - 1]] for name, g in truth.items()}
    runs = [tracer.run(part) for part in (x, x.flip(0), *(x[[i, i]] for i in range(len(x))))]
    made = _made([trace for _, trace in runs])
    left_over: dict[str, str] = {}
    passes = []
    for logits, trace in runs:
        sites, others = find_sites(trace, made)
        left_over |= others
        passes.append(Pass(trace, sites, gradients_at(logits, trace, sites, v.expand_as(logits), keep=True)))
    batch, opposite, *alone = passes
    if any(keys_of(one.sites) != keys_of(batch.sites) for one in passes):
        raise _NotTraceable("a batch and its samples run different operations")
    placed, unplaced = place([batch, opposite], alone)
    left_over = unplaced | left_over
    uses = _uses(placed, left_over)
    largest = max(float(g.abs().max()) for g in truth.values())
    for name, gradient in _gradients(placed, uses, batch, len(x)).items():
        if not _agrees(gradient, truth[name], largest):
            left_over[name] = "its gradient differs from autograd's"
    for name, gradient in truth.items():
        if name not in uses and name not in left_over and bool(gradient.any()):
            left_over[name] = "it is used where the autograd graph does not show it"
    uses = {name: where for name, where in uses.items() if name not in left_over}
    return _compact(placed, uses, left_over, batch, runs[0][0], made)


def _made(traces: Sequence[Trace]) -> dict[Origin, dict[str, Pull]]:
    """Tensors that are made of parameters alone: passes over different samples and numbers of samples have them alike."""
    shared = set.intersection(*(set(trace.origins().values()) for trace in traces))
    found: dict[Origin, dict[str, Pull]] = {}
    first = traces[0]
    for node, origin in first.origins().items():
        if origin in shared and origin not in found:
            leaves = leaves_behind(node, first.leaves)
            if leaves:
                found[origin] = {name: Pull(node, leaf, origin[1]) for name, leaf in leaves.items()}
    return found


def keys_of(sites: Sequence[Site]) -> tuple[object, ...]:
    """What must be the same in every pass."""
    return tuple(site.key() for site in sites)


def _uses(placed: Sequence[Site | None], left_over: Mapping[str, str]) -> dict[str, list[tuple[int, str]]]:
    """Covered parameter -> where it is used."""
    uses: dict[str, list[tuple[int, str]]] = {}
    for i, site in enumerate(placed):
        for role, name in site.parameters.items() if site else ():
            if name not in left_over:
                uses.setdefault(name, []).append((i, role))
    return uses


def _gradients(
    placed: Sequence[Site | None], uses: Mapping[str, list[tuple[int, str]]], batch: Pass, n: int
) -> dict[str, torch.Tensor]:
    """Covered parameter -> ``[n, size]``, from the factors of the batch."""
    sums = {}
    for name, where in uses.items():
        parts = []
        for i, role in where:
            site = placed[i]
            assert site is not None
            left, right = site.left(batch.trace.nodes[site.node], n), site.right(batch.gradients[i], n)
            parts.append(site.gradient(role, left, right[:, None])[:, 0])
        sums[name] = sum(parts[1:], parts[0])
    return sums


def _agrees(gradient: torch.Tensor, truth: torch.Tensor, largest: float) -> bool:
    """Equal but for rounding; a gradient that is nothing but rounding (an attention's key bias) has no digits to compare."""
    allowed = _TOLERANCE * float(truth.abs().max()) + _NOISE * largest
    return gradient.shape == truth.shape and bool(((gradient - truth).abs() <= allowed).all())


def _compact(
    placed: Sequence[Site | None],
    uses: Mapping[str, list[tuple[int, str]]],
    left_over: dict[str, str],
    batch: Pass,
    logits: torch.Tensor,
    made: dict[Origin, dict[str, Pull]],
) -> Plan:
    """Leave out sites that no covered parameter needs."""
    needed = sorted({i for where in uses.values() for i, _ in where})
    new = {old: i for i, old in enumerate(needed)}
    kept = tuple(site for site in (placed[i] for i in needed) if site is not None)
    nodes, n = batch.trace.nodes, len(logits)
    return Plan(
        kept,
        {name: tuple((new[i], role) for i, role in where) for name, where in uses.items()},
        left_over,
        tuple(needed),
        keys_of(batch.sites),
        next((i for i, site in enumerate(kept) if nodes[site.node] is logits.grad_fn), None),
        tuple(tuple(site.left(nodes[site.node], n).shape[1:]) for site in kept),
        tuple(tuple(site.right(batch.gradients[old], n).shape[1:]) for old, site in zip(needed, kept, strict=True)),
        made,
    )


class _NotTraceable(Exception):
    """The graph of a model changes with its inputs."""
