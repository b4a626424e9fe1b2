"""Logs of the DecaRanging program, as text."""

from __future__ import annotations

import numpy as np

SYMBOLS = 274  # preamble symbols that a frame's counts are summed over


def frame(
    time_s: float, first_path: float, taps: np.ndarray, announced: int | None = None, symbols: int = SYMBOLS
) -> str:
    lines = "".join(f"{int(v.real)}, {int(v.imag)}\n" for v in taps)
    return (
        f"\n21 4B Rx time = {time_s:.15e} 953B8FDBD7\n\n21 4B Rx time(un) = 9.9e+001 953B901800\n\n"
        f"txdly 4045 rxdly 4045\nRX DATA: 41cc4b\n\n"
        f"RX OK WInd(0735), HLP({first_path:09.4f}), PSC({symbols:04d}), RSL(-078.9641)\n"
        f"Accum Len {announced or len(taps)}\n{lines}\nTX Frame TimeStamp Raw  = 97 76DA1A45\n"
    )


HEADER = (
    "File:20180108-115817_Accum.log, created by DecaRanging MP Version 3.05 (build:Oct  7 2015, 15:44:09)\n"
    "Mode: 2, Chan 2, Code 9, PRF 64, Plength 1024, DataRate 1, PAC 2, ic:1000fa35, ucode:xxxx, antdl:808A\n"
)
FAILED = "\nRX E\0 WInd(0735), PSC(0264), STO(0001), RSMPL(34)\nAccum Len 20\n" + "725, 443\n" * 20
