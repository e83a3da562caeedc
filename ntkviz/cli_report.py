"""``python -m ntkviz report``: a study, or the explanation of one test point, as a file that opens offline or as a program."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ntkviz.cli_export import count
from ntkviz.cli_output import print_json
from ntkviz.errors import NtkvizError
from ntkviz.studies.errors import InvalidStudy

if TYPE_CHECKING:
    from ntkviz.studies.store import Store


def add_report_arguments(command: argparse.ArgumentParser) -> None:
    """The options of the command.

    Args:
        command: gets them.
    """
    command.description = (
        "Write a study, or with --point the explanation of a test point, as one HTML file that opens offline. With --point and a file "
        "that ends in .py or .ipynb: a program that computes the explanation again and says how far it is from the stored one."
    )
    command.add_argument("--study", default="latest", metavar="KEY", help="the beginning of a study's key, or latest")
    command.add_argument("--point", type=int, metavar="ID", help="a test point; without it the study as a whole")
    command.add_argument("--class", dest="label", metavar="NAME", help="class to explain; default the network's prediction")
    command.add_argument("--against", metavar="NAME", help="class to compare it with")
    command.add_argument("--top", type=count, default=8, metavar="K", help="training examples on each side (default %(default)s)")
    command.add_argument("--to", type=Path, required=True, metavar="FILE", help="FILE.html; with --point also .py or .ipynb")


def report(options: argparse.Namespace) -> int:
    """Run the command.

    Args:
        options: as parsed.

    Returns:
        the exit code.

    Raises:
        InvalidStudy: when the file, the point or a class is none that there is.
        NtkvizError: when the request cannot be fulfilled otherwise.
    """
    from ntkviz.studies.disk import replace_file
    from ntkviz.studies.store import Store

    target: Path = options.to
    if target.suffix not in {".html", ".py", ".ipynb"} or (options.point is None and target.suffix != ".html"):
        raise InvalidStudy(f"--to takes FILE.html, and with --point also FILE.py or FILE.ipynb; got {target.name!r}.")
    if not target.absolute().parent.is_dir():
        raise NtkvizError(f"There is no folder {target.absolute().parent}. Make it, or name another file with --to.")
    store = Store(options.home)
    key = store.find(options.study)
    text = _study(store, key) if options.point is None else _explanation(store, key, options)
    replace_file(target.absolute(), text.encode())
    if options.json:
        print_json({"study": key, "point": options.point, "file": str(target), "bytes": len(text.encode())})
    else:
        print(f"{target}: {len(text.encode()):,} bytes")
    return 0


def _study(store: "Store", key: str) -> str:
    from ntkviz.reports.study import study_report
    from ntkviz.studies.subjects import find_subject

    study = store.load_study(key)
    try:
        subject = find_subject(study.spec.subject_id, home=store.home)
    except NtkvizError:  # an upload that was deleted: its studies stay
        subject = None
    return study_report(study, store=store, subject=subject)


def _explanation(store: "Store", key: str, options: argparse.Namespace) -> str:
    from ntkviz.reports import reproduce
    from ntkviz.reports.explanation import Question, explanation_report
    from ntkviz.studies.subjects import subject_data
    from ntkviz.studies.trusted import badges

    study = store.load_study(key)
    ids = study.test_index.tolist()
    if options.point not in ids:
        raise InvalidStudy(
            f"Test point {options.point} is not in this study; it has {len(ids)}, among them {', '.join(map(str, ids[:8]))}."
        )
    label, against = (_class(study.class_names, name) for name in (options.label, options.against))
    if against is not None and study.surrogate.n_classes == 1:
        raise InvalidStudy("A network with one logit always compares its two classes; leave --against out.")
    asked = Question(ids.index(options.point), label, against, options.top)
    try:
        if options.to.suffix != ".html":
            parts = reproduce.cells(study, asked.m, label=label, against=against, k=options.top, home=store.home)
            return (reproduce.script if options.to.suffix == ".py" else reproduce.notebook)(parts)
        data = subject_data(study.spec.subject_id, home=store.home)
        return explanation_report(study, data, asked, store=store, badges=badges(study))
    except ValueError as error:  # a class compared with itself
        raise InvalidStudy(str(error)) from error


def _class(names: tuple[str, ...], name: str | None) -> int | None:
    if name is None:
        return None
    if name not in names:
        raise InvalidStudy(f"There is no class {name!r}; the study has: {', '.join(names)}.")
    return names.index(name)
