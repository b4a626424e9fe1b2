"""A filled-in signal as a figure shows it."""

from __future__ import annotations

import numpy as np

from foundation.drawing import Reconstruction
from foundation.generate.fill import Filled
from foundation.generate.nmse import nmse


def reconstruction_picture(filled: Filled) -> Reconstruction:
    """The first link of one filled signal; all links side by side where each is a single number. Errors are of what is
    shown."""
    signal = filled.signal
    is_row = filled.truth.shape[::2] == (1, 1)

    def shown(values: np.ndarray) -> np.ndarray:
        return np.asarray(values[:, :, 0] if is_row else values[:, 0])

    truth, hidden = shown(filled.truth), shown(filled.hidden)
    made = {"model": shown(filled.prediction), "linear interpolation": shown(filled.interpolated)}
    has_power = bool(np.any(truth[hidden] != 0))
    title = ", ".join(str(part) for part in (signal.labels.get("activity"), signal.session) if part)
    is_known = shown(signal.mask) if signal.clean is None else True
    return Reconstruction(
        title=title or signal.kind,
        truth=np.where(is_known, truth, np.nan),
        visible_mask=~hidden,
        prediction=made["model"],
        nmse={name: nmse(truth, values, hidden) for name, values in made.items()} if has_power else {},
        time_s=signal.time_s,
        frequency_hz=None if is_row else signal.frequency_hz,
        delay_s=None if is_row else signal.delay_s,
        unit="dBm" if signal.kind == "rssi" else "amplitude",
    )
