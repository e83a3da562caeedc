"""The reference against closed forms and finite differences: nothing else vouches for it."""

import numpy as np
import torch
from torch import nn

from ntkviz.gradients.reference import entk_reference, gram_reference, jacobian_reference, relative_error


def test_a_linear_model_has_the_gram_matrix_of_its_inputs():
    x = torch.randn(5, 4, dtype=torch.float64)
    k = gram_reference(nn.Linear(4, 3), x)
    np.testing.assert_allclose(k, 3 * (x @ x.T + 1).numpy(), rtol=1e-12)


def test_the_jacobian_equals_central_differences():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x = torch.randn(3, 3, dtype=torch.float64)
    jac = jacobian_reference(model, x)
    flat = nn.utils.parameters_to_vector(model.parameters()).detach()
    eps, column = 1e-6, 7
    sides = []
    for sign in (1, -1):
        moved = flat.clone()
        moved[column] += sign * eps
        nn.utils.vector_to_parameters(moved, model.parameters())
        sides.append(model(x).detach())
    np.testing.assert_allclose(jac[:, :, column], ((sides[0] - sides[1]) / (2 * eps)).numpy(), atol=1e-8)


def test_the_trace_over_classes_of_the_full_ntk_is_the_trace_ntk():
    model, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.randn(4, 3)
    full = entk_reference(model, x).reshape(4, 2, 4, 2)
    np.testing.assert_allclose(np.einsum("ncmc->nm", full), gram_reference(model, x), rtol=1e-10)


def test_the_reference_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 2)).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    jacobian_reference(model, torch.randn(2, 3))
    assert model.training
    assert model[0].weight.dtype == torch.float32
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_an_error_in_one_entry_is_seen():
    k = np.eye(3)
    wrong = k.copy()
    wrong[0, 1] = 1e-3
    assert relative_error(wrong, k, np.ones(3), np.ones(3)) == 1e-3
    assert relative_error(wrong, k, np.zeros(3), np.ones(3)) == np.inf
