"""Kinds of radio measurement. The model embeds the kind; all kinds share one code path."""

#: The order is part of the checkpoint format, because the model embeds the index: append only.
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
