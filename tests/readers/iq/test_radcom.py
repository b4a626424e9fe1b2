"""RadCom HDF5 files: as published, and malformed files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.radcom import KEYS, written

from foundation.errors import ReadError
from foundation.readers.iq import radcom


@pytest.mark.parametrize("shape", [(256,), (256, 1)])
def test_published_layout(tmp_path: Path, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    values = {str(key): np.random.default_rng(i).normal(size=shape) for i, key in enumerate(KEYS)}
    path = written(tmp_path / "RadComOta.hdf5", values)
    assert radcom.sniff(path.read_bytes()[:4096])
    monkeypatch.setattr(radcom, "_BLOCK", 2)
    signals = radcom.read(path)
    assert len(signals) == 3
    for signal, key in zip(signals, KEYS, strict=True):
        wanted = values[str(key)].ravel()
        np.testing.assert_allclose(signal.values[:, 0, 0], wanted[:128] + 1j * wanted[128:], rtol=1e-6)
        assert signal.labels == {"modulation": key[0], "waveform": key[1], "snr": float(key[2])}
    assert (signal.kind, signal.values.shape, signal.bandwidth_hz) == ("iq", (128, 1, 1), 10e6)
    assert signal.interval_s == pytest.approx(1e-7)


@pytest.mark.parametrize(
    "key",
    [
        "iq",
        "('BPSK', 'SATCOM', '0')",
        "('BPSK', 'SATCOM', 'high', '0')",
        "('BPSK', 'SATCOM', 'nan', '0')",
        "(" * 150,
        "__import__('os').system('true')",
        "('a', 'b', '1', " + "'0'" * 99 + ")",
    ],
)
def test_other_keys_are_named(tmp_path: Path, key: str) -> None:
    path = written(tmp_path / "a.h5", {key: np.ones(256)})
    with pytest.raises(ReadError, match=r"a\.h5: key .* is not \(modulation, signal, SNR, number\)"):
        radcom.read(path)


def test_what_is_no_radcom_file(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"has shape \(255,\); expected 128 samples of I"):
        radcom.read(written(tmp_path / "a", {str(KEYS[0]): np.ones(255)}))
    with pytest.raises(ReadError, match="is truncated or damaged"):
        radcom.read(written(tmp_path / "a", {str(KEYS[0]): np.ones(255), str(KEYS[1]): np.ones(256)}))
    with pytest.raises(ReadError, match="contains no example"):
        radcom.read(written(tmp_path / "a", {}))
    with pytest.raises(ReadError, match="is not an HDF5 file"):
        (tmp_path / "a").write_bytes(b"text")
        radcom.read(tmp_path / "a")
    data = written(tmp_path / "b", {str(KEYS[0]): np.ones(256)}).read_bytes()
    (tmp_path / "a").write_bytes(data[:1000])
    with pytest.raises(ReadError, match="is truncated or damaged"):
        radcom.read(tmp_path / "a")


def test_nothing_is_allocated_for_what_is_no_example(tmp_path: Path) -> None:
    secret = written(tmp_path / "secret", {"x": np.ones(256)})
    with h5py.File(tmp_path / "large", "w") as file:
        file.create_dataset(str(KEYS[0]), (1 << 40,), "f4", chunks=(1024,))
    with h5py.File(tmp_path / "link", "w") as file:
        file[str(KEYS[0])] = h5py.ExternalLink(str(secret), "x")
    with h5py.File(tmp_path / "group", "w") as file:
        file.create_group(str(KEYS[0]))
    for name in ("large", "link", "group"):
        with pytest.raises(ReadError, match=rf"{name}: .*AM-DSB.* is not an array of up to 256 numbers in this file"):
            radcom.read(tmp_path / name)


def test_samples_that_are_not_finite_are_invalid(tmp_path: Path) -> None:
    values = np.ones(256)
    values[5], values[128 + 9] = np.nan, np.inf
    (signal,) = radcom.read(written(tmp_path / "a", {str(KEYS[0]): values}))
    assert np.flatnonzero(~signal.mask[:, 0, 0]).tolist() == [5, 9]
