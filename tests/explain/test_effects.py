"""Removal effects are what a fit without the point says; comparators are what their papers define."""

import copy

import numpy as np
import pytest
import torch
from scipy.special import softmax

from ntkviz.explain import effects as effects_file
from ntkviz.explain import klr_refit
from ntkviz.explain.attribute import attribute
from ntkviz.explain.effects import RemovalEffects
from ntkviz.explain.log_odds import contrast_log_odds, on_log_odds
from ntkviz.explain.registry import attributions
from ntkviz.kernels import products
from ntkviz.kernels.comparators import margin_blocks
from ntkviz.scores import log_odds_heads, scores_of
from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.logistic import one_hot, solve_logistic
from tests.cases import CASES

LAM = 0.05


def problem(n: int = 60, c: int = 3, m: int = 4, seed: int = 0, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A Gaussian kernel of points in five dimensions, labels with some noise, and rows of further points."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n + m, 5))
    y = (x[:n] @ rng.standard_normal((5, max(c, 2)))).argmax(1)
    y[:5] = rng.integers(0, max(c, 2), 5)
    kernel = scale * np.exp(-((x[:, None] - x[None, :n]) ** 2).sum(-1) / 5)
    return kernel[:n], y, kernel[n:]


def weighted_scores(kernel: np.ndarray, y: np.ndarray, rows: np.ndarray, weights: np.ndarray, c: int) -> np.ndarray:
    """Scores of a logistic fit with weighted points, solved to the end; made to sum to 0 over classes."""
    found = solve_logistic(
        kernel, one_hot(y, c), lam=LAM, sample_weight=weights, tol=1e-11, max_iter=200, on_progress=lambda *_: None
    )
    scores = rows @ found.coefficients + found.offset
    return scores - (scores.mean(1, keepdims=True) if c > 1 else 0)


def newton_steps(scores: np.ndarray, kernel: np.ndarray, y: np.ndarray, rows: np.ndarray, lam: float) -> np.ndarray:
    """By how much scores of rows fall in one Newton step of the fit without each point, ``[M, C, N]``: the dense system, solved as it is defined."""
    (n, c), values, vectors = scores.shape, *np.linalg.eigh(kernel)
    features = np.hstack([vectors * np.sqrt(np.maximum(values, 0)), np.ones((n, 1))])
    asked = np.hstack([rows @ vectors / np.sqrt(np.maximum(values, 1e-300)), np.ones((len(rows), 1))])
    p = 1 / (1 + np.exp(-scores)) if c == 1 else softmax(scores, axis=1)
    pulls = (y[:, None] == (np.arange(c) if c > 1 else 1)) - p
    bends = (p * (1 - p))[:, :, None] if c == 1 else p[:, :, None] * np.eye(c) - p[:, :, None] * p[:, None]
    each = np.einsum("na,nb,ncd->nacbd", features, features, bends).reshape(n, (n + 1) * c, (n + 1) * c)
    hessian = each.sum(0) + lam * np.diag(np.repeat(np.append(np.ones(n), 0.0), c))
    out = np.empty((len(rows), c, n))
    for i in range(n):
        step = np.linalg.lstsq(hessian - each[i], np.einsum("a,c->ac", features[i], pulls[i]).ravel(), rcond=1e-13)[0]
        out[:, :, i] = asked @ step.reshape(n + 1, c)
    return out


@pytest.mark.parametrize("c", [1, 2, 3])
def test_influence_is_the_derivative_by_a_points_weight(c: int):
    kernel, y, rows = problem(c=c)
    fit = fit_surrogate(kernel, y, kind="klr", lam=LAM, tol=1e-10, n_classes=c)
    a = attribute(fit, rows, kind="removal_klr", kernel=kernel, labels=y)
    assert a.shape == (4, c, 60)
    for i in (0, 3, 17, 40):
        more, less = np.ones(60), np.ones(60)
        more[i], less[i] = 1.001, 0.999
        numeric = (weighted_scores(kernel, y, rows, more, c) - weighted_scores(kernel, y, rows, less, c)) / 0.002
        np.testing.assert_allclose(a[:, :, i], numeric, atol=1e-3 * np.abs(a).max())


def test_a_newton_step_without_the_point_is_nearer_to_the_fit_without_it():
    kernel, y, rows = problem()
    fit = fit_surrogate(kernel, y, kind="klr", lam=LAM, tol=1e-10)
    first, whole = (
        attribute(fit, rows, kind="removal_klr", kernel=kernel, labels=y, leave_one_out=flag) for flag in (False, True)
    )
    with_all = weighted_scores(kernel, y, rows, np.ones(60), 3)
    true = np.stack([with_all - weighted_scores(kernel, y, rows, (np.arange(60) != i).astype(float), 3) for i in range(20)], -1)
    error, error_first = (np.sqrt(np.mean((a[:, :, :20] - true) ** 2)) for a in (whole, first))
    assert error < 0.4 * error_first
    assert error < 0.2 * np.sqrt(np.mean(true**2))


@pytest.mark.parametrize("kind", ["ridge", "ridge_logits"])
def test_ridge_effects_are_the_refit_without_the_point(kind: str):
    kernel, y, rows = problem(scale=7.0)
    targets = y if kind == "ridge" else np.random.default_rng(1).standard_normal((60, 3))
    fit = fit_surrogate(kernel, targets, kind=kind, lam=0.3)
    a = attribute(fit, rows, kind="removal_ridge", kernel=kernel)
    for i in (0, 8, 59):
        # Not a refit, which would rescale the penalty: `without` is tested against one elsewhere.
        other = fit.without([i])
        np.testing.assert_allclose(a[:, :, i], fit.decision_function(rows) - other.decision_function(rows), atol=1e-10)
    additive = attribute(fit, rows, kind="additive_removal", kernel=kernel)
    np.testing.assert_allclose(additive.sum(-1) + fit.intercept, fit.decision_function(rows), atol=1e-9)


@pytest.mark.parametrize("leave_one_out", [False, True])
def test_iteration_and_factors_give_the_same_effects(leave_one_out: bool):
    kernel, y, rows = problem(n=400, c=5, m=11, seed=2, scale=3.0)
    fit = fit_surrogate(kernel, y, kind="klr", lam=0.03)
    asked = rows, np.random.default_rng(0).standard_normal((11, 5)), np.arange(11) % 5
    direct = RemovalEffects.of_surrogate(fit, kernel, y, leave_one_out=leave_one_out).on_log_odds(*asked)
    few = RemovalEffects.of_surrogate(fit, kernel, y, leave_one_out=leave_one_out, few=True)
    assert "iteration" in few.method
    np.testing.assert_allclose(few.on_log_odds(*asked), direct, atol=1e-3 * np.abs(direct).max())


@pytest.mark.parametrize("lam", [1e-4, 0.01, 10.0])
@pytest.mark.parametrize("c", [1, 4])
def test_whole_steps_are_the_dense_newton_step(c: int, lam: float):
    kernel, y, rows = problem(n=50, c=max(c, 2), m=4, seed=3)
    fit = fit_surrogate(kernel, y, kind="klr", lam=lam, tol=1e-10, n_classes=c)
    true = newton_steps(fit.decision_function(kernel), kernel, y, rows, lam)
    for few in (False, True):
        effects = RemovalEffects.of_surrogate(fit, kernel, y, leave_one_out=True, few=few)
        found = np.stack([effects.of(rows, np.tile(head, (4, 1))) for head in np.eye(c)], axis=1)
        np.testing.assert_allclose(found, true, atol=(2e-3 if few else 1e-6) * np.abs(true).max())


def test_above_the_limit_leverages_are_approximate_and_said_to_be(monkeypatch: pytest.MonkeyPatch):
    kernel, y, rows = problem(n=400, c=5, m=11, seed=2, scale=3.0)
    fit = fit_surrogate(kernel, y, kind="klr", lam=0.03)
    asked = rows, np.random.default_rng(0).standard_normal((11, 5)), np.arange(11) % 5
    direct = RemovalEffects.of_surrogate(fit, kernel, y, leave_one_out=True).on_log_odds(*asked)
    monkeypatch.setattr(klr_refit, "EXACT_UP_TO", 0)
    few = RemovalEffects.of_surrogate(fit, kernel, y, leave_one_out=True, few=True)
    assert "leading directions" in few.method
    np.testing.assert_allclose(few.on_log_odds(*asked), direct, atol=0.12 * np.abs(direct).max())


def test_quick_products_leave_as_many_digits(monkeypatch: pytest.MonkeyPatch):
    kernel, y, rows = problem(n=300, c=4, m=6, seed=5, scale=3.0)
    single = kernel.astype(np.float32)
    fit = fit_surrogate(single, y, kind="klr", lam=0.01)
    asked = rows.astype(np.float32), np.random.default_rng(0).standard_normal((6, 4)), np.arange(6) % 4
    true = RemovalEffects.of_surrogate(fit, single, y, leave_one_out=True).on_log_odds(*asked)
    monkeypatch.setattr(products, "LARGE", 0)
    effects = RemovalEffects.of_surrogate(fit, single, y, leave_one_out=True, few=True)
    assert effects.system.fit._kernel.single
    np.testing.assert_allclose(effects.on_log_odds(*asked), true, atol=2e-3 * np.abs(true).max())
    counts, labels = np.ones(300), y.copy()
    counts[10:20], labels[3] = 0, (y[3] + 1) % 4
    there, back = (klr_refit.KlrRefit(fit, values, y).refit(counts, labels) for values in (single, single.astype(np.float64)))
    np.testing.assert_allclose(there.scores(rows), back.scores(rows), atol=2e-2)
    assert there.left < 0.01


def test_where_factors_do_not_fit_effects_are_solved_by_iteration(monkeypatch: pytest.MonkeyPatch):
    kernel, y, _ = problem()
    monkeypatch.setattr(effects_file, "DIRECT_BYTES", 0)
    assert "iteration" in RemovalEffects.of_surrogate(fit_surrogate(kernel, y, kind="klr"), kernel, y).method


@pytest.mark.parametrize("kind", ["removal_klr", "removal_ridge", "additive_removal"])
def test_effects_do_not_depend_on_scale_or_order(kind: str):
    kernel, y, rows = problem()
    fitted = "klr" if kind == "removal_klr" else "ridge"
    more = {"labels": y} if kind == "removal_klr" else {}
    a = attribute(fit_surrogate(kernel, y, kind=fitted), rows, kind=kind, kernel=kernel, **more)
    scaled = attribute(fit_surrogate(1e4 * kernel, y, kind=fitted), 1e4 * rows, kind=kind, kernel=1e4 * kernel, **more)
    np.testing.assert_allclose(scaled, a, atol=1e-6 * np.abs(a).max())
    order = np.random.default_rng(0).permutation(60)
    turned, other = kernel[np.ix_(order, order)], {"labels": y[order]} if more else {}
    moved = attribute(fit_surrogate(turned, y[order], kind=fitted), rows[:, order], kind=kind, kernel=turned, **other)
    np.testing.assert_allclose(moved, a[:, :, order], atol=1e-5 * np.abs(a).max())


def test_the_heads_are_the_derivative_of_the_log_odds():
    rng = np.random.default_rng(0)
    logits, classes = 3 * rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    small = 1e-6 * rng.standard_normal((6, 4))
    own = np.arange(6), classes
    change = scores_of(logits + small).log_odds[own] - scores_of(logits - small).log_odds[own]
    np.testing.assert_allclose((log_odds_heads(logits, classes) * 2 * small).sum(1), change, atol=1e-9)
    kernel, y, rows = problem()
    fit = fit_surrogate(kernel, y, kind="klr")
    a = attribute(fit, rows, kind="removal_klr", kernel=kernel, labels=y)
    effects = RemovalEffects.of_surrogate(fit, kernel, y)
    of = effects.on_log_odds(rows, logits[:4, :3], classes[:4] % 3)
    np.testing.assert_allclose(of, contrast_log_odds(a, fit.decision_function(rows), classes[:4] % 3), atol=1e-8)
    ridge = fit_surrogate(kernel, y, kind="ridge")  # whose scores are no log-odds
    a = attribute(ridge, rows, kind="removal_ridge", kernel=kernel)
    of = RemovalEffects.of_surrogate(ridge, kernel, y).on_log_odds(rows, logits[:4, :3], classes[:4] % 3)
    np.testing.assert_allclose(of, contrast_log_odds(a, logits[:4, :3], classes[:4] % 3), atol=1e-10)


def comparators() -> tuple[torch.nn.Module, torch.Tensor, np.ndarray, torch.Tensor, dict[str, np.ndarray]]:
    case = next(c for c in CASES if c.name == "mlp")
    model, x, z = case.model(), case.inputs(12), case.inputs(5, seed=3)
    y = np.arange(12) % 3
    blocks = margin_blocks(model, x, y, z, n_classes=3)
    with torch.no_grad():
        chances = softmax(model(x).double().numpy(), axis=1)[np.arange(12), y]
    return model, x, y, z, {"kernel": blocks.train, "rows": blocks.rows, "diagonal": blocks.rows_diagonal, "chances": chances}


def test_tracin_is_what_one_step_of_training_does():
    model, x, y, z, given = comparators()
    a = attribute(fit_surrogate(np.eye(12), y, kind="ridge"), given["rows"], kind="tracin", chances=given["chances"])
    with torch.no_grad():
        before = scores_of(model(z).numpy()).log_odds
    for i in (0, 7):
        step = copy.deepcopy(model)
        torch.nn.functional.cross_entropy(step(x[i : i + 1]), torch.tensor([y[i]])).backward()
        rate = 1e-3
        with torch.no_grad():
            for parameter in step.parameters():
                parameter -= rate * parameter.grad
            change = (scores_of(step(z).numpy()).log_odds - before) / rate
        np.testing.assert_allclose(a[:, :, i], change, atol=2e-2 * np.abs(a).max())


def test_trak_is_its_formula_and_a_wide_projection_comes_near():
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((10, 7)), rng.standard_normal((6, 7))
    kernel, rows, chances = train @ train.T, (test @ train.T).reshape(2, 3, 10), rng.uniform(0, 1, 10)
    scale = np.diagonal(kernel).mean()
    fit = fit_surrogate(kernel, np.arange(10) % 3, kind="ridge")
    inverse = np.linalg.inv(train.T @ train / scale + np.eye(7))
    formula = (test / scale @ inverse @ train.T).reshape(2, 3, 10) * (1 - chances)
    np.testing.assert_allclose(attribute(fit, rows, kind="trak", kernel=kernel, chances=chances), formula, atol=1e-10)
    own = (test**2).sum(1).reshape(2, 3)
    wide = attribute(fit, rows, kind="trak", kernel=kernel, chances=chances, projection=200_000, rows_diagonal=own)
    np.testing.assert_allclose(wide, formula, atol=0.02 * np.abs(formula).max())
    narrow = attribute(fit, rows, kind="trak", kernel=kernel, chances=chances, projection=3, rows_diagonal=own)
    assert np.abs(narrow - formula).max() > 0.1 * np.abs(formula).max()


def test_a_projection_takes_equal_training_points():
    features = np.random.default_rng(0).standard_normal((30, 40)).astype(np.float32)
    features[10:] = features[:20]  # twenty points twice, as float32 rounds them
    kernel, rows = features @ features.T, (features[:4] @ features.T).reshape(2, 2, 30)
    fit = fit_surrogate(np.eye(30), np.arange(30) % 2, kind="ridge")
    own = (features[:4] ** 2).sum(1).reshape(2, 2)
    asked = {"kernel": kernel, "chances": np.full(30, 0.5)}
    wide = attribute(fit, rows, kind="trak", projection=100_000, rows_diagonal=own, **asked)
    exact = attribute(fit, rows, kind="trak", **asked)
    np.testing.assert_allclose(wide, exact, atol=0.03 * np.abs(exact).max())


def test_gradient_cosine_is_a_cosine_and_reads_the_class_asked_for():
    model, x, y, _, given = comparators()
    again = margin_blocks(model, x, y, x, n_classes=3)
    fit = fit_surrogate(np.eye(12), y, kind="ridge")
    a = attribute(fit, again.rows, kind="grad_cos", kernel=given["kernel"], rows_diagonal=again.rows_diagonal)
    assert np.abs(a).max() <= 1
    of_label = on_log_odds(a, "grad_cos", np.zeros((12, 3)), y)
    np.testing.assert_allclose(np.diagonal(of_label), 1, atol=1e-5)


def test_controls_know_only_labels_or_inputs():
    kernel, y, rows = problem()
    fit = fit_surrogate(np.eye(60), y, kind="ridge")
    same = attribute(fit, rows, kind="same_class", labels=y)
    assert (same == (y == np.arange(3)[:, None])[None]).all()
    control = attribute(fit, rows, kind="inputs", input_kernel=kernel, input_rows=rows, labels=y)
    own = fit_surrogate(kernel, y, kind="klr", lam=0.1)
    np.testing.assert_allclose(control, attribute(own, rows, kind="removal_klr", kernel=kernel, labels=y))


@pytest.mark.parametrize(
    ("kind", "surrogate", "given", "told"),
    [
        ("removal_klr", "klr", {"labels": np.zeros(60, int)}, "pass kernel"),
        ("removal_klr", "klr", {"kernel": np.eye(60)}, "pass labels"),
        ("removal_klr", "klr", {"kernel": np.eye(5), "labels": np.zeros(60, int)}, r"\[60, 60\]"),
        ("removal_klr", "klr", {"kernel": np.eye(60), "labels": np.full(60, 9)}, r"0\.\.2"),
        ("removal_klr", "kglm", {"kernel": np.eye(60), "labels": np.zeros(60, int)}, "kind='klr', lam='auto'"),
        ("removal_ridge", "klr", {"kernel": np.eye(60)}, "For klr: removal_klr"),
        ("additive_removal", "svm", {"kernel": np.eye(60)}, "ridge_logits; got 'svm'"),
        ("trak", "ridge", {"kernel": np.eye(60), "chances": np.zeros(60)}, r"rows \[M, 3, 60\] of the kernel 'margin'"),
        ("tracin", "ridge", {}, "kernel 'margin'"),
        ("inputs", "ridge", {"labels": np.zeros(60, int), "input_kernel": np.eye(60)}, "needs input_rows"),
        ("same_class", "ridge", {}, "pass labels"),
    ],
)
def test_what_is_missing_is_named(kind: str, surrogate: str, given: dict, told: str):
    kernel, y, rows = problem()
    fit = fit_surrogate(kernel, y, kind=surrogate)
    with pytest.raises(ValueError, match=told):
        attribute(fit, rows, kind=kind, **given)


def test_effects_of_other_surrogates_are_refused_with_the_way_out():
    kernel, y, _ = problem()
    with pytest.raises(ValueError, match="Fit one on the same kernel"):
        RemovalEffects.of_surrogate(fit_surrogate(kernel, y, kind="svm"), kernel, y)


def test_every_row_says_what_it_needs_and_what_retraining_says():
    for info in attributions().values():
        assert info.unit in {"score", "log_odds"}
        assert set(info.needs) <= {"kernel", "labels", "chances", "rows_diagonal", "input_kernel", "input_rows"}
        assert "LDS" in info.measured
    assert {key for key, info in attributions().items() if info.control} == {"same_class", "inputs"}
