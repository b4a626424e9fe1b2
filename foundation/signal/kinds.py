"""The kinds of radio measurement. A kind tells the model in what its samples differ; the code path is the same."""

#: Order is part of the checkpoint format (the model embeds the index): only ever append.
KINDS: tuple[str, ...] = (
    "csi",  # Wi-Fi channel state information, complex
    "csi-amplitude",  # Wi-Fi CSI whose phase was not recorded
    "channel",  # MIMO-OFDM channel matrices, simulated or sounded, complex
    "iq",  # raw complex baseband samples
    "spectrogram",  # power over time and frequency
    "radar",  # FMCW radar fields
    "cir",  # channel impulse response in the delay domain (UWB)
    "rssi",  # received signal strength per transmitter
)
