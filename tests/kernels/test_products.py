"""Products of a kernel: to all digits, quick, and as many as there are columns."""

import numpy as np

from ntkviz.kernels.products import KernelProducts


def test_every_way_gives_the_product() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((300, 300)).astype(np.float32)
    columns = rng.standard_normal((300, 3))
    true = (kernel.astype(np.float64) + kernel.T) / 4 @ columns
    single, double = KernelProducts((kernel + kernel.T) / 4), KernelProducts.of(kernel, 2.0)
    assert single.single
    assert not double.single
    np.testing.assert_allclose(single.times(columns), true, atol=1e-5)
    np.testing.assert_allclose(single.quick(columns), true, atol=1e-4)
    np.testing.assert_allclose(double.times(columns), true, rtol=1e-12)
    np.testing.assert_allclose(double.quick(columns), true, rtol=1e-12)


def test_products_of_other_matrices_keep_all_digits() -> None:
    rng = np.random.default_rng(1)
    tall, few = rng.standard_normal((200, 7)), rng.standard_normal((7, 4))
    for products in (KernelProducts(np.eye(200, dtype=np.float32)), KernelProducts(np.eye(200))):
        np.testing.assert_allclose(products.matmul(tall, few), tall @ few, rtol=1e-12)
        np.testing.assert_allclose(products.matmul(tall.T, tall), tall.T @ tall, rtol=1e-12)
