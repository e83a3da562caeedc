"""Where a report's figures come from: enough to make them again, and to see when something differs."""

from contextlib import suppress

from ntkviz.errors import NtkvizError
from ntkviz.kernels.registry import kernels
from ntkviz.reports.document import Section, Table
from ntkviz.studies import artefact
from ntkviz.studies.export import command
from ntkviz.studies.fingerprint import fingerprint, subject_hashes
from ntkviz.studies.store import Store
from ntkviz.studies.study import Study
from ntkviz.studies.subjects import find_subject
from ntkviz.surrogates.registry import surrogates


def provenance(study: Study, store: Store) -> Section:
    """Study, model and data by their hashes, kernel, surrogate, seed, versions, and the command that makes it again.

    Args:
        study: a stored study.
        store: where it is.
    """
    spec = study.spec
    facts = [
        ("Study", study.key),
        ("Made", study.created or "not stored"),
        (
            "Kernel",
            f"{kernels()[spec.kernel].title} ({spec.kernel}, {'cosine' if spec.normalize else 'raw'}){_options(spec.kernel_options)}",
        ),
        ("Surrogate", f"{surrogates()[spec.surrogate].title} ({spec.surrogate}){_options(study.surrogate.options)}"),
        ("Points", f"{study.n_train:,} training, {study.n_test:,} test"),
        ("Seed", str(spec.seed)),
    ]
    with suppress(NtkvizError, OSError):  # an upload may be gone; its studies stay
        model, data = subject_hashes(find_subject(spec.subject_id, home=store.home))
        facts += [("Model, sha256", model), ("Data, sha256", data)]
    with suppress(NtkvizError):
        facts.append(("Fingerprint of the results", str(fingerprint(store, study.key))))
        made = artefact.read_manifest(store.home / "studies" / study.key)["versions"]
        facts.append(("Versions", ", ".join(f"{name} {version}" for name, version in made.items())))
    facts.append(("Command", command(study)))
    notes = tuple(dict.fromkeys((*study.notes, *study.surrogate.notes)))
    return Section("Where this comes from", words=notes, table=Table.of(("what", "value"), facts))


def in_a_line(study: Study) -> str:
    """The same, for below a figure."""
    spec = study.spec
    form = "cosine" if spec.normalize else "raw"
    return (
        f"{study.name}; kernel {spec.kernel} ({form}), surrogate {spec.surrogate}, {study.n_train:,} training and {study.n_test:,} test points, "
        f"seed {spec.seed}; study {study.key[:12]}."
    )


def _options(options: object) -> str:
    chosen = dict(options) if isinstance(options, dict) else {}
    return "".join(f", {name} {value:.4g}" if isinstance(value, float) else f", {name} {value}" for name, value in chosen.items())
