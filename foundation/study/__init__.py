"""Studies: many small pretrainings that differ in one thing, judged alike. `wfm study`."""
