"""Studies: ablations and scaling laws over many small pretrainings, evaluated in the same way. `wfm study`."""
