"""What the pages remember between reruns, by name. :mod:`ntkviz.ui.state` refuses any other name."""

from collections.abc import Callable

#: Of the studies, server and layout.
STUDY_KEYS = {
    "study": "key (sha256) of the study that all pages show",
    "point": "id of the test point that is explained: its position in the subject's whole test split",
    "example": "id of the training example that is looked at: its position in the whole training split",
    "test_set": "ids of test points that are chosen together: from an area of the map, rows of a table, or typed",
    "train_set": "ids of training points that are chosen together, likewise",
    "selection_for": "subject that the selected points belong to",
    "job": "id of the job that the page follows",
    "share": "what a link to somebody else's study carries: the session shows that study alone as long as it is set",
    "fp": "fingerprint of what a link that was opened showed, after the beginning of its study's key",
    "fp_for": "study that was computed from such a link, whose fingerprint it is compared with",
    "spec": "how the study of such a link was made, packed",
    "watched": "id of a job that was under way in this session: its study opens when it ends",
    "source": "where the next study comes from: a sample, or files that somebody brings",
    "subject": "id of the sample or upload that the next study is of",
    "kernels": "kernels of the next studies",
    "surrogates": "surrogates of the next studies",
    "normalize": "form of the kernel in the next studies: cosine or raw",
    "options": "options of kernels and surrogates in the next studies, by kind and name",
    "n_train": "N of the next studies",
    "n_test": "M of the next studies",
    "seed": "seed of the next studies",
    "budget": "seconds that the trace NTK of the next studies may take before a sketch stands for it; 0 for no limit",
    "upload_architecture": "registry key of the architecture of an upload, or how it is given",
    "upload_normalise": "how an upload's inputs are normalised before its first layer",
    "upload_report": "what the last check of an upload found",
    "flash": "a sentence to show once, after the rerun",
    "health": "what the last examination of the server found",
}

#: Of the pages kernels, fidelity, explain, map and learn: one row a value that outlives a rerun.
VIEW_KEYS: dict[str, str] = {
    "kernels_shown": "kernels that the page Kernels compares, by key",
    "kernel_form": "whether the page Kernels shows cosines or raw values",
    "similarity_kernel": "kernel whose similarity between classes is shown",
    "compare": "studies that the page Compare lays side by side, by the beginnings of their keys",
    "compare_measure": "measure of fidelity that is drawn there against the cost",
    "compare_cost": "what counts as the cost: seconds or memory",
    "compare_method": "how the maps are drawn there",
    "compare_k": "how many nearest training points are compared there",
    "sweep_kind": "projected kernel whose sizes are swept",
    "sweep_sizes": "sizes of the projection that are swept",
    "sweep_seeds": "projections of each size",
    "sweep_shown": "sweep that is shown",
    "shown": "which test points are listed: all, network wrong, surrogate differs",
    "shown_class": "true class of the test points that are listed, or all",
    "order": "order of the list of test points",
    "explain_for": "study and test point that the class chosen on the page Explain belongs to",
    "explain_class": "class that the page Explain explains",
    "explain_against": "class that it is compared with",
    "asked_studies": "other finished studies of the same points that the page Explain puts the same question to, by key",
    "asked_kind": "what is compared there: removal effects, shares or similarities",
    "layers_of": "what the page Explain splits by layer: removal effect, share or similarity",
    "top": "how many training examples stand on each side of an explanation",
    "measured": "what was asked to be measured there against retraining, by study",
    "fitted": "surrogates that were fitted on the page Fidelity, by study",
    "map_method": "how the map is drawn",
    "map_colour": "what the map's points are coloured by",
    "map_seed": "seed of the map",
    "map_size": "size of the neighbourhoods that the map keeps",
    "map_test": "whether the map shows test points",
    "map_filter": "column that the map's points are filtered by",
    "map_range": "lower and upper end of that column's values that are shown",
    "map_range_of": "numeric column that these ends belong to",
    "map_states": "states of that column that are shown, where it has states rather than numbers",
    "map_edges": "how many neighbours of the chosen point are drawn",
    "map_mouse": "what the mouse does on the map: click a point, or draw a lasso or a box around several",
    "audit_method": "score that the page Audit ranks suspicious labels by",
    "audit_shown": "how many training points the page Audit shows of a ranking",
    "audit_suspects": "where the suspects of a backdoor come from: every class, a confusion, somebody's choice, or a mark in the data",
    "audit_cell": "confusion that the audit for a backdoor asks about, as true:predicted",
    "audit_class": "class whose carriers, or whose prototypes, the page Audit shows",
    "audit_threshold": "cosine from which on training points are called near duplicates",
    "audit_prototypes": "how many prototypes of each class are chosen",
    "fix_list": "what was decided about training points, by study: (audit, position) -> fix",
    "edits": "edits of the training set that are tried out, by study: a tuple, the last one is undone first",
    "edit_label": "class that the next relabelling gives",
    "edit_times": "copies that the next duplication adds",
    "flip_size": "how many training points may be removed at most to flip a prediction",
    "flip_for": "study and test point whose smallest flipping set was asked for",
    "behaviour_kind": "how the test points of a behaviour are chosen",
    "behaviour_cell": "cell of the confusion matrix whose test points are explained, as true:predicted",
    "behaviour_group": "what training points are grouped by when a behaviour is explained",
    "verify_for": "study whose edits are to be checked by retraining: the plan is open",
    "verify_seeds": "seeds from which each network of that check is trained",
    "verified": "file of the check that is shown",
    "truth_for": "study whose network is to be retrained on parts of its training set: the plan is open",
    "truth_subsets": "random halves that it is retrained on",
    "removal_for": "study whose lists of examples are to be compared by removing them and retraining: the plan is open",
    "removal_points": "test points that are tried there",
    "removal_seeds": "seeds from which each network is trained there",
    "removal_sizes": "how many examples are taken away there",
    "removal_shown": "file of the removal that is shown",
    "recipe_optimiser": "optimiser of the recipe by which a network without a known one is retrained",
    "recipe_epochs": "epochs of that recipe",
    "recipe_rate": "learning rate of that recipe",
    "recipe_decay": "weight decay of that recipe",
    "recipe_batch": "points in a minibatch of that recipe",
    "recipe_seed": "first seed of that recipe",
    "lesson_x": "where the first lesson asks about its two-parameter network",
    "lesson_example": "which example takes a step in the first lesson",
    "lesson_rate": "size of that step",
    "lesson_query": "where the first lesson asks about the network on the plane",
    "lesson_guess": "what was guessed there, by question",
    "lesson_own": "what was guessed on the study on show, by question",
    "docs_page": "page of the documentation that is open on the page Learn",
}

KEYS = STUDY_KEYS | VIEW_KEYS


#: Ids that take more characters than this stand in the address by a hash, and lie in the person's folder.
LONGEST_IDS = 1500
#: Digits of a study's key that name it in a list in the address.
SHORT_KEY = 12


def _text(value: str) -> str:
    return value[:128]


def _ids(value: str) -> list[int]:
    found = [int(word) for word in value.split(".")] if len(value) <= LONGEST_IDS else []
    if not found or not all(0 <= one < 2**31 for one in found):
        raise ValueError(f"Expected ids with dots between them, at most {LONGEST_IDS} characters; got {value[:40]!r}.")
    return found


def _keys(value: str) -> list[str]:
    found = value.split(".") if len(value) <= 20 * SHORT_KEY else []
    if not found or not all(len(one) == SHORT_KEY and set(one) <= set("0123456789abcdef") for one in found):
        raise ValueError(f"Expected beginnings of keys with dots between them; got {value[:40]!r}.")
    return found


def _packed(value: str) -> str:
    if len(value) > LONGEST_IDS or not value.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"Expected letters, digits, - and _, at most {LONGEST_IDS} characters; got {value[:40]!r}.")
    return value


def address_text(value: object) -> str:
    """A value as it stands in the address; empty when it does not: nothing was chosen, or it is a list of very many ids."""
    if isinstance(value, list | tuple):
        text = ".".join(map(str, value))
        return text if len(text) <= LONGEST_IDS else ""
    return "" if value is None else str(value)


#: The names that also stand in the address, and how the text there becomes a value (a ValueError drops it).
ADDRESS: dict[str, Callable[[str], object]] = {
    "study": _text,
    "point": int,
    "example": int,
    "test_set": _ids,
    "train_set": _ids,
    "job": _text,
    "share": _text,
    "fp": _text,
    "spec": _packed,
    "compare": _keys,
    "explain_class": int,
    "explain_against": int,
    "behaviour_kind": _text,
    "behaviour_cell": _text,
}

#: Of these the lists of ids; one that is too long stands in the address by its hash, see :mod:`ntkviz.ui.long_ids`.
ID_LISTS = frozenset(name for name, parse in ADDRESS.items() if parse is _ids)
