"""Published figures: result rows with intervals, and the tables that documents show of them."""
