"""The kernel head against scikit-learn's kernel ridge regression, with few, many and constant samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.moons import moons
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from foundation.adapt import fit_head
from foundation.data.origins import Origin
from foundation.models import KernelHead, StackedHead
from foundation.models import kernel_head as module
from foundation.models.kernel_head import RidgeHead
from foundation.models.projected import Projected


def _fitted(x: np.ndarray, y: np.ndarray, outputs: int) -> KernelHead:
    return KernelHead.fitted(torch.from_numpy(x), torch.from_numpy(y), outputs, seed=0, ridge=0.1, bandwidth=1.0)


def test_numbers_are_those_of_kernel_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    x, new = rng.standard_normal((60, 9)).astype(np.float32), rng.standard_normal((20, 9)).astype(np.float32)
    y = np.stack([np.sin(x[:, 0]) * 5 + 3, x[:, 1] ** 2], axis=1).astype(np.float32)
    scaler = StandardScaler().fit(x)
    reference = KernelRidge(alpha=0.1, kernel="rbf", gamma=1 / 9).fit(scaler.transform(x), y - y.mean(0))
    head = _fitted(x, y, 2)
    head.reach.copy_(module.UNLIMITED)
    with torch.no_grad():
        found = head(torch.from_numpy(new)).numpy()
    np.testing.assert_allclose(found, reference.predict(scaler.transform(new)) + y.mean(0), atol=1e-4)


def test_classes_that_no_plane_separates_are_told_apart() -> None:
    (x, y), (new, truth) = moons(80), moons(200, seed=1)
    with torch.no_grad():
        assert (_fitted(x, y, 2)(torch.from_numpy(new)).argmax(1).numpy() == truth).mean() >= 0.98


def test_more_samples_than_centres_are_all_heard() -> None:
    (x, y), (new, truth) = moons(400), moons(200, seed=1)
    head = KernelHead.of(Projected(torch.from_numpy(x), torch.from_numpy(y), 2, 0, most=40), ridge=0.1, bandwidth=1.0)
    assert head.centres.shape[0] == 40
    with torch.no_grad():
        all_of_them = (head(torch.from_numpy(new)).argmax(1).numpy() == truth).mean()
        few = (_fitted(x[:40], y[:40], 2)(torch.from_numpy(new)).argmax(1).numpy() == truth).mean()
    assert all_of_them >= max(few, 0.97)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_samples_and_features_that_never_vary_give_finite_outputs(count: int) -> None:
    x = np.concatenate([moons(count)[0], np.ones((count, 2), np.float32)], axis=1)
    new = torch.from_numpy(np.concatenate([moons(9, seed=1)[0], np.full((9, 2), 1.5, np.float32)], axis=1))
    output = fit_head(x, np.arange(count) % 2, 3, [Origin("", "", "", "a")] * count, seed=0)(new)
    assert output.shape == (9, 3)
    assert bool(torch.isfinite(output).all())


def test_hundreds_of_features_that_never_vary_change_nothing() -> None:
    """As of statistics that a kind of signal does not have: LAPACK gave up on so many equal eigenvalues."""
    (x, y), (new, _) = moons(400), moons(50, seed=1)
    padded, asked = (np.concatenate([part, np.full((len(part), 189), 3.0, np.float32)], axis=1) for part in (x, new))
    with torch.no_grad():
        expected, found = _fitted(x, y, 2)(torch.from_numpy(new)), _fitted(padded, y, 2)(torch.from_numpy(asked))
    torch.testing.assert_close(found, expected)


def test_large_coordinates_keep_their_millimetres() -> None:
    """UTM: single precision has steps of half a metre at 4.8 million metres."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 4, generator=generator)
    near = torch.stack([features[:, 0], 0.5 * features[:, 1]], 1).double()
    far = near + torch.tensor([4.8e6, 3.2e5], dtype=torch.float64)
    heads = []
    for targets in (near, far):
        fitted = [(KernelHead.fitted(features, targets, 2, 0, ridge, 1.0), 0, 1 / 3) for ridge in (0.01, 0.1, 1.0)]
        head = StackedHead.of(fitted)
        heads.append(StackedHead.from_state(head.state_dict(), 2))
    moved = heads[1](features) - heads[0](features)
    assert moved.dtype == torch.float64
    assert torch.allclose(moved, (far - near), rtol=0, atol=1e-3)


def test_features_are_standardised_in_parts_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    features = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(50) % 3
    whole = KernelHead.fitted(features, targets, 3, 0, 0.1, 1.0)(features)
    monkeypatch.setattr("foundation.models.projected.PART_ENTRIES", 60)
    parts = KernelHead.fitted(features, targets, 3, 0, 0.1, 1.0)(features)
    assert torch.allclose(whole, parts, atol=1e-4)


@pytest.mark.parametrize("most", [20, 50])
def test_regularisations_share_a_system_and_solve_their_own(most: int) -> None:
    """The definition, with nothing shared: of all centres, and of fewer than samples."""
    x = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    samples = Projected(x, torch.arange(50) % 3, 3, 0, most)
    heads = {ridge: KernelHead.of(samples, ridge, 1.0) for ridge in (0.1, 1.0)}
    for ridge, head in heads.items():
        far = torch.cdist(samples.rows, samples.centres).square().neg().exp()
        near = torch.cdist(samples.centres, samples.centres).square().neg().exp()
        if most == 50:
            expected = torch.linalg.solve(near + ridge * torch.eye(50, dtype=near.dtype), samples.targets)
        else:
            expected = torch.linalg.solve(far.T @ far + ridge * near, far.T @ samples.targets)
        assert torch.allclose(far.float() @ head.weight, (far @ expected).float(), atol=1e-4), ridge


def test_a_kernel_does_not_die_where_no_training_sample_is_near() -> None:
    """Two classes apart along one axis; asked far away on either side, where every Gaussian is 0."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = rng.standard_normal((60, 3)).astype(np.float32) + 3 * np.eye(3, dtype=np.float32)[0] * (2 * y[:, None] - 1)
    far = np.array([[-60.0, 0, 0], [60.0, 0, 0]], np.float32)
    head = _fitted(x, y, 2)
    with torch.no_grad():
        output = head(torch.from_numpy(far))
        near = head(torch.from_numpy(x))
        assert output.argmax(1).tolist() == [0, 1]
        assert float((output[:, 1] - output[:, 0]).abs().min()) > 0.2 * float((near[:, 1] - near[:, 0]).abs().mean())
        head.reach.copy_(module.UNLIMITED)
        assert torch.equal(*head(torch.from_numpy(far))), "as before there was a reach"


def test_a_stack_saved_before_kernels_had_a_reach_is_what_it_was() -> None:
    x, y = moons(80)
    head = _fitted(x, y, 2)
    head.reach.copy_(module.UNLIMITED)
    stack = StackedHead.of([(head, 0, 1.0)])
    state = {name: value for name, value in stack.state_dict().items() if not name.endswith("reach")}
    assert torch.equal(StackedHead.from_state(state, 2)(torch.from_numpy(x)), stack(torch.from_numpy(x)))


@torch.no_grad()
def test_the_linear_head_is_ridge_regression_and_comes_back_from_its_state() -> None:
    rng = np.random.default_rng(0)
    x, new = rng.standard_normal((60, 9)).astype(np.float32), rng.standard_normal((20, 9)).astype(np.float32)
    y = np.stack([x[:, 0] * 5 + 3, x[:, 1] - x[:, 2]], axis=1).astype(np.float64)
    scaler = StandardScaler().fit(x)
    reference = Ridge(alpha=0.9).fit(scaler.transform(x), y)  # nine features of variance one, in units of their sum
    head = RidgeHead.of(Projected(torch.from_numpy(x), torch.from_numpy(y), 2, 0), ridge=0.1)
    stack = StackedHead.of([(head, 0, 0.5), (_fitted(x, y, 2), 0, 0.5)])
    np.testing.assert_allclose(head(torch.from_numpy(new)), reference.predict(scaler.transform(new)), atol=1e-3)
    again = StackedHead.from_state(stack.state_dict(), 2)
    assert torch.equal(again(torch.from_numpy(new)), stack(torch.from_numpy(new)))
