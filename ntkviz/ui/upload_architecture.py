"""Which network do the weights belong to? Chosen from the registry with its options, or given as a JSON specification."""

import json
from typing import Any

import streamlit as st

from ntkviz.errors import UploadRejected
from ntkviz.ui import state, upload_examples
from ntkviz.ui.architecture_rows import OptionRow, architecture_rows

_HOW = {"guess": "Guess", "list": "From a list", "json": "Specification (JSON)"}
#: Stands for an architecture that is to be guessed.
GUESS: dict[str, Any] = {}
_MAX_JSON = 1_000_000
NORMALISE = {
    "none": "None: the network takes inputs as they are in the data (images: 0 to 1)",
    "given": "Subtract a mean and divide by a standard deviation",
    "spec": "As the specification says",
}


def choose_architecture() -> dict[str, Any] | str | None:
    """Draw the choices.

    Returns:
        A specification without normalisation, the JSON as typed, :data:`GUESS`, or ``None`` while nothing is given.

    Raises:
        NtkvizError: when the list of architectures cannot be had.
    """
    how = state.sticky(
        st.segmented_control,
        "Architecture",
        key="upload_architecture",
        default="guess",
        options=list(_HOW),
        required=True,
        format_func=_HOW.__getitem__,
        help="Weights are numbers without a network: which layers do they fill? Guess: the check reads their names and shapes.",
    )
    if how == "guess":
        st.caption("The check reads names and shapes and proposes a specification that fits them, for you to confirm.")
        return GUESS
    return _from_list() if how == "list" else _from_json()


def _from_list() -> dict[str, Any]:
    rows = architecture_rows()
    key = st.selectbox("Network", list(rows), format_func=lambda key: rows[key].title, key="_upload_network")
    row = rows[key]
    st.caption(f"{row.summary} Reads: {', '.join(row.kinds)}. {row.source}.")
    options = {}
    columns: list[Any] = []
    for name, option in row.options.items():
        if not columns:
            columns = list(st.columns(2))
        with columns.pop(0):
            options[name] = _widget(f"_upload_{key}_{name}", name, option)
    return {"name": key, "options": options}


def _widget(key: str, name: str, option: OptionRow) -> Any:
    """The widget for an option of an architecture."""
    label = name.replace("_", " ").capitalize()
    if option.type == "bool":
        return st.toggle(label, value=option.default, key=key, help=option.help)
    if option.type == "choice":
        return st.selectbox(label, option.choices, index=option.choices.index(option.default), key=key, help=option.help)
    if option.type == "ints":
        text = st.text_input(
            label, value=", ".join(map(str, option.default)), key=key, help=f"{option.help} Numbers with commas."
        )
        return whole_numbers(text)
    if option.type == "float":
        return st.number_input(
            label,
            value=float(option.default),
            min_value=None if option.minimum is None else float(option.minimum),
            max_value=None if option.maximum is None else float(option.maximum),
            step=0.05,
            key=key,
            help=option.help,
        )
    low = None if option.minimum is None else int(option.minimum)
    high = None if option.maximum is None else int(option.maximum)
    return st.number_input(label, value=option.default, min_value=low, max_value=high, step=1, key=key, help=option.help)


def _from_json() -> str | None:
    file = st.file_uploader("Specification file", type=["json"], key="_upload_json_file", max_upload_size=1)
    text = st.text_area(
        "or paste it",
        key="_upload_json",
        height=170,
        placeholder=json.dumps(upload_examples.NAMED, indent=1),
        help="Either a name of the list with options, or a list of layers.",
    )
    st.download_button(
        "Example specification",
        upload_examples.specification_json(),
        file_name="architecture.json",
        mime="application/json",
        icon=":material/download:",
        on_click="ignore",
        key="example_json",
        type="tertiary",
    )
    if file is not None:
        return file.getvalue().decode("utf-8", "replace")
    return text or None


def choose_normalisation(*, from_json: bool) -> tuple[str | None, str, str]:
    """Draw the choice of normalisation; its key (``None`` while nobody chose), mean and standard deviation as typed."""
    possible = [key for key in NORMALISE if key != "spec" or from_json]
    how = st.radio(
        "Normalisation before the first layer",
        possible,
        index=None,
        format_func=NORMALISE.__getitem__,
        key="_upload_normalise",
        help="The commonest mistake: weights that were trained on normalised inputs answer nonsense on others. There is no default here.",
    )
    if how != "given":
        return how, "", ""
    left, right = st.columns(2)
    hint = "One number, or one for each channel or column, with commas."
    mean = left.text_input("Mean", key="_upload_mean", placeholder="0.1307", help=hint)
    std = right.text_input("Standard deviation", key="_upload_std", placeholder="0.3081", help=hint)
    return how, mean, std


def specification(architecture: dict[str, Any] | str, how: str, mean: str, std: str) -> dict[str, Any]:
    """The specification that the check is given.

    Args:
        architecture: from the list, or JSON as typed.
        how: key of :data:`NORMALISE`.
        mean: as typed.
        std: as typed.

    Returns:
        JSON types; whether they describe a network, the child finds out.

    Raises:
        UploadRejected: when the text is no JSON object, or the numbers are none, or normalisation is given twice.
    """
    spec = _parsed(architecture) if isinstance(architecture, str) else dict(architecture)
    has_own = spec.get("normalise") is not None
    if how == "spec" and not has_own:
        raise UploadRejected(
            "The specification has no `normalise`; expected it to say mean and std. Add it, or choose another way."
        )
    if how != "spec" and has_own:
        raise UploadRejected(
            f"The specification has its own `normalise`, and {NORMALISE[how].lower()!r} was chosen. Choose {NORMALISE['spec']!r}, or take it out."
        )
    if how == "given":
        spec["normalise"] = {"mean": numbers(mean, "mean"), "std": numbers(std, "standard deviation")}
    return spec


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > _MAX_JSON:
        raise UploadRejected(f"A specification is at most {_MAX_JSON:,} characters; got {len(text):,}. Bring the layers only.")
    try:
        spec = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UploadRejected(f"The specification is no JSON ({str(error)[:120]}). Compare it with the example.") from error
    if not isinstance(spec, dict):
        raise UploadRejected(f"The specification is a JSON object with `name` or `layers`; got a {type(spec).__name__}.")
    return spec


def whole_numbers(text: str) -> list[int] | str:
    """Whole numbers with commas between them as a list; the text itself when it is none, for the check to refuse."""
    try:
        return [int(part) for part in text.replace(";", ",").split(",") if part.strip()]
    except ValueError:
        return text


def numbers(text: str, what: str) -> list[float]:
    """Numbers with commas between them.

    Args:
        text: as typed.
        what: what they are, for the message.

    Raises:
        UploadRejected: when a part is no number, or there is none.
    """
    try:
        found = [float(part) for part in text.replace(";", ",").split(",") if part.strip()]
    except ValueError as error:
        raise UploadRejected(f"The {what} must be numbers with commas between them; got {text[:60]!r}.") from error
    if not found:
        raise UploadRejected(f"The {what} is empty; expected one number, or one for each channel or column.")
    return found
