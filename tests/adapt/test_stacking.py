"""Stacks of kernel heads: cross-validated weights and regularisation, and what few labels give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.moons import moons

from foundation.adapt import fit_head, fit_stack, stacking_weights
from foundation.adapt.candidates import CANDIDATES
from foundation.adapt.prior import SHARES, prior_shares
from foundation.adapt.select_pooling import POOLINGS
from foundation.data.origins import Origin
from foundation.errors import SignalError
from foundation.models import KernelHead, StackedHead


def _fitted(x: np.ndarray, y: np.ndarray, outputs: int) -> KernelHead:
    return KernelHead.fitted(torch.from_numpy(x), torch.from_numpy(y), outputs, seed=0, ridge=0.1, bandwidth=1.0)


def _origin(session: str) -> Origin:
    return Origin("room", "person", "device", session)


def _sessions(seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, list[Origin]]:
    """Features of 8 sessions of 30: two of which each tells one of two bits of the class, one learnt by heart."""
    rng = np.random.default_rng(seed)
    session, classes = np.repeat(np.arange(8), 30), rng.integers(0, 4, 240)
    noise = rng.standard_normal((3, 240, 4))
    left, right = (noise[k] + 3.0 * np.eye(4)[(classes >> k) % 2] for k in (0, 1))
    # Perfect within a session, of which every one has places of its own.
    heart = 0.01 * noise[2] + rng.standard_normal((8, 4, 4))[session, classes]
    features = {"left": left, "right": right, "heart": heart}
    return {name: x.astype(np.float32) for name, x in features.items()}, classes, [_origin(f"s{i}") for i in session]


def test_a_stack_reads_what_holds_in_sessions_left_out_and_beats_each_alone() -> None:
    (features, y, names), (new, truth, _) = _sessions(0), _sessions(1)
    head, pooling, note = fit_stack(features, y, 4, names, seed=0)
    assert pooling == "left+right"
    assert note == "left+right+leaving out each session"
    assert float(head.share.sum()) == pytest.approx(1.0)

    def right(head: StackedHead, *read: str) -> float:
        with torch.no_grad():
            said = head(torch.from_numpy(np.concatenate([new[name] for name in read], axis=1)))
        return float((said.argmax(1).numpy() == truth).mean())

    alone = max(right(fit_head(features[name], y, 4, names, seed=0), name) for name in ("left", "right"))
    assert right(head, "left", "right") > alone + 0.2


def test_a_stack_takes_strong_regularisation_where_labels_are_noise_and_a_linear_head_where_a_plane_parts() -> None:
    rng = np.random.default_rng(0)
    names = [_origin(f"s{i}") for i in np.repeat(np.arange(8), 30)]
    plane = rng.standard_normal((240, 12)).astype(np.float32)
    noisy = ((plane[:, 0] > 0) ^ (rng.random(240) < 0.3)).astype(np.int64)
    rings, y = moons(240)
    bent = stacking_weights({"features": rings}, y, 2, names, 0).shares
    straight = stacking_weights({"features": plane}, noisy, 2, names, 0).shares
    weak, strong = ("features", "kernel-weak"), ("features", "kernel-strong")
    assert straight.get(strong, 0) + straight.get(("features", "linear"), 0) > bent.get(strong, 0)
    assert bent[weak] > straight.get(weak, 0)


def test_the_prior_counts_where_labels_are_few_and_the_data_where_they_are_many() -> None:
    features, y, names = _sessions(0)
    some = {"response": features["heart"], "doppler": features["left"]}
    before = prior_shares(list(some), ["kernel"])
    assert before["response", "kernel"] > before["doppler", "kernel"]
    few, many = (
        stacking_weights({k: x[rows] for k, x in some.items()}, y[rows], 4, [names[i] for i in rows], 0).shares
        for rows in (np.arange(0, 240, 12), np.arange(240))
    )
    read = [sum(share for (pooling, _), share in each.items() if pooling == "doppler") for each in (few, many)]
    assert read[0] < read[1]
    assert read[1] > 0.7
    assert SHARES.keys() <= {*POOLINGS}
    unknown = prior_shares(["hand-made", "moments"], list(CANDIDATES))
    assert sum(unknown.values()) == pytest.approx(1.0)
    assert min(share for (name, _), share in unknown.items() if name == "hand-made") > 0


def test_a_stack_of_numbers_is_a_mean_of_its_parts_and_comes_back_from_its_state() -> None:
    features, classes, names = _sessions(0)
    y = np.stack([classes % 2, classes // 2], axis=1).astype(np.float32) * 7 + 3
    head, pooling, _ = fit_stack(features, y, 2, names, seed=0)
    assert pooling == "left+right"
    pooled = torch.from_numpy(np.concatenate([features["left"], features["right"]], axis=1))
    with torch.no_grad():
        parts = [
            share * part(pooled[:, start : start + 4])
            for part, start, share in zip(head.parts, head.start.tolist(), head.share, strict=True)
        ]
        torch.testing.assert_close(head(pooled), torch.stack(parts).sum(0))
        again = StackedHead.from_state(head.state_dict(), 2)
        assert torch.equal(again(pooled), head(pooled))
        for other in (pooled[:, :-1], torch.cat([pooled, pooled[:, :1]], dim=1)):
            with pytest.raises(SignalError, match="other links or responses"):
                head(other)
    nothing_known = float(np.linalg.norm(y - y.mean(0), axis=1).mean())
    assert float((head(pooled).detach() - torch.from_numpy(y)).norm(dim=1).mean()) < nothing_known / 2
    with pytest.raises(KeyError):
        StackedHead.from_state(_fitted(features["left"], classes, 4).state_dict(), 4)


def test_where_labels_are_too_few_to_weigh_by_every_pooling_counts_alike_and_it_is_noted() -> None:
    """Of one sample a class: neither half of what tells four classes is enough, and both are there."""
    features, classes, _ = _sessions(0)
    first = [int(np.flatnonzero(classes == k)[0]) for k in range(4)]
    some = {name: features[name][first] for name in ("left", "right")}
    head, pooling, note = fit_stack(some, np.arange(4), 4, [_origin("a")] * 4, seed=0)
    assert (pooling, note) == ("left+right", "left+right+too few labels to choose by")
    half = len(head.share) // 2
    torch.testing.assert_close(head.share[:half], head.share[half:])
