"""Pure functions on physical axes: a `Signal` in, a `Signal` or arrays out; nothing is changed in place.

They keep the mask honest: what was not measured is never shown as measured, and never changes what was.

`resample` (time, frequency), `phase` (sanitised), `antennas` (product and ratio of two), `views` (amplitude, phase,
IQ), `doppler` (spectrogram), `impairments` (clocks, gain control, loss, IQ imbalance), `packets` (their random draws).
"""
