"""Prepare an imputed signal for the reconstruction figure: choose a link, title, axes and NMSE."""

from __future__ import annotations

import numpy as np

from foundation.generate.imputation import Imputed
from foundation.generate.nmse import nmse
from foundation.results.reconstruction_figure import Reconstruction


def reconstruction_picture(imputed: Imputed) -> Reconstruction:
    """One link of an imputed signal: the one with the largest product of hidden and visible entries.

    Signals of one time and one response (such as RSSI snapshots) are shown with all links in a row. NMSE is over the
    hidden entries that are shown.
    """
    signal, hidden = imputed.signal, imputed.hidden
    is_row = hidden.shape[::2] == (1, 1)
    link = int(np.argmax(hidden.sum(axis=(0, 2)) * (~hidden).sum(axis=(0, 2))))

    def shown(values: np.ndarray) -> np.ndarray:
        picked = values[:, :, 0] if is_row else values[:, link]
        return np.asarray(picked.real if signal.is_real else picked)

    truth, is_hidden = shown(imputed.truth), shown(hidden)
    made = {"model": shown(imputed.prediction), "linear interpolation": shown(imputed.interpolated)}
    is_known = shown(signal.mask) if signal.clean is None else True
    where = f"tx {signal.links[link].tx}, rx {signal.links[link].rx}" if len(signal.links) > 1 and not is_row else ""
    title = ", ".join(str(part) for part in (signal.labels.get("activity"), signal.session, where) if part)
    return Reconstruction(
        title=title or signal.kind,
        truth=np.where(is_known, truth, np.nan),
        visible_mask=~is_hidden,
        prediction=made["model"],
        nmse={name: nmse(truth, each, is_hidden) for name, each in made.items()} if np.any(truth[is_hidden]) else {},
        time_s=signal.time_s,
        frequency_hz=None if is_row else signal.frequency_hz,
        delay_s=None if is_row else signal.delay_s,
        places="link" if is_row else "response, bins",
        unit="dBm" if signal.kind == "rssi" else "amplitude",
    )
