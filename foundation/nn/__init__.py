"""Tensors in, tensors out: building blocks of the network. Depends on torch and, for shapes in signatures, jaxtyping.

Shapes are written as `Float[Tensor, "batch tokens entries"]`. Nothing checks them at run time; the tests do. An axis
name stands for one size within a call. The names used in `nn`, `models` and `objectives`:

    batch      samples of a batch
    tokens     tokens of a sample, padded to the longest sample
    visible    tokens that the encoder sees, padded to the most of any sample; `sequence`: context tokens, then these
    packed     real tokens of the whole batch, without padding
    masked     hidden tokens of the whole batch, on which a loss is taken
    entries    numbers of a token: (time, response, part) of its patch flattened; part = real, imaginary
    columns    (link, response patch) pairs of a sample; a column covers all times
    slots      numbers of a column at one time: (response, part)
    statistics what describes a slot over time, see `nn.statistics.STATISTICS`
    methods    ways to interpolate, see `nn.interpolation`
    width      features of a token within the network; `heads` of `head_width` each within attention
    axes       (time, link, response) of the patch grid; `position`: centre and extent in (time, frequency, delay)
    features   pooled features of a sample; `outputs`: classes or regression targets of a task

A name after `*` stands for any number of axes, `...` for axes that are not checked. Shapes that would read as Python,
such as " batch", start with a space, so that linters do not take them for names.
"""
