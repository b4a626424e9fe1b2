"""Checkpoints: from a training checkpoint to an exported model, and back to a network.

`layout` names the files of a run; `atomic` and `integrity` write and check training checkpoints; `training` reads them.
`export` turns one into a folder for `AutoModel.from_pretrained` with a `card` and its `provenance`; `push` uploads that
folder to the Hugging Face Hub. `load` loads a network from any of these, through `exported` and `released`. The
released models themselves, such as `wfm-small/`, are folders beside these modules.
"""
