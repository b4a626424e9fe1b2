"""Packed tokens: padding has no influence, and each sample gives what it gives alone."""

from __future__ import annotations

import inspect

import pytest
import torch
import torch._dynamo.testing
from torch.nn import functional as F

from foundation.models.structure import to_device
from foundation.nn.attention import MAX_EXPLICIT, Attention, attend
from foundation.nn.blocks import Block, Transformer, compile_blocks
from foundation.nn.packing import SPREAD, pack

LENGTHS = (40, 3, 25, 40, 17, 1, 26)


def _keep(scattered: bool) -> torch.Tensor:
    """Real tokens of samples of `LENGTHS`: at the front, or anywhere."""
    keep = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    if scattered:
        generator = torch.Generator().manual_seed(0)
        keep = torch.stack([row[torch.randperm(len(row), generator=generator)] for row in keep])
    return keep


def test_packing_loses_no_token_and_attention_pads_within_its_limit() -> None:
    keep = _keep(scattered=True)
    packing = pack(keep, *keep.shape)
    numbers = torch.arange(1.0, keep.numel() + 1).view(*keep.shape, 1)
    rows = packing.pack(numbers)
    assert len(rows) == sum(LENGTHS)
    assert torch.equal(packing.unpack(rows), numbers * keep[..., None])
    assert [group.start for group in packing.groups] == [0, *(group.stop for group in packing.groups[:-1])]
    for group in packing.groups:
        padded = group.padded(rows)
        shortest = int((padded != 0).squeeze(-1).sum(1).min())
        assert group.longest <= SPREAD * max(shortest, 16)
        assert torch.equal(group.packed(padded), rows[group.start : group.stop])
    assert len(packing.groups) > 1


@pytest.mark.parametrize("scattered", [False, True])
def test_a_padded_batch_gives_what_each_sample_gives_alone(scattered: bool) -> None:
    torch.manual_seed(0)
    keep = _keep(scattered)
    transformer = Transformer(hidden=32, depth=2, heads=4).double()
    x, position = torch.randn(*keep.shape, 32, dtype=torch.float64), torch.rand(*keep.shape, 6, dtype=torch.float64)
    x[~keep] = torch.nan  # any influence would be seen at once
    wanted = torch.randn_like(x)

    def gradients() -> list[torch.Tensor]:
        taken = [p.grad.clone() for p in transformer.parameters() if p.grad is not None]
        transformer.zero_grad()
        return taken

    out = transformer(x, position, pack(keep, *keep.shape))
    assert not bool(out[~keep].any())
    (out * wanted)[keep].sum().backward()
    together = gradients()
    for sample, real, where, want in zip(x, keep, position, wanted, strict=True):
        alone = transformer(sample[real][None], where[real][None], pack(None, 1, int(real.sum())))
        (alone[0] * want[real]).sum().backward()
        sample[real] = alone[0].detach()
    torch.testing.assert_close(out[keep], x[keep])
    torch.testing.assert_close(together, gradients())


@pytest.mark.parametrize("length", [7, MAX_EXPLICIT, MAX_EXPLICIT + 1])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_in_bf16_is_attention(length: int, padded: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 2, length, 16, generator=generator)
    keep = (torch.arange(length) < torch.tensor([[length], [length // 2]]))[:, None, None] if padded else None
    exact = F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
    near = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), keep)
    assert near.dtype == torch.bfloat16
    torch.testing.assert_close(near.float(), exact, atol=0.02, rtol=0.02)


def test_compiled_blocks_are_traced_once_for_all_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once per network width: eager execution of the traced graphs stands in for the compiler, which takes a minute."""
    torch.manual_seed(0)
    # As at run time, without the check of shapes, which cannot be traced.
    monkeypatch.setattr(Block, "after_attention", inspect.unwrap(Block.after_attention))
    transformer = Transformer(hidden=32, depth=3, heads=4)
    names = transformer.state_dict().keys()
    batches = [torch.arange(n) < torch.randint(1, n + 1, (5, 1)) for n in (9, 33, 14, 60, 21, 48)]
    inputs = [
        (torch.randn(*keep.shape, 32, requires_grad=True), torch.rand(*keep.shape, 6), pack(keep, *keep.shape))
        for keep in batches
    ]
    plain = [transformer(*x) for x in inputs]
    torch._dynamo.reset()
    traced = torch._dynamo.testing.CompileCounter()
    compile_blocks(transformer, backend=traced)
    for x, want in zip(inputs, plain, strict=True):
        torch.testing.assert_close(transformer(*x), want)
    assert traced.frame_count == 1
    assert transformer.state_dict().keys() == names


def test_compiled_whole_blocks_are_traced_once_where_attention_is_one_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the meta device, which stands in for CUDA: forward and backward of 30 batches are one graph of a block."""
    for name in ("whole", "after_attention"):
        monkeypatch.setattr(Block, name, inspect.unwrap(getattr(Block, name)))
    for name in ("project", "mix_any_length"):
        monkeypatch.setattr(Attention, name, inspect.unwrap(getattr(Attention, name)))
    with torch.device("meta"):
        transformer = Transformer(hidden=64, depth=3, heads=4).bfloat16()
    torch._dynamo.reset()
    traced = torch._dynamo.testing.CompileCounter()
    compile_blocks(transformer, backend=traced)
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        samples, longest = (int(torch.randint(2, most, (), generator=generator)) for most in (9, 80))
        keep = torch.arange(longest) < torch.randint(1, longest + 1, (samples, 1), generator=generator)
        packing = to_device(pack(keep, *keep.shape), "meta")
        x = torch.randn(samples, longest, 64, device="meta", dtype=torch.bfloat16, requires_grad=True)
        transformer(x, torch.rand(samples, longest, 6, device="meta"), packing).sum().backward()
    assert traced.frame_count == 1
