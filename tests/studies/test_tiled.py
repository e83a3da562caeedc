"""A kernel that is made tile by tile is the kernel, and an interruption costs the tile in hand and no bit."""

import numpy as np
import pytest

from ntkviz.errors import JobCancelled
from ntkviz.kernels import tiles
from ntkviz.studies import tiled
from ntkviz.studies.database import opened
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.shelf import Shelf, count_tiles
from ntkviz.studies.store import Store

KERNEL = "ab" * 32
COMPUTE = tiles.compute_tile


@pytest.fixture
def small_tiles(monkeypatch):
    """Kernels of 40 points go by tiles."""
    monkeypatch.setattr(tiled, "SIDE", 16)


class Computed:
    """Counts the tiles that were computed, and stops before one of them."""

    def __init__(self, monkeypatch, stop_before: int | None = None) -> None:
        self.names: list[str] = []
        self.stop_before = stop_before
        monkeypatch.setattr(tiles, "compute_tile", self)

    def __call__(self, model, x_train, x_rows, tile, **options):
        if len(self.names) == self.stop_before:
            raise JobCancelled("killed here")
        self.names.append(tile.name)
        return COMPUTE(model, x_train, x_rows, tile, **options)


def test_a_study_by_tiles_is_the_study(spec, store, tmp_path, monkeypatch):
    whole = run_study(spec(), store=Store(store.home))
    monkeypatch.setattr(tiled, "SIDE", 16)
    parts = run_study(spec(), home=store.home)
    np.testing.assert_allclose(parts.kernel, whole.kernel, atol=2e-6)
    np.testing.assert_allclose(parts.rows, whole.rows, atol=2e-6)
    np.testing.assert_array_equal(parts.kernel, parts.kernel.T)
    assert parts.notes == whole.notes


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("stopped", [0, 1, 4, 9])
def test_an_interrupted_kernel_goes_on_at_the_tile_in_hand_bit_for_bit(spec, store, monkeypatch, stopped):
    alone = run_study(spec(), home=store.home)
    first = Computed(monkeypatch, stopped)
    with pytest.raises(JobCancelled):
        run_study(spec(), store=store)
    assert count_tiles(store.home) == len(first.names) == stopped
    assert store.list_studies() == []
    again = Computed(monkeypatch)
    study = run_study(spec(), store=store)
    assert len(again.names) == 12 - stopped  # 3 blocks of 14: 6 tiles of the square, 3 x 2 of the rows
    assert not set(again.names) & set(first.names)
    assert study.kernel.tobytes() == alone.kernel.tobytes()
    assert study.rows.tobytes() == alone.rows.tobytes()
    assert count_tiles(store.home) == 0
    assert not list((store.home / "tiles").iterdir())


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("how", ["flipped", "truncated", "missing", "another"])
def test_a_damaged_tile_is_computed_again(spec, store, monkeypatch, how):
    alone = run_study(spec(), home=store.home)
    Computed(monkeypatch, 5)
    with pytest.raises(JobCancelled):
        run_study(spec(), store=store)
    path, other, *_ = sorted((store.home / "tiles").glob("*/*.npz"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    changed = {"flipped": bytes(content), "truncated": bytes(content[:100]), "another": other.read_bytes()}
    path.unlink() if how == "missing" else path.write_bytes(changed[how])
    again = Computed(monkeypatch)
    study = run_study(spec(), store=store)
    assert len(again.names) == 12 - 5 + 1
    assert study.kernel.tobytes() == alone.kernel.tobytes()


def test_a_tile_without_its_row_or_its_file_is_not_there(tmp_path):
    shelf = Shelf(tmp_path, KERNEL)
    shelf.put("a", values=np.arange(4.0), words=np.array(["loop", "Ünï"]))
    found = shelf.get("a")
    assert found is not None
    np.testing.assert_array_equal(found["values"], np.arange(4.0))
    assert found["words"].tolist() == ["loop", "Ünï"]
    assert Shelf(tmp_path, "cd" * 32).get("a") is None
    with opened(tmp_path) as connection:
        connection.execute("DELETE FROM tile")
    assert shelf.get("a") is None


def test_small_kernels_sketches_and_rounded_ones_are_computed_whole():
    assert tiled.goes_by_tiles("trntk", {}, tiled.SIDE + 1)
    assert not tiled.goes_by_tiles("trntk", {}, tiled.SIDE)
    assert not tiled.goes_by_tiles("trntk", {"arithmetic": "int8"}, tiled.SIDE + 1)
    assert not tiled.goes_by_tiles("hybrid_trntk", {}, tiled.SIDE + 1)
