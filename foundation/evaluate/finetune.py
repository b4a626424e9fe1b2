"""`finetune(recipe)`: fit LoRA and a head to one task, save them, and score every test part."""

from __future__ import annotations

from foundation.adapt import fit, predict, save_adapter
from foundation.adapt.adapter_files import weights_hash
from foundation.checkpoints.load import load_encoder
from foundation.config import FinetuneRecipe
from foundation.data.labelled import TokenSet, label_subset
from foundation.errors import CheckpointError, RecipeError
from foundation.evaluate.leakage import refuse_overlap
from foundation.evaluate.statistics.metrics import scores
from foundation.evaluate.task import Problem


def finetune(recipe: FinetuneRecipe) -> dict[str, dict[str, float]]:
    """Test part -> metric -> value. The adapter folder `recipe.out` must not exist yet.

    Raises:
        CheckpointError: `out` exists (nothing is overwritten) or the checkpoint cannot be loaded.
        RecipeError, ShardError: the task cannot be loaded.
    """
    if recipe.out.exists():  # before an hour of fitting, not after
        raise CheckpointError(f"{recipe.out} exists and is left alone; set out= to a new folder, or delete it first.")
    if not isinstance(recipe.task.split, str):
        raise RecipeError("task.split: fine-tuning makes one adapter, so give one split; 'wfm evaluate' takes several.")
    encoder = load_encoder(recipe.checkpoint)
    problem = Problem.load(recipe.task, recipe.task.split)
    refuse_overlap(recipe.checkpoint, recipe.task.shards, recipe.task.split, recipe.task.tests)
    data = TokenSet(problem.train, encoder.config)
    targets = problem.target.encode(problem.train)
    rows = label_subset(targets, recipe.fraction, recipe.seed)
    model = fit(encoder, data, rows, targets, problem.target, "lora", recipe.tune, recipe.seed, progress=True)
    save_adapter(model, problem.target, recipe.checkpoint, weights_hash(encoder), recipe.out)
    found = {}
    for part, signals in problem.tests.items():
        output = predict(model, TokenSet(signals, encoder.config))
        predicted = output if problem.target.classes is None else output.argmax(1)
        found[part] = scores(problem.target.encode(signals), predicted, recipe.task.label)
    return found
