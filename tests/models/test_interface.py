"""What users of transformers ask of a model: types, outputs, keywords, attention, graphs."""

from __future__ import annotations

import pytest
import torch
from helpers.models import build
from helpers.signals import mixed_signals, tiny_config

from foundation.data.tokens import Batch, tokenize
from foundation.errors import SignalError
from foundation.models import CONTEXT_TOKENS, WfmForMaskedModeling, WfmModel, pool

HALF = [torch.float16, torch.bfloat16]
CONFIG = tiny_config()


@pytest.fixture(scope="module")
def batch() -> Batch:
    return tokenize(mixed_signals(), CONFIG)


@pytest.fixture(scope="module")
def folder(model: WfmForMaskedModeling, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("saved")
    model.save_pretrained(path)
    return str(path)


def alike(one: torch.Tensor, two: torch.Tensor) -> float:
    """Least cosine similarity of any sample."""
    return float(torch.cosine_similarity(one.float().flatten(1), two.float().flatten(1)).min())


@torch.no_grad()
@pytest.mark.parametrize("dtype", HALF)
def test_features_agree_in_every_precision(folder: str, batch: Batch, dtype: torch.dtype) -> None:
    exact = WfmModel.from_pretrained(folder)
    expected = exact(**batch)
    loaded, cast = WfmModel.from_pretrained(folder, dtype=dtype), WfmModel.from_pretrained(folder).to(dtype)
    for encoder in (loaded, cast):
        found = encoder(**batch)
        assert found.last_hidden_state.dtype == dtype
        assert alike(found.last_hidden_state, expected.last_hidden_state) > 0.995
        for pooling in ("moments", "columns", "context"):
            assert alike(pool(encoder, found, batch, pooling), pool(exact, expected, batch, pooling)) > 0.995
    with torch.autocast("cpu", dtype=dtype):
        assert alike(exact(**batch).last_hidden_state, expected.last_hidden_state) > 0.995


@torch.no_grad()
@pytest.mark.parametrize("dtype", HALF)
def test_the_decoder_and_its_heads_are_finite_in_half_precision(folder: str, batch: Batch, dtype: torch.dtype) -> None:
    network = WfmForMaskedModeling.from_pretrained(folder, dtype=dtype)
    visible = batch["observed"].any(-1)
    visible[:, ::3] = False
    assert torch.isfinite(network.reconstruct(visible, **batch)).all()
    generator = torch.Generator().manual_seed(0)
    assert torch.isfinite(network.generate(visible, generator, steps=2, **batch)).all()


@torch.no_grad()
def test_inputs_of_half_precision_are_read_or_refused(model: WfmForMaskedModeling, batch: Batch) -> None:
    expected = model.encoder(**batch).last_hidden_state
    values = {**batch, "values": batch["values"].half()}
    assert alike(model.encoder(**values).last_hidden_state, expected) > 0.99
    with pytest.raises(SignalError, match="float16 cannot hold these hertz"):
        model.encoder(**{**batch, "position": batch["position"].half()})
    with pytest.warns(UserWarning, match="coarse in bfloat16"):
        model.encoder(**{**batch, "position": batch["position"].bfloat16()})


@torch.no_grad()
def test_outputs_have_the_usual_names(model: WfmForMaskedModeling, batch: Batch) -> None:
    output = model.encoder(output_hidden_states=True, **batch)
    assert len(output.hidden_states) == CONFIG.depth + 1
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    assert {state.shape for state in output.hidden_states} == {output.last_hidden_state.shape}
    assert torch.equal(output.pooler_output, pool(model.encoder, output, batch, "moments"))
    assert model.encoder(**batch).hidden_states is None
    plain = model.encoder(return_dict=False, **batch)
    assert isinstance(plain, tuple)
    assert torch.equal(plain[0], output.last_hidden_state)
    assert torch.equal(plain[1], output.pooler_output)


def test_an_unknown_or_missing_input_is_an_error(model: WfmForMaskedModeling, batch: Batch) -> None:
    with pytest.raises(SignalError, match="no input 'attention_mask'; it takes values, observed"):
        model.encoder(attention_mask=batch["exists"], **batch)
    with pytest.raises(SignalError, match="no input 'valves'; did you mean 'values'"):
        model.encoder(valves=batch["values"], **batch)
    with pytest.raises(SignalError, match="lacks its input 'position'"):
        model.encoder(**{name: value for name, value in batch.items() if name != "position"})


def test_attention_may_be_named(folder: str) -> None:
    assert WfmModel.from_pretrained(folder, attn_implementation="sdpa").config._attn_implementation == "sdpa"


@pytest.mark.parametrize("changes", [{}, {"experts": 4, "experts_active": 2}])
def test_the_encoder_can_be_exported_as_a_graph(batch: Batch, changes: dict[str, int]) -> None:
    encoder = build(**changes).encoder
    graph = torch.export.export(encoder, (), kwargs=batch).module()
    other = tokenize(list(reversed(mixed_signals())), CONFIG)
    for each in (batch, other):
        with torch.no_grad():
            found, expected = graph(**each), encoder(**each)
        count = expected.last_hidden_state.shape[1]  # the graph keeps padding that the encoder leaves out
        keep = expected.keep[..., None]
        torch.testing.assert_close(found.last_hidden_state[:, :count] * keep, expected.last_hidden_state * keep)
        torch.testing.assert_close(found.pooler_output, expected.pooler_output)
        assert torch.equal(found.index[:, : count - CONTEXT_TOKENS], expected.index)
