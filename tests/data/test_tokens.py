"""Tokens: exactly invertible, in physical units, and padded with rows that are masked out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.signals import make_signal, mixed_signals, tiny_config
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.data.layout import Layout, layout_of
from foundation.data.tokens import collate, sample_of, tokenize, untokenize
from foundation.data.views import VIEWS, from_view
from foundation.errors import RecipeError
from foundation.models import WfmConfig
from foundation.nn.patches import FLOOR, Fields, cut
from foundation.signal import KINDS, Link, Signal

CONFIG = tiny_config()


def tokenize_one(signal: Signal, config: WfmConfig) -> dict[str, np.ndarray]:
    return {name: value[0].numpy() for name, value in tokenize(signal, config).items()}


@settings(max_examples=60, deadline=None)
@given(times=st.integers(1, 25), links=st.integers(1, 4), responses=st.integers(1, 19))
def test_untokenize_is_the_exact_inverse_for_any_size(times: int, links: int, responses: int) -> None:
    signal = make_signal(0, times=times, links=links, responses=responses)
    one = tokenize_one(signal, CONFIG)
    np.testing.assert_array_equal(untokenize(one["values"], signal, CONFIG), signal.values)
    padded = np.concatenate([one["values"], np.ones((3, one["values"].shape[1]), np.float32)])
    np.testing.assert_array_equal(untokenize(padded, signal, CONFIG), signal.values)
    observed = untokenize(one["observed"].astype(np.float32), signal, CONFIG)
    np.testing.assert_array_equal(observed, np.full(signal.values.shape, 1 + 1j))
    assert one["observed"][~one["static"]].sum() == 2 * signal.values.size, "nothing is observed beyond the signal"


def test_a_token_is_a_patch_of_one_link_at_its_grid_place() -> None:
    signal = make_signal(0, times=21, links=2, responses=10)
    one = tokenize_one(signal, CONFIG)
    assert layout_of(signal.values.shape, CONFIG) == Layout(0, 8, 4, 3, 2, 3, True)
    for n in np.flatnonzero(~one["static"]):
        t, link, r = one["grid"][n]
        block = signal.values[8 * t : 8 * t + 8, link, 4 * r : 4 * r + 4]
        full = np.zeros((8, 4), np.complex64)
        full[: block.shape[0], : block.shape[1]] = block
        np.testing.assert_array_equal(one["values"][n].view(np.complex64).reshape(8, 4), full)
        assert one["column"][n] == link * 3 + r
    statics = one["grid"][one["static"]]
    np.testing.assert_array_equal(statics, [(0, link, r) for link in range(2) for r in range(3)])
    np.testing.assert_array_equal(one["column"][one["static"]], np.arange(6))


@pytest.mark.parametrize(
    ("times", "index", "static"), [(1, 2, False), (2, 2, True), (4, 1, True), (7, 1, True), (8, 0, True)]
)
def test_the_first_patch_shape_not_longer_than_the_signal_is_taken(times: int, index: int, static: bool) -> None:
    cut = layout_of(make_signal(0, times=times).values.shape, CONFIG)
    assert (cut.shape_index, cut.static) == (index, static)
    assert [cut.pt, cut.pr] == CONFIG.patch_shapes[index]
    assert cut.nt * cut.pt >= times > (cut.nt - 1) * cut.pt


def test_a_signal_shorter_than_every_patch_takes_the_last_shape() -> None:
    cut = layout_of(make_signal(0, times=3).values.shape, tiny_config(patch_shapes=[[16, 4], [8, 4]]))
    assert (cut.shape_index, cut.nt) == (1, 1)


def test_positions_are_seconds_and_hertz() -> None:
    signal = make_signal(0, times=21, links=1, responses=10)  # 100 Hz, 312.5 kHz, offsets from -5 tones
    one = tokenize_one(signal.with_(time_s=signal.time_s + 7.0), CONFIG)
    position, grid = one["position"], one["grid"]
    times = {(0, 0.035, 0.08), (1, 0.115, 0.08), (2, 0.18, 0.05)}  # the last patch holds 5 of 8 packets
    tones = {(0, -3.5, 4), (1, 0.5, 4), (2, 3.5, 2)}
    for n in np.flatnonzero(~one["static"]):
        (_, centre, extent), (_, tone, width) = (
            next(row for row in rows if row[0] == index) for rows, index in ((times, grid[n, 0]), (tones, grid[n, 2]))
        )
        np.testing.assert_allclose(position[n, :2], [centre, extent], rtol=1e-5)
        np.testing.assert_allclose(position[n, 2:4], [tone * 312_500, width * 312_500], rtol=1e-5)
        assert (position[n, 4:] == 0).all(), "a frequency-domain token has no delay"
    np.testing.assert_allclose(position[one["static"], :2], [[0.1, 0.21]] * 3, rtol=1e-5)


def test_a_delay_axis_has_a_place_of_its_own() -> None:
    delays = 2e-9 + np.arange(16) * 1e-9
    one = tokenize_one(make_signal(0, frequency_hz=None, delay_s=delays, kind="cir"), CONFIG)
    assert (one["position"][:, 2:4] == 0).all()
    np.testing.assert_allclose(np.unique(one["position"][:, 4]), [3.5e-9, 7.5e-9, 11.5e-9, 15.5e-9], rtol=1e-5)
    np.testing.assert_allclose(one["position"][:, 5], 4e-9, rtol=1e-5)


def test_the_same_second_is_covered_at_any_sampling_rate() -> None:
    slow, fast = (
        make_signal(0, times=rate, links=1, responses=4, time_s=np.arange(rate) / rate) for rate in (100, 200)
    )
    covered = []
    for signal in (slow, fast):
        one = tokenize_one(signal, CONFIG)
        centre, extent = one["position"][~one["static"], 0], one["position"][~one["static"], 1]
        covered.append(extent.sum())
        np.testing.assert_allclose(one["position"][one["static"], 1], 1.0, rtol=1e-5)
        step = signal.interval_s
        np.testing.assert_allclose((centre - extent / 2)[0], -step / 2, atol=1e-6)
        np.testing.assert_allclose((centre + extent / 2)[-1], 1 - step / 2, atol=1e-6)
        np.testing.assert_allclose((centre + extent / 2)[:-1], (centre - extent / 2)[1:], atol=1e-6)
    np.testing.assert_allclose(covered, [1.0, 1.0], rtol=1e-5)


def test_a_gap_in_time_moves_what_follows() -> None:
    time = np.arange(16) / 100
    time[8:] += 2.0
    one = tokenize_one(make_signal(0, times=16, links=1, responses=4, time_s=time), CONFIG)
    np.testing.assert_allclose(one["position"][:2, 0], [0.035, 2.115], rtol=1e-5)


def test_padding_exists_nowhere_and_observes_nothing() -> None:
    signals = mixed_signals()
    batch = tokenize(signals, CONFIG)
    lengths = [len(tokenize_one(signal, CONFIG)["exists"]) for signal in signals]
    assert batch["exists"].sum(1).tolist() == lengths
    assert len(set(lengths)) > 1
    padding = ~batch["exists"]
    for name in ("values", "observed", "position", "link", "grid", "column", "shape", "static", "measured"):
        assert (batch[name][padding] == 0).all(), name
    for i, signal in enumerate(signals):
        for name, array in tokenize_one(signal, CONFIG).items():
            found = batch[name][i]
            np.testing.assert_array_equal(
                found[: lengths[i]] if array.ndim and name not in ("radio", "facts") else found, array
            )


def test_dtypes_are_those_of_the_contract() -> None:
    batch = tokenize(mixed_signals(), CONFIG)
    kinds = {
        torch.float32: ("values", "position", "radio", "facts"),
        torch.int64: ("link", "grid", "column", "shape", "kind"),
        torch.bool: ("observed", "static", "exists", "measured", "logarithmic", "real"),
    }
    assert {name: dtype for dtype, names in kinds.items() for name in names} == {k: v.dtype for k, v in batch.items()}


def test_lost_packets_real_kinds_and_unknown_numbers_are_told() -> None:
    lost, rssi = mixed_signals()[3:]
    one = tokenize_one(lost, CONFIG)
    observed = untokenize(one["observed"].astype(np.float32), lost, CONFIG)
    np.testing.assert_array_equal(observed.real > 0, lost.mask)
    np.testing.assert_array_equal(observed.imag > 0, lost.mask)
    assert np.isnan(one["radio"][0])
    np.testing.assert_allclose(one["radio"][1:], [np.log10(20e6), -2.0], rtol=1e-6)
    two = tokenize_one(rssi, CONFIG)
    assert not two["observed"][:, 1::2].any(), "a real kind has no imaginary part to predict"
    assert two["observed"][:, 0::2].sum() == rssi.values.size
    assert np.isnan(two["radio"][2]), "a snapshot has no sampling interval"
    assert (bool(two["logarithmic"]), bool(one["logarithmic"])) == (True, False)
    assert int(two["kind"]) == KINDS.index("rssi")


def test_static_tokens_observe_what_was_measured_at_any_time() -> None:
    valid = np.ones((16, 1, 4), bool)
    valid[:, :, 1] = False  # a null tone
    valid[:8, :, 2] = False
    one = tokenize_one(make_signal(0, times=16, links=1, responses=4, valid=valid), CONFIG)
    (static,) = one["observed"][one["static"]]
    ever = [True, True, False, False, True, True, True, True]
    assert static[:32].tolist() == ever * 4, "mean, deviation, change and trend"
    assert not static[32:].any()


def test_change_is_told_where_two_neighbouring_times_were_measured() -> None:
    valid = np.zeros((16, 1, 4), bool)
    valid[::2, :, 0] = valid[3:5, :, 1] = True
    one = tokenize_one(make_signal(0, times=16, links=1, responses=4, valid=valid), CONFIG)
    (static,) = one["observed"][one["static"]]
    assert static[:32].reshape(4, 8)[:, ::2].tolist() == [
        [True, True, False, False],
        [True, True, False, False],
        [False, True, False, False],
        [True, True, False, False],
    ]


def test_links_are_antenna_numbers() -> None:
    signal = make_signal(0).with_(links=(Link(2, 5), Link(7, 1)))
    one = tokenize_one(signal, CONFIG)
    np.testing.assert_array_equal(one["link"][one["grid"][:, 1] == 0][0], [2, 5])
    np.testing.assert_array_equal(one["link"][one["grid"][:, 1] == 1][0], [7, 1])


def test_views_are_what_they_say() -> None:
    signal = make_signal(0)
    logs = VIEWS["log-amplitude"](signal, signal.values)
    floor = FLOOR * np.sqrt(np.mean(np.abs(signal.values) ** 2))
    np.testing.assert_allclose(
        np.abs(from_view(logs.astype(np.complex64), "log-amplitude")),
        np.maximum(np.abs(signal.values), floor),
        rtol=1e-5,
    )
    assert from_view(signal.values, "field") is signal.values
    rng = np.random.default_rng(0)
    turned = np.exp(1j * (rng.uniform(0, 6, (32, 1, 1)) + rng.uniform(-1e-7, 1e-7, (32, 1, 1)) * signal.response))
    smooth = signal.with_(values=np.tile(make_signal(1, times=1, responses=2).values[:, :, :1] + 3, (32, 1, 16)))
    one, two = (VIEWS["sanitized"](smooth, smooth.values * phase) for phase in (1.0, turned))
    np.testing.assert_allclose(one, two, atol=1e-4)


def test_a_kind_without_a_view_is_named() -> None:
    config = tiny_config()
    config.views = {"csi": "wavelet"}  # as a configuration of another version may say
    with pytest.raises(RecipeError, match=r"'wavelet' for kind 'csi'.*log-amplitude.*model\.views\.csi"):
        tokenize([make_signal(0)], config)


def test_an_antenna_beyond_the_table_is_named_not_taken_for_another() -> None:
    signal = make_signal(0, links=2)
    far = signal.with_(links=(Link(0, 0), Link(0, 4999)), session="tower")
    assert tokenize([far], tiny_config(links=71))["link"][0].max() == 4999
    with pytest.raises(RecipeError, match=r"4096 antennas, and .*'tower'\) has number 4999; .*model\.links=71"):
        tokenize([far], tiny_config(links=64))


def _patches_by_hand(field: np.ndarray) -> np.ndarray:
    """[T, L, R] -> [tokens, entries], zero beyond the signal's end: patch by patch, in the order of the grid."""
    cut_into = layout_of(field.shape, CONFIG)
    rows = []
    for t, link, r in np.ndindex(cut_into.nt, cut_into.links, cut_into.nr):
        pt, pr = cut_into.pt, cut_into.pr
        block = np.zeros((pt, pr), np.complex64)
        own = field[t * pt : (t + 1) * pt, link, r * pr : (r + 1) * pr]
        block[: own.shape[0], : own.shape[1]] = own
        rows.append(np.pad(block.reshape(-1).view(np.float32), (0, CONFIG.entries - 2 * pt * pr)))
    return np.stack(rows)


def test_samples_of_any_shape_and_with_any_holes_are_cut_as_by_hand() -> None:
    rng = np.random.default_rng(0)
    shapes = [(32, 2, 16), (21, 3, 9), (5, 1, 7), (1, 4, 5), (2, 1, 1), (8, 1, 40)]
    signals = [make_signal(i, times=t, links=n, responses=r) for i, (t, n, r) in enumerate(shapes)]
    holed = [each.with_(valid=rng.random(each.values.shape) > 0.4) for each in signals]
    for group in (signals, holed, signals[:3] + holed[2:]):
        batch = tokenize(group, CONFIG)
        assert torch.equal(batch["measured"], batch["observed"].any(-1))
        for row, signal in enumerate(group):
            patches = _patches_by_hand(signal.values)
            found = batch["values"][row]
            np.testing.assert_array_equal(found[: len(patches)], patches)
            assert not found[len(patches) :].any(), "static tokens and padding hold nothing"
            masks = _patches_by_hand(signal.mask * np.complex64(1 + 1j))
            np.testing.assert_array_equal(batch["observed"][row, : len(patches)], masks > 0)


def test_fields_travel_as_they_were_stored_and_a_batch_without_holes_sends_no_mask() -> None:
    signals = [make_signal(i, times=16, links=2, responses=8) for i in range(3)]
    sent = collate([sample_of(signal, CONFIG) for signal in signals], CONFIG)
    fields = sent["fields"]
    assert isinstance(fields, Fields)
    assert fields.valid is None
    assert fields.values.dtype == torch.complex64
    whole = fields.values.view(3, -1)
    for row, signal in zip(whole, signals, strict=True):
        np.testing.assert_array_equal(row[: signal.values.size], signal.values.reshape(-1))
    assert whole.shape[1] == signals[0].values.size * 18 / 16, "two more times, for the static tokens"
    assert "values" not in sent
    assert cut(sent).keys() == (sent.keys() - {"fields"}) | {"values", "observed"}
