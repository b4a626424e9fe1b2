"""Masks: something visible, something hidden, only candidates, the claimed geometry, and no orphaned static token."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.signals import make_signal, mixed_signals, tiny_config

from foundation.data.tokens import Batch, tokenize
from foundation.nn.masks import BLOCK, MASK_KINDS, draw_given, draw_mask, has_visible_patch

RATIO = (0.6, 0.85)


def _draw(batch: Batch, mixture: dict[str, float], seed: int, ratio: tuple[float, float] = RATIO) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return draw_mask(batch["grid"], batch["observed"].any(-1), batch["static"], ratio, mixture, generator)


def _mixed() -> Batch:
    """Every patch shape, lost packets, padding, and the two smallest signals that can be split at all."""
    small = make_signal(6, times=2, links=1, responses=3)
    lost = np.arange(16)[:, None, None] >= 8
    half = make_signal(7, times=16, links=1, responses=4, valid=lost)
    return tokenize([*mixed_signals(), small, half, make_signal(8, times=8, links=1, responses=4)], tiny_config())


@pytest.mark.parametrize("kind", MASK_KINDS)
def test_every_sample_keeps_something_visible_and_something_hidden(kind: str) -> None:
    batch = _mixed()
    candidates = batch["observed"].any(-1)
    assert (candidates.sum(1) >= 2).all()
    for seed in range(50):
        visible = _draw(batch, {kind: 1.0}, seed)
        assert not (visible & ~candidates).any(), "only candidates are visible"
        assert visible.any(1).all()
        assert (candidates & ~visible).any(1).all()


@pytest.mark.parametrize("kind", MASK_KINDS)
def test_a_static_token_is_visible_only_where_its_column_is(kind: str) -> None:
    """Its content is the mean over the column: without a visible patch it could only be read off hidden ones."""
    batch = _mixed()
    shown = 0
    for seed in range(50):
        visible = _draw(batch, {kind: 1.0}, seed)
        for sample, token in (visible & batch["static"]).nonzero().tolist():
            same = (batch["column"][sample] == batch["column"][sample, token]) & ~batch["static"][sample]
            assert (visible[sample] & same).any()
            shown += 1
    assert shown > 0


def test_has_visible_patch_reads_columns_off_the_grid() -> None:
    batch = _mixed()
    visible = _draw(batch, {"random": 1.0}, 0)
    found = has_visible_patch(batch["grid"], batch["static"], visible)
    for sample, token in batch["exists"].nonzero().tolist():
        same = (batch["column"][sample] == batch["column"][sample, token]) & ~batch["static"][sample]
        assert bool(found[sample, token]) == bool((visible[sample] & same).any())


def test_a_single_token_stays_visible() -> None:
    batch = tokenize([make_signal(0, times=1, links=1, responses=8)], tiny_config())
    assert batch["exists"].sum() == 1
    for kind in MASK_KINDS:
        assert _draw(batch, {kind: 1.0}, 0).all()


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_the_random_mask_hides_the_share_it_was_asked_for(share: float) -> None:
    batch = tokenize([make_signal(0, times=80, links=2, responses=16), make_signal(1, times=16)], tiny_config())
    patches = batch["exists"] & ~batch["static"]
    hidden = [patches & ~_draw(batch, {"random": 1.0}, seed, (share, share)) for seed in range(200)]
    for one in hidden:
        wanted = torch.round(patches.sum(1) * share)
        assert torch.equal(one.sum(1).float(), wanted)
    mean = torch.stack(hidden).float().mean(0)[patches]
    assert float((mean - share).abs().max()) < 0.15, "no token is favoured"


def _long() -> Batch:
    return tokenize([make_signal(0, times=80, links=4, responses=40)] * 8, tiny_config())


@pytest.mark.parametrize(("kind", "axis"), [("time", 0), ("link", 1), ("response", 2)])
def test_block_masks_hide_one_run_of_whole_slices(kind: str, axis: int) -> None:
    batch = _long()
    patches = ~batch["static"]
    lengths = set()
    for seed in range(20):
        visible = _draw(batch, {kind: 1.0}, seed)
        for sample in range(len(visible)):
            rows = patches[sample]
            index, shown = batch["grid"][sample, rows, axis], visible[sample, rows]
            by_slice = [set(shown[index == i].tolist()) for i in range(int(index.max()) + 1)]
            assert all(len(found) == 1 for found in by_slice), "a slice is hidden as a whole or not at all"
            hidden = np.array([False in found for found in by_slice])
            assert np.abs(np.diff(np.concatenate([[False], hidden, [False]]).astype(int))).sum() == 2, "one run"
            low, high = (np.round(len(hidden) * share) for share in BLOCK)
            assert low <= hidden.sum() <= high
            lengths.add((int(hidden.argmax()), int(hidden.sum())))
    assert len(lengths) > 3, "position and length vary between samples"


def test_time_blocks_keep_static_tokens_and_others_hide_them_with_their_column() -> None:
    batch = _long()
    for seed in range(10):
        assert _draw(batch, {"time": 1.0}, seed)[batch["static"]].all()
        for kind, axis in (("link", 1), ("response", 2)):
            visible = _draw(batch, {kind: 1.0}, seed)
            for sample in range(len(visible)):
                gone = set(batch["grid"][sample, ~visible[sample], axis].tolist())
                there = set(batch["grid"][sample, visible[sample], axis].tolist())
                assert gone
                assert there
                assert not gone & there


def test_the_mixture_is_drawn_by_its_weights_and_the_generator() -> None:
    batch = _long()
    assert torch.equal(_draw(batch, {"random": 1.0, "time": 1.0}, 3), _draw(batch, {"random": 1.0, "time": 1.0}, 3))
    assert not torch.equal(_draw(batch, {"random": 1.0}, 3), _draw(batch, {"random": 1.0}, 4))
    # With statics kept, a time mask tells itself apart from a random one.
    times = [
        bool(_draw(batch, {"random": 0.25, "time": 0.75, "link": 0}, seed)[batch["static"]].all())
        for seed in range(200)
    ]
    assert 0.65 < np.mean(times) < 0.85


def test_generation_is_given_any_share_of_the_patches_never_everything() -> None:
    batch = tokenize(mixed_signals() * 40, tiny_config())
    candidates, static = batch["observed"].any(-1), batch["static"]
    visible = draw_given(batch["grid"], candidates, static, torch.Generator().manual_seed(0))
    assert not bool((visible & ~candidates).any())
    several = (candidates & ~static).sum(1) > 1
    assert not bool((visible == candidates).all(1)[several].any())
    expected = has_visible_patch(batch["grid"], static, visible) & candidates & static
    assert torch.equal(visible & static, expected), "static tokens follow from the patches"
    assert 0.3 < float((~visible.any(1)).float().mean()) < 0.6
