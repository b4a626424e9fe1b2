"""Pure functions of a `Signal` on physical axes, returning a `Signal` or arrays; nothing is changed in place.

Validity masks are propagated: an invalid entry is never returned as valid and never affects a valid one.

`resample` (time, frequency), `subsample` (rate, tones, band, antennas), `phase` (sanitisation), `antennas` (conjugate
product and ratio), `views` (amplitude, phase, IQ), `doppler` (spectrogram), `augment` (random device responses and
subsets), `impairments` (clocks, gain control, loss, IQ imbalance), `packets` (random draws per packet).
"""
