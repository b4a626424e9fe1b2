"""Labelled baseband tasks: modulations over a fading channel, and transmitters told apart by their front ends."""
