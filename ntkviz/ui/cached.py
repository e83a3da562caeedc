"""Results that pages share, opened once: each wraps one call of a lower room, keyed by what decides its content.

``st.cache_resource`` hands out the very same object: nobody may change it (the store's arrays are read-only anyway).
"""

import streamlit as st

from ntkviz.studies.store import Store, ntkviz_home
from ntkviz.studies.study import KernelRun, Study
from ntkviz.studies.subjects import find_subject, subject_data
from ntkviz.types import Dataset


def store() -> Store:
    """The store of this server."""
    return Store()


def study(key: str) -> Study:
    """A finished study.

    Raises:
        KeyError: when there is none of that key.
        StoreCorrupted: when its files are damaged.
    """
    return _study(str(ntkviz_home()), key)


def kernel_blocks(kernel_key: str) -> KernelRun:
    """A stored kernel, not normalised, with its points; ``.blocks.normalised()`` is the cosine version.

    Raises:
        KeyError: when there is none of that key.
        StoreCorrupted: when its files are damaged.
    """
    return _kernel(str(ntkviz_home()), kernel_key)


def dataset(subject_id: str) -> Dataset:
    """The whole data of a subject, indexed by a study's ``train_index`` and ``test_index``.

    Raises:
        InvalidStudy: when there is no such subject.
        StoreCorrupted: when its files are damaged.
    """
    home = ntkviz_home()
    return _dataset(str(home), subject_id, find_subject(subject_id, home=home).content_sha256())


@st.cache_resource(max_entries=6, show_spinner="Opening the study …")
def _study(home: str, key: str) -> Study:
    return Store(home).load_study(key)


@st.cache_resource(max_entries=6, show_spinner="Opening the kernel …")
def _kernel(home: str, kernel_key: str) -> KernelRun:
    return Store(home).load_kernel(kernel_key)


@st.cache_resource(max_entries=4, show_spinner="Reading the data …")
def _dataset(home: str, subject_id: str, content: str) -> Dataset:
    return subject_data(subject_id, home=Store(home).home)
