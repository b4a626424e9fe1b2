"""Read a capture, print what it is and draw it: arrivals, amplitude, phase and Doppler on physical axes.

    python examples/read_and_look.py                      # a simulated recording of a person walking
    python examples/read_and_look.py capture.dat          # a file of yours; the format is detected from its content
    python examples/read_and_look.py a.csv interval_s=0.01    # options for what the file does not store

Whatever was recorded becomes a `Signal`: complex values over (time, link, response) with axes in seconds and hertz.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from foundation.inspect.capture import Capture, describe, draw, load, print_summary
from foundation.signal import Signal
from foundation.simulate import SimulationConfig, simulate
from foundation.transforms.antennas import conjugate_ratio
from foundation.transforms.doppler import doppler

#: Eight seconds of one person walking, 200 packets per second, one transmit and two receive antennas.
WALK = SimulationConfig(times=1600, interval_s=0.005, subcarriers=64, windows_per_session=1, activities=("walk",))


def simulated_capture() -> Capture:
    """A recording from the simulator in the form in which `load` returns a file: lost packets are absent."""
    (signal,) = simulate(1, seed=42, config=WALK)
    arrived = np.flatnonzero(signal.mask.any(axis=(1, 2)))
    return Capture(Path("simulated: a person walking"), "simulated", [signal.part(times=arrived)], [])


def look_inside(signal: Signal) -> None:
    """The arrays of a `Signal`, and one physical quantity computed from them."""
    axis = "frequency_hz" if signal.domain == "frequency" else "delay_s"
    print(f"\nsignal.values  {signal.values.dtype} {signal.values.shape}: times x links x responses")
    print(f"signal.time_s  {signal.time_s[0]:g} to {signal.time_s[-1]:g} s")
    print(f"signal.{axis}  {signal.response[0]:g} to {signal.response[-1]:g}")
    print(f"signal.links   {', '.join(f'tx {link.tx} rx {link.rx}' for link in signal.links[:4])}")
    labels = {
        name: np.round(each, 2).tolist() if isinstance(each, tuple) else each for name, each in signal.labels.items()
    }
    print(f"signal.labels  {labels}")
    if signal.kind == "csi" and len({link.rx for link in signal.links}) > 1 and len(signal.time_s) >= 64:
        # The ratio of two antennas cancels the packets' random phase and gain; what is left moves with the person.
        spectrum = doppler(conjugate_ratio(signal, signal.links[0].rx))
        power = np.nanmean(spectrum.power[:, 0], axis=0)
        shift = np.average(np.abs(spectrum.frequency_hz), weights=power)
        print(f"mean Doppler shift of the moving paths: {shift:.1f} Hz")


def main() -> None:
    began = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, help="a capture file; default: a simulated recording")
    parser.add_argument("options", nargs="*", metavar="OPTION=VALUE", help="what the file does not store")
    parser.add_argument("--format", help="name of the format, for files that cannot be recognised by their content")
    parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the picture")
    args = parser.parse_args()

    capture = load(args.file, args.format, args.options) if args.file else simulated_capture()
    print_summary(describe(capture))
    look_inside(capture.signals[0])

    args.out.mkdir(parents=True, exist_ok=True)
    picture = args.out / "read_and_look.png"
    picture.write_bytes(draw(capture))
    print(f"\npicture: {picture}   ({time.perf_counter() - began:.0f} s)")


if __name__ == "__main__":
    main()
