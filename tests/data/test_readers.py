"""Laws of the one door: whatever comes in, a data set or a sentence goes out."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ntkviz.data import readers
from ntkviz.data.options import Limits, Missing, ReadOptions
from ntkviz.data.readers import ACCEPTED, read_dataset
from ntkviz.errors import UploadRejected
from ntkviz.types import DataKind
from tests.data.files import put, valid_files

FILES = valid_files()
FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def read_or_refuse(path: Path, options: ReadOptions) -> str:
    """The refusal, or "" when the file was read; any other error fails the test."""
    try:
        dataset = read_dataset(path, options=options)
    except UploadRejected as error:
        return str(error)
    assert np.isfinite(dataset.x_train).all()
    assert set(dataset.y_train.tolist()) == set(range(dataset.n_classes))
    return ""


@pytest.mark.parametrize("suffix", ACCEPTED)
def test_every_accepted_ending_is_read(suffix: str, tmp_path: Path) -> None:
    dataset = read_dataset(put(tmp_path, f"set{suffix}", FILES[suffix]))
    assert dataset.name == "set"
    assert len(dataset.y_train) + len(dataset.y_test) == 12
    assert dataset.meta is not None
    assert dataset.meta["split"].tolist() == ["train"] * len(dataset.y_train) + ["test"] * len(dataset.y_test)


@pytest.mark.parametrize("suffix", ACCEPTED)
@FUZZ
@given(content=st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_in_a_sentence(suffix: str, tmp_path: Path, content: bytes) -> None:
    message = read_or_refuse(put(tmp_path, f"x{suffix}", content), ReadOptions())
    assert len(message) < 700


@pytest.mark.parametrize("suffix", ACCEPTED)
@FUZZ
@given(data=st.data())
def test_mutated_files_are_read_or_refused(suffix: str, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(FILES[suffix])
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(content)))
        end = min(len(content), start + data.draw(st.integers(0, 8)))
        content[start:end] = data.draw(st.binary(max_size=8))
    kind: DataKind | None = data.draw(st.sampled_from([None, "image", "text", "tabular"]))
    missing: Missing = data.draw(st.sampled_from(["refuse", "drop"]))
    message = read_or_refuse(put(tmp_path, f"x{suffix}", bytes(content)), ReadOptions(kind=kind, missing=missing))
    assert len(message) < 700


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@FUZZ
@given(content=st.text(max_size=300))
def test_arbitrary_text_inside_gzip_is_read_or_refused(suffix: str, tmp_path: Path, content: str) -> None:
    packed = gzip.compress(content.encode("utf-8", "surrogatepass"))
    read_or_refuse(put(tmp_path, f"x{suffix}.gz", packed), ReadOptions())


@pytest.mark.parametrize("name", ["x.pkl", "x.parquet", "x.xyz", "x", "x.gz", ".csv", "x.npy", "x.tar.gz"])
def test_other_endings_are_answered_with_the_accepted_ones(name: str, tmp_path: Path) -> None:
    with pytest.raises(UploadRejected, match=r"\.npz, \.csv, \.csv\.gz, \.jsonl, \.jsonl\.gz, \.zip"):
        read_dataset(put(tmp_path, name, b"anything"))


def test_a_pickle_is_answered_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UploadRejected, match=r"numpy\.savez_compressed"):
        read_dataset(put(tmp_path, "data.pkl", b"\x80\x04."))


def test_capitals_in_the_ending_do_not_matter(tmp_path: Path) -> None:
    assert read_dataset(put(tmp_path, "SET.CSV", FILES[".csv"])).kind == "tabular"


@pytest.mark.parametrize("name", ["missing.csv", "folder.csv", "null\0.csv"])
def test_what_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UploadRejected, match="Expected a file"):
        read_dataset(tmp_path / name)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UploadRejected, match="empty file"):
        read_dataset(put(tmp_path, "x.csv", b""))


def test_a_file_beyond_the_limit_is_refused_with_both_sizes(tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", b"a,label\n" + b"1,2\n" * 1_000_000)
    with pytest.raises(UploadRejected, match=r"at most 3 MB; got 4\.0 MB"):
        read_dataset(path, options=ReadOptions(limits=Limits(file_mb=3)))


@pytest.mark.parametrize("suffix", ACCEPTED)
def test_too_many_points_are_refused(suffix: str, tmp_path: Path) -> None:
    path = put(tmp_path, f"x{suffix}", FILES[suffix])
    with pytest.raises(UploadRejected, match="at most 11 data points"):
        read_dataset(path, options=ReadOptions(limits=Limits(rows=11)))
    assert read_dataset(path, options=ReadOptions(limits=Limits(rows=12))).n_classes >= 2


@pytest.mark.parametrize("suffix", [".csv.gz", ".jsonl.gz"])
def test_a_gzip_bomb_is_unpacked_no_further_than_the_limit(suffix: str, tmp_path: Path) -> None:
    path = put(tmp_path, f"x{suffix}", gzip.compress(b"a" * 20_000_000))
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(UploadRejected, match="at most 2 MB unpacked"):
            read_dataset(path, options=ReadOptions(limits=Limits(inflated_mb=2)))
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".csv.gz", ".jsonl.gz"])
def test_a_truncated_gzip_is_refused(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(UploadRejected, match="whole gzip file"):
        read_dataset(put(tmp_path, f"x{suffix}", FILES[suffix][:-12]))


def test_reading_is_deterministic_and_the_seed_decides_the_split(tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", FILES[".csv"])
    first, again, other = (read_dataset(path, options=ReadOptions(seed=seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.x_test, again.x_test)
    assert not np.array_equal(first.x_test, other.x_test)
    assert "seed 3" in " ".join(first.notes)


@pytest.mark.parametrize("mode", ["team", "teaching"])
def test_servers_for_others_read_less(mode: str) -> None:
    mine, theirs = Limits(), Limits.for_mode(mode)
    assert theirs.file_mb < mine.file_mb
    assert theirs.rows < mine.rows
    assert theirs.pixels < mine.pixels


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(ValueError, match="'public'"):
        Limits.for_mode("public")


@pytest.mark.parametrize(
    "options",
    [
        {"test_fraction": 0.0},
        {"test_fraction": 1.0},
        {"test_fraction": float("nan")},
        {"text_length": 0},
        {"vocabulary_size": 1},
        {"image_size": (0, 5)},
        {"image_size": (100_000, 100_000)},
        {"missing": "guess"},
    ],
)
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ReadOptions(**options)


@pytest.mark.parametrize(
    ("fault", "match"), [(RuntimeError("inner"), r"cannot be read \(RuntimeError\)"), (MemoryError(), "fit into the memory")]
)
def test_a_fault_inside_a_reader_never_leaves_as_a_traceback(
    fault: Exception, match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reader(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setitem(readers._READERS, ".csv", reader)
    with pytest.raises(UploadRejected, match=match):
        read_dataset(put(tmp_path, "x.csv", FILES[".csv"]))
