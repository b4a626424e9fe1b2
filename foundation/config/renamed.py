"""Keys, values and recipe files of earlier versions -> their names now, so that an error message can say so."""

from __future__ import annotations

#: Key -> its name now.
KEYS = {
    "floors": "baselines",
    "keep": "cache",
    "in_part": "random_subset",
    "sketch_weight": "statistics_weight",
    "blend_share": "gate_share",
    "flow_weight": "denoising_weight",
}
#: Section and key -> why it was removed.
DELETED = {
    "ObjectiveSection.flow_share": "since hidden tokens are denoised together",
    "ObjectiveSection.flow_levels": "since hidden tokens are denoised together, at one noise level a sample",
    "ModelSection.flow_width": "since the decoder denoises",
    "ModelSection.flow_depth": "since the decoder denoises",
    "ObjectiveSection.static_weight": "since it is always a half",
    "TuneSection.lora_alpha": "since it is twice lora_rank",
    "ModelSection.dropout": "since the encoder has none",
    "ModelSection.kinds": "since the table of kinds always has 32 rows",
}
#: Value, mode or split -> its name now.
VALUES = {"floor": "baseline", "naming-a": "day-1-to-2", "naming-b": "day-2-to-1"}
#: Packaged recipe -> its name now.
RECIPES = {"filling.yaml": "imputation.yaml"}
#: Command-line option -> its name now.
OPTIONS = {"--filling": "--imputation"}
