"""Static and dynamic component: against a plain computation, exactly inverted, and nothing leaks from hidden tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.signals import make_signal, mixed_signals, tiny_config

from foundation.data.tokens import Batch, tokenize
from foundation.models.structure import Structure
from foundation.nn.columns import Columns, fold_matrices
from foundation.nn.decomposition import EPSILON, Components, restore, split
from foundation.nn.statistics import QUIET

CONFIG = tiny_config()


def _columns(batch: Batch) -> Columns:
    return Columns(
        batch["column"],
        batch["grid"][..., 1],
        2 * batch["grid"][..., 0] / batch["grid"][..., 0].amax(1, keepdim=True).clamp(min=1) - 1,
        2 * batch["shape"] + batch["static"],
        fold_matrices(CONFIG.patch_shapes),
        tuple(2 * pr for _, pr in CONFIG.patch_shapes),
        *((known := Structure.of(batch)).columns, known.links, known.samples, known.order, known.static),
    )


def _split(batch: Batch, visible: torch.Tensor) -> Components:
    return split(batch["values"], batch["observed"], visible, batch["static"], batch["logarithmic"], _columns(batch))


def _visible(batch: Batch, seed: int = 0, share: float = 0.5) -> torch.Tensor:
    """Random tokens, and at least the first patch of every sample."""
    drawn = torch.rand(batch["exists"].shape, generator=torch.Generator().manual_seed(seed)) < share
    drawn[:, 0] = True
    return drawn & batch["observed"].any(-1)


def _slots(batch: Batch, sample: int, token: int) -> list[tuple[int, int, int]]:
    """(entry, column, slot) of every used entry, written down from the definition of a token."""
    times, responses = CONFIG.patch_shapes[int(batch["shape"][sample, token])]
    if batch["static"][sample, token]:
        times = 1
    column, width = int(batch["column"][sample, token]), 2 * responses
    return [(time * width + slot, column, slot) for time in range(times) for slot in range(width)]


class _Plain:
    """What `split` should give for one sample, computed with loops over (column, slot)."""

    def __init__(self, batch: Batch, visible: torch.Tensor, sample: int) -> None:
        self.raw, self.visible = batch["values"][sample].double().numpy(), visible[sample].numpy()
        self.observed, self.static = batch["observed"][sample].numpy(), batch["static"][sample].numpy()
        self.grid, self.shape = batch["grid"][sample].numpy(), batch["shape"][sample].numpy()
        self.is_split, self.logarithmic = bool(self.static.any()), bool(batch["logarithmic"][sample])
        self.link = dict(zip(batch["column"][sample].tolist(), self.grid[:, 1].tolist(), strict=True))
        self.entries = {n: _slots(batch, sample, n) for n in np.flatnonzero(batch["exists"][sample].numpy())}
        self.records, self.seen = self._records(only_visible=False), self._records(only_visible=True)
        self.means = {at: np.mean([x for *_, x in self.seen.get(at, found)]) for at, found in self.records.items()}
        self.offset = np.mean([self.means[at] for at in self.seen]) if self.logarithmic else 0.0
        squares = [(x - self.base(at)) ** 2 for at, found in self.seen.items() for *_, x in found]
        self.dynamic_level = max(np.sqrt(np.mean(squares)), EPSILON)
        shape = max(np.sqrt(np.mean([(self.means[at] - self.gain(at)) ** 2 for at in self.seen])), EPSILON)
        self.static_level = np.hypot(shape, self.dynamic_level) if self.is_split else self.dynamic_level

    def _records(self, only_visible: bool) -> dict[tuple[int, int], list[tuple[int, int, float]]]:
        """(token, time within it, entry) of all measured entries of a slot."""
        found: dict[tuple[int, int], list[tuple[int, int, float]]] = {}
        for n, used in self.entries.items():
            width = 2 * CONFIG.patch_shapes[int(self.shape[n])][1]
            for entry, column, slot in used:
                if not self.static[n] and self.observed[n, entry] and (self.visible[n] or not only_visible):
                    found.setdefault((column, slot), []).append((n, entry // width, self.raw[n, entry]))
        return found

    def link_gain(self, link: int) -> float:
        """With the offset."""
        own = [self.means[at] for at in self.seen if self.link[at[0]] == link]
        return np.mean(own) if own and self.is_split and self.logarithmic else self.offset

    def gain(self, at: tuple[int, int]) -> float:
        return self.link_gain(self.link[at[0]])

    def base(self, at: tuple[int, int]) -> float:
        return self.means.get(at, 0.0) if self.is_split else self.gain(at)

    def statistics(self, at: tuple[int, int]) -> list[float]:
        """From what is visible of a slot, or from all."""
        records = self.seen.get(at) or self.records[at]
        x = {(n, time): (value - self.base(at)) / self.dynamic_level for n, time, value in records}
        steps = [(x[n, time + 1] - value) ** 2 for (n, time), value in x.items() if (n, time + 1) in x]
        last = max(int(self.grid[:, 0].max()), 1)
        time = [2 * int(self.grid[n, 0]) / last - 1 for n, _ in x]
        power = np.mean(np.square(list(x.values())))
        slope = np.mean(np.multiply(list(x.values()), time)) / max(np.var(time), 0.1)
        mean = (self.base(at) - self.gain(at)) / self.static_level
        return [mean, np.log(power + QUIET) / 2, np.log(np.mean(steps) + QUIET) / 2 if steps else 0.0, slope]

    def values(self) -> np.ndarray:
        out = np.zeros_like(self.raw)
        for n, used in self.entries.items():
            for entry, column, slot in used:
                at = column, slot
                if not self.observed[n, entry]:
                    continue
                if not self.static[n]:
                    out[n, entry] = (self.raw[n, entry] - self.base(at)) / self.dynamic_level
                elif not self.visible[n] or at in self.seen:
                    for place, value in zip(range(entry, out.shape[1], len(used)), self.statistics(at), strict=False):
                        out[n, place] = value if self.observed[n, place] else 0.0
        return out


@pytest.mark.parametrize("view", ["field", "log-amplitude"])
@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_split_is_what_a_plain_computation_gives(view: str, share: float) -> None:
    batch = tokenize(mixed_signals(), tiny_config(views={"csi": view, "cir": view}))
    assert sorted(set(batch["shape"][batch["exists"]].tolist())) == [0, 1, 2], "every patch shape is in the batch"
    visible = _visible(batch, share=share)
    found = _split(batch, visible)
    for sample in range(len(visible)):
        plain = _Plain(batch, visible, sample)
        np.testing.assert_allclose(found.values[sample], plain.values(), atol=2e-5, err_msg=str(sample))
        gain = [plain.link_gain(link) - plain.offset for link in plain.grid[:, 1].tolist()]
        np.testing.assert_allclose(found.gain[sample], gain, rtol=1e-5, atol=5e-6)
        for name in ("offset", "static_level", "dynamic_level"):
            expected = getattr(plain, name)
            np.testing.assert_allclose(getattr(found, name)[sample], expected, rtol=1e-5, atol=5e-6, err_msg=name)


def test_static_is_the_mean_over_time_and_dynamics_what_remains() -> None:
    signal = make_signal(0, times=16, links=2, responses=8)
    batch = tokenize([signal], CONFIG)
    found = _split(batch, batch["exists"])
    mean = signal.values.mean(0)  # [links, responses]
    rest = signal.values - mean
    level = np.sqrt((np.mean(np.abs(mean) ** 2) + np.mean(np.abs(rest) ** 2)) / 2)
    np.testing.assert_allclose(found.static_level, [level], rtol=1e-5)
    np.testing.assert_allclose(found.dynamic_level, [np.sqrt(np.mean(np.abs(rest) ** 2) / 2)], rtol=1e-5)
    statics = found.values[0, batch["static"][0], :8].numpy().view(np.complex64)  # (link, response patch) x 4 responses
    np.testing.assert_allclose(statics.reshape(2, 8), mean / level, atol=1e-5)


@pytest.mark.parametrize("view", ["field", "log-amplitude"])
@pytest.mark.parametrize("seed", range(3))
def test_restore_is_the_inverse_of_split(view: str, seed: int) -> None:
    batch = tokenize(mixed_signals(), tiny_config(views={"csi": view, "cir": view}))
    # As a decoder does: the static tokens are hidden and predicted, here perfectly.
    visible = _visible(batch, seed) & ~batch["static"]
    found = _split(batch, visible)
    back = restore(found.values, batch["static"], _columns(batch), found)
    wanted = batch["observed"] & ~batch["static"][..., None]
    scale = batch["values"].abs().flatten(1).amax(1)[:, None, None]
    error = (back - batch["values"]).abs() / scale
    assert float(error[wanted].max()) < 1e-5


def test_restore_of_static_tokens_is_the_static_response() -> None:
    signal = make_signal(0, times=16, links=2, responses=8)
    batch = tokenize([signal], CONFIG)
    found = _split(batch, batch["exists"])
    back = restore(found.values, batch["static"], _columns(batch), found)
    statics = back[0, batch["static"][0], :8].numpy().view(np.complex64).reshape(2, 8)
    np.testing.assert_allclose(statics, signal.values.mean(0), atol=1e-5)


@pytest.mark.parametrize("statics", ["random", "all", "none"])
@pytest.mark.parametrize("seed", range(4))
def test_hidden_content_changes_nothing_that_the_encoder_sees(seed: int, statics: str) -> None:
    batch = tokenize(mixed_signals(), tiny_config(views={"csi": "log-amplitude"} if seed % 2 else {"csi": "field"}))
    visible = _visible(batch, seed, share=0.3)
    if statics != "random":
        visible = torch.where(batch["static"], batch["exists"] & (statics == "all"), visible)
    noise = 1e3 * torch.randn(batch["values"].shape, generator=torch.Generator().manual_seed(seed))
    changed = {**batch, "values": torch.where(visible[..., None], batch["values"], batch["values"] + noise)}
    one, two = _split(batch, visible), _split(changed, visible)
    assert torch.equal(one.values[visible], two.values[visible])
    assert torch.equal(one.levels(), two.levels())
    assert not torch.equal(one.values, two.values), "the hidden targets did change"


def test_lost_packets_have_no_influence_and_stay_zero() -> None:
    lost = np.ones((16, 2, 8), bool)
    lost[5] = False
    lost[9, 1, 3] = False
    values = make_signal(0, times=16, responses=8).values
    spoilt = np.where(lost, values, 1e6)
    one, two = (
        tokenize([make_signal(0, times=16, responses=8, values=v, valid=lost)], CONFIG) for v in (values, spoilt)
    )
    # Signal zeroes lost entries; write rubbish where they are, as a view might.
    two = {**two, "values": torch.where(two["observed"], two["values"], 1e6)}
    a, b = _split(one, one["exists"]), _split(two, two["exists"])
    assert torch.equal(a.values, b.values)
    assert torch.equal(a.levels(), b.levels())
    assert (a.values[~one["observed"]] == 0).all()


def test_a_gain_moves_levels_and_nothing_else() -> None:
    signal = make_signal(0, times=16, responses=8)
    louder = signal.with_(values=8 * signal.values)
    batch = tokenize([signal, louder], CONFIG)
    found = _split(batch, batch["exists"])
    torch.testing.assert_close(found.values[0], found.values[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.dynamic_level[1], 8 * found.dynamic_level[0])
    logs = tokenize([signal, louder], tiny_config(views={"csi": "log-amplitude"}))
    found = _split(logs, logs["exists"])
    torch.testing.assert_close(found.values[0], found.values[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.offset[1] - found.offset[0], torch.tensor(8.0).log(), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.dynamic_level[0], found.dynamic_level[1], atol=1e-4, rtol=0)


def test_a_sample_does_not_depend_on_its_batch() -> None:
    signals = mixed_signals()
    together = tokenize(signals, CONFIG)
    found = _split(together, _visible(together, share=1.0))
    for i, signal in enumerate(signals):
        alone = tokenize([signal], CONFIG)
        count = alone["exists"].shape[1]
        one = _split(alone, alone["observed"].any(-1))
        torch.testing.assert_close(found.values[i, :count], one.values[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.levels()[i], one.levels()[0], atol=1e-5, rtol=1e-5)
        assert (found.values[i, count:] == 0).all()


def test_a_constant_signal_stays_finite() -> None:
    batch = tokenize([make_signal(0, times=8, values=np.ones((8, 2, 16)))], CONFIG)
    found = _split(batch, batch["exists"])
    assert torch.isfinite(found.values).all()
    assert torch.isfinite(found.levels()).all()
    none = _split(batch, torch.zeros_like(batch["exists"]))
    assert torch.isfinite(none.values).all()


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_components_are_those_of_the_same_field_at_any_strength(scale: float) -> None:
    signal = make_signal(0, kind="radar")
    parts = []
    for each in (signal, signal.with_(values=signal.values * scale)):
        batch = tokenize([each], CONFIG)
        parts.append(_split(batch, batch["exists"]))
    torch.testing.assert_close(parts[0].values, parts[1].values, rtol=1e-4, atol=1e-4)
    still = signal.with_(values=np.ones_like(signal.values) * np.float32(0.1))
    batch = tokenize([still], CONFIG)
    assert float(_split(batch, batch["exists"]).values[~batch["static"]].abs().max()) < 0.5, "rounding is no motion"
