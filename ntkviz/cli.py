"""The command line: the same work as in the browser, without one."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from ntkviz.cli_cluster import add_cluster_arguments, cluster
from ntkviz.cli_export import add_export_arguments, count, export
from ntkviz.cli_output import ProgressLine, print_json, print_studies, print_table
from ntkviz.cli_report import add_report_arguments, report
from ntkviz.errors import NtkvizError

_EPILOG = """examples:
  python -m ntkviz samples
  python -m ntkviz run --sample mnist-mlp --kernel trntk --surrogate kglm --n-train 1000 --n-test 500
  python -m ntkviz run --model w.safetensors --architecture net.json --data points.npz --kernel ck
  python -m ntkviz export --study latest --to report
  python -m ntkviz report --study latest --point 7 --to report.html
  python -m ntkviz export --module net.py --model weights.pt --shape 1,28,28 --to model.pt2
  python -m ntkviz doctor

The folder of the store is NTKVIZ_HOME, otherwise the system's folder for user data. Exit codes: 0 done, 1 something is
broken (doctor, verify) or a job failed, 2 the request was refused, 130 interrupted."""
#: Enough points for a figure that means something and few enough for a laptop's minute.
DEFAULT_TRAIN, DEFAULT_TEST = 1000, 500


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``python -m ntkviz``; ``None`` means those of the process.

    Returns:
        the exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except NtkvizError as error:
        print(f"ntkviz: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ntkviz: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ntkviz",
        description="Which training examples made a network say this, and can that answer be trusted?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands)
    for name, function, text in (
        ("samples", _samples, "list the bundled sample studies"),
        ("studies", _studies, "list the studies that were made"),
        ("jobs", _jobs, "list the jobs"),
        ("serve", _serve, "serve the dashboard, and run its jobs"),
        ("worker", _worker, "run the jobs that pages ask for, until it is stopped"),
        ("cluster", cluster, "run a Dask cluster for large kernels, until it is stopped"),
        ("doctor", _doctor, "look whether everything is in place"),
        ("verify", _verify, "compare every stored file with its hash"),
        ("export", export, "write a study as tables, or a network as one .pt2 file"),
        ("report", report, "write a study or an explanation as one HTML file, or as a program that makes it again"),
    ):
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.add_argument("--json", action="store_true", help="print JSON")
        command.set_defaults(command=function)
        if name not in {"samples", "cluster"}:
            _add_home(command)
        if name == "cluster":
            add_cluster_arguments(command)
        if name == "serve":
            command.add_argument("--port", type=int, default=8501, help="default %(default)s")
            command.add_argument("--host", default="127.0.0.1", help="default %(default)s")
            command.add_argument("--processes", type=count, default=1, metavar="P", help="that draw pages (default %(default)s)")
            command.add_argument("--no-jobs", action="store_true", help="where `worker` is a service of its own")
        if name == "worker":
            command.add_argument(
                "--idle", type=float, default=math.inf, metavar="SECONDS", help="end after so long without a job"
            )
        if name == "verify":
            command.add_argument("--discard", action="store_true", help="delete what is damaged")
        if name == "export":
            add_export_arguments(command)
        if name == "report":
            add_report_arguments(command)
    return parser


def _add_home(command: argparse.ArgumentParser) -> None:
    command.add_argument("--home", type=Path, metavar="DIR", help="the folder of the store; default NTKVIZ_HOME")


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="make a study", description="Make a study, or open it when the store has it.")
    run.set_defaults(command=_run)
    run.add_argument("--sample", metavar="NAME", help="a bundled sample, see `samples`")
    run.add_argument("--upload", metavar="ID", help="the id of a model that was brought before")
    run.add_argument("--model", type=Path, metavar="WEIGHTS", help="your own: .pt2, .safetensors, or a .pt state dict")
    run.add_argument("--architecture", type=Path, metavar="JSON", help="what the weights are of; a .pt2 carries its own")
    run.add_argument("--data", type=Path, metavar="FILE", help="the data of your own: .npz, .csv, .jsonl or .zip")
    run.add_argument("--kernel", action="append", metavar="KIND", help="default trntk; may be repeated")
    run.add_argument("--surrogate", action="append", metavar="KIND", help="default kglm; may be repeated")
    run.add_argument("--n-train", type=_size, default=DEFAULT_TRAIN, metavar="N", help="or `all` (default %(default)s)")
    run.add_argument("--n-test", type=_size, default=DEFAULT_TEST, metavar="M", help="or `all` (default %(default)s)")
    run.add_argument("--seed", type=int, default=0, help="draws the points, and what the kinds draw (default %(default)s)")
    run.add_argument("--raw", action="store_true", help="fit on the kernel as it is, not on its cosine")
    run.add_argument("--kernel-option", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    run.add_argument("--surrogate-option", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    run.add_argument(
        "--budget",
        type=float,
        metavar="SECONDS",
        help="for the kernel trntk: exact if it fits, otherwise the best sketch that does",
    )
    run.add_argument("--no-store", action="store_true", help="keep nothing")
    run.add_argument("--json", action="store_true", help="print one JSON object (a list for several combinations)")
    run.add_argument("--job", help=argparse.SUPPRESS)  # for the process that a page starts
    _add_home(run)


def _size(text: str) -> int | None:
    return None if text == "all" else count(text)


def _choices(words: list[str]) -> dict[str, Any]:
    """``["k=512", "layer=fc"]`` as a mapping; values are read as JSON, and are texts when they are none.

    Raises:
        InvalidStudy: when a word has no equals sign.
    """
    from ntkviz.studies.spec import InvalidStudy

    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise InvalidStudy(f"An option is given as NAME=VALUE; got {word!r}.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _samples(options: argparse.Namespace) -> int:
    from ntkviz.data.sample import sample_card, samples

    fields = (
        "name",
        "title",
        "kind",
        "n_train",
        "n_test",
        "n_classes",
        "n_parameters",
        "accuracy_train",
        "accuracy_test",
        "licence",
    )
    cards = [sample_card(name) for name in samples()]
    rows = [
        {**{field: getattr(card, field) for field in fields}, "planted": card.planted and card.planted["kind"]} for card in cards
    ]
    if options.json:
        print_json(rows)
    else:
        print_table(rows, ("name", "title", "kind", "n_train", "n_test", "n_classes", "n_parameters", "accuracy_test"))
    return 0


def _studies(options: argparse.Namespace) -> int:
    from ntkviz.studies.hashing import plain
    from ntkviz.studies.store import Store

    entries = Store(options.home).list_studies()
    if options.json:
        print_json([plain({**asdict(entry), "spec": entry.spec and entry.spec.to_dict()}) for entry in entries])
        return 0
    rows = [
        {**entry.summary, **entry.summary.get("fidelity", {}), "key": entry.key[:12], "created": entry.created[:19]}
        for entry in entries
    ]
    print_table(rows, ("key", "created", "subject", "kernel", "surrogate", "n_train", "n_test", "kendall_tau", "agreement"))
    for entry in entries:
        if entry.problem:
            print(f"ntkviz: {entry.problem}", file=sys.stderr)
    return 0


def _jobs(options: argparse.Namespace) -> int:
    from ntkviz.studies.jobs import list_jobs

    jobs = list_jobs(options.home)
    if options.json:
        print_json([{**asdict(job), "specs": [spec.to_dict() for spec in job.specs]} for job in jobs])
        return 0
    rows = [{**asdict(job), "studies": len(job.specs), "percent": round(100 * job.fraction)} for job in jobs]
    print_table(rows, ("id", "state", "studies", "stage", "percent", "error"))
    return 0


def _serve(options: argparse.Namespace) -> int:
    from ntkviz.serving.serve import serve

    return serve(port=options.port, host=options.host, processes=options.processes, jobs=not options.no_jobs)


def _worker(options: argparse.Namespace) -> int:
    from ntkviz.studies.store import Store
    from ntkviz.studies.supervisor import supervise

    root = Store(options.home).home
    if not supervise(root, idle_seconds=options.idle):
        print(f"ntkviz: another worker serves {root} already", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> int:
    from ntkviz.studies.store import Store

    if options.job:
        from ntkviz.studies.worker import work

        return work(options.job, Store(options.home).home)
    from ntkviz.studies.pipeline import run_study
    from ntkviz.studies.quote import quote

    home = Store(options.home).home
    store = None if options.no_store else Store(home)
    subject = _subject(options, home)
    specs = _specs(options, subject)
    estimate = quote(specs, home=home)
    estimate.require_budget(None if store is None else home)
    line = None
    if not options.json:
        print(f"ntkviz: {estimate.sentence()}", file=sys.stderr)
        names = [f"{spec.subject_id} {spec.kernel} {spec.surrogate}" for spec in specs]
        line = ProgressLine(sys.stderr, names, estimate.per_spec)
    summaries = []
    for position, spec in enumerate(specs):
        if line is not None:
            line.position = position
        summaries.append(run_study(spec, store=store, on_progress=line, home=home).summary())
    if line is not None:
        line.done()
    if options.json:
        print_json(summaries[0] if len(summaries) == 1 else summaries)
    else:
        print_studies(summaries)
    return 0


def _specs(options: argparse.Namespace, subject: dict[str, str]) -> list:
    """One spec a combination of kernel and surrogate.

    Raises:
        InvalidStudy: when there is a time budget and no kernel to which it applies.
    """
    from ntkviz.studies.spec import InvalidStudy, StudySpec

    kinds = list(product(options.kernel or ["trntk"], options.surrogate or ["kglm"]))
    if options.budget is not None and "trntk" not in {kernel for kernel, _ in kinds}:
        raise InvalidStudy("--budget chooses between the kernel trntk and its sketches; ask for --kernel trntk.")
    return [
        StudySpec(
            **subject,
            kernel=kernel,
            surrogate=surrogate,
            normalize=not options.raw,
            n_train=options.n_train,
            n_test=options.n_test,
            seed=options.seed,
            kernel_options=_choices(options.kernel_option),
            surrogate_options=_choices(options.surrogate_option),
            budget_seconds=options.budget if kernel == "trntk" else None,
        )
        for kernel, surrogate in kinds
    ]


def _subject(options: argparse.Namespace, home: Path) -> dict[str, str]:
    """The sample or the upload of a spec; a person's own files are checked and taken in first.

    Raises:
        InvalidStudy: when it is not said which one, or more than one is.
    """
    from ntkviz.studies.spec import InvalidStudy

    own = [options.model, options.architecture, options.data]
    given = [options.sample is not None, options.upload is not None, any(path is not None for path in own)]
    if sum(given) != 1 or (given[2] and None in (options.model, options.data)):
        raise InvalidStudy(
            "Say what to study: --sample NAME, or --upload ID, or --model WEIGHTS (with --architecture JSON, unless it is a .pt2) --data FILE."
        )
    if options.sample:
        return {"sample": options.sample}
    if options.upload:
        return {"upload": options.upload}
    from ntkviz.studies.uploads import register_upload

    subject = register_upload(options.model, options.data, architecture=options.architecture, home=home)
    print(f"ntkviz: taken in as {subject.id}", file=sys.stderr)
    return {"upload": subject.id}


def _verify(options: argparse.Namespace) -> int:
    from ntkviz.studies.store import Store

    store = Store(options.home)
    faults = store.verify()
    if options.discard:
        for folder, _ in faults:
            store.discard(folder)
    usage = store.usage()
    if options.json:
        found = [{"folder": str(folder), "problem": problem} for folder, problem in faults]
        print_json({"damaged": found, "discarded": options.discard, **asdict(usage)})
    else:
        for folder, problem in faults:
            print(f"{'deleted' if options.discard else 'damaged'}: {folder}\n  {problem}")
        print(f"{len(faults)} damaged; {usage.n_studies} studies and {usage.n_kernels} kernels in {store.home}")
    return 1 if faults and not options.discard else 0


def _doctor(options: argparse.Namespace) -> int:
    from ntkviz.studies.doctor import examine
    from ntkviz.studies.store import Store

    findings = []
    for finding in examine(Store(options.home)):
        findings.append(finding)
        if not options.json:
            print(f"{'ok    ' if finding.ok else 'BROKEN'} {finding.name}: {finding.found}", flush=True)
            if not finding.ok:
                print(f"       next: {finding.next_step}", flush=True)
    ok = all(finding.ok for finding in findings)
    if options.json:
        print_json({"ok": ok, "findings": [asdict(finding) for finding in findings]})
    return 0 if ok else 1
