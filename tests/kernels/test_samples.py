"""Kernels of the bundled networks against the float64 reference."""

import numpy as np
import pytest

from ntkviz.data.sample import samples
from ntkviz.gradients.reference import gram_reference, relative_error
from ntkviz.kernels.matrix import kernel_blocks
from ntkviz.models.sample import load_sample


@pytest.mark.parametrize("name", samples())
def test_the_trace_ntk_of_every_sample_is_the_reference(name):
    sample = load_sample(name)
    x, z = sample.data.x_train[:4], sample.data.x_test[:3]
    blocks = kernel_blocks(sample.model, x, z)
    truth, rows = gram_reference(sample.model, x), gram_reference(sample.model, z, x)
    dx, dz = np.diag(truth), np.diag(gram_reference(sample.model, z))
    assert relative_error(blocks.train, truth, dx, dx) < 2e-5
    assert relative_error(blocks.rows, rows, dz, dx) < 2e-5
    np.testing.assert_allclose(blocks.rows_diagonal, dz, rtol=1e-4)
