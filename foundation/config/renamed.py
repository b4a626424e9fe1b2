"""Keys, values and recipe files of earlier versions -> their names now, so that an error message can say so."""

from __future__ import annotations

#: Key -> its name now.
KEYS = {
    "floors": "baselines",
    "keep": "cache",
    "in_part": "random_subset",
    "sketch_weight": "statistics_weight",
    "blend_share": "gate_share",
}
#: Key -> why it was removed.
DELETED = {
    "flow_share": "a quarter of the hidden tokens is fixed",
    "static_weight": "a half is fixed",
    "lora_alpha": "it is twice lora_rank",
    "dropout": "the encoder has none",
    "kinds": "the table has 32 rows",
}
#: Value -> its name now.
VALUES = {"floor": "baseline", "naming-a": "day-1-to-2", "naming-b": "day-2-to-1"}
#: Packaged recipe -> its name now.
RECIPES = {"filling.yaml": "imputation.yaml"}
#: Command-line option -> its name now.
OPTIONS = {"--filling": "--imputation"}
