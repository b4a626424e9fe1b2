"""Lightning data module over the shard stream of a recipe."""

from __future__ import annotations

import lightning as L

from foundation.config import PretrainRecipe
from foundation.data.loader import Loader
from foundation.data.shards.shard_cache import ShardCache
from foundation.train.module import PretrainModule
from foundation.train.stream import stream_of
from foundation.train.tasks import Tasks


class Shards(L.LightningDataModule):
    """The shard stream of every rank. Checkpoints hold the global position, so that any number of ranks can resume."""

    def __init__(self, recipe: PretrainRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.position, self.first_step = 0, 0  # samples that all ranks had read, and the step, when this process began

    def train_dataloader(self) -> Loader:
        assert self.trainer is not None
        recipe, module = self.recipe, self.trainer.lightning_module
        assert isinstance(module, PretrainModule)
        stream = stream_of(
            recipe,
            module.model.config,
            recipe.train.batch_size,
            position=self.position,
            start=self.first_step * recipe.train.accumulate,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
            prepare=self._tasks(module),
            cache=ShardCache.of(recipe.data.cache, recipe.data.cache_gb),
        )
        return Loader(stream, recipe.data.workers, self.trainer.strategy.root_device)

    def state_dict(self) -> dict[str, int]:
        assert self.trainer is not None
        module = self.trainer.lightning_module
        assert isinstance(module, PretrainModule)
        position = self.position if module.position is None else module.position
        return {"position": position, "step": self.trainer.global_step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position, self.first_step = state["position"], state["step"]

    def _tasks(self, module: PretrainModule) -> Tasks:
        assert self.trainer is not None
        places = self.trainer.global_rank, self.trainer.world_size
        return Tasks(module.objective, module.model.config, self.recipe.seed, self.recipe.train.accumulate, *places)
