"""Lightning's trainer around the loop's loss."""

from __future__ import annotations

import logging
import time
import warnings

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.contenders import task

WARM = 10


class Module(lightning.LightningModule):
    def __init__(self, setting: task.Setting):
        super().__init__()
        self.setting = setting
        self.encoder, self.decoder = task.networks(setting)

    def training_step(self, batch: tuple[Tensor], index: int) -> Tensor:
        (x,) = batch
        eps = torch.randn(self.setting.samples, len(x), self.setting.latent)
        return task.negative_bound(self.encoder, self.decoder, x, eps)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=task.LR)


class Clock(lightning.Callback):
    """When the first steps and the last one had ended."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        self.last = time.perf_counter()
        if batch_idx == WARM - 1:
            self.start = self.last


class Lightning:
    """`Trainer.fit` with a DataLoader; no logger, checkpoint, bar or summary."""

    def __init__(self, setting: task.Setting):
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module="lightning")
        self.setting = setting
        self.module = Module(setting)
        self.loader = DataLoader(
            TensorDataset(task.data()), setting.batch, shuffle=True, drop_last=True
        )

    def bounds(self, steps: int) -> list[float]:
        module, values = Module(self.setting), []
        optimizer = module.configure_optimizers()
        for step in range(steps):
            torch.set_rng_state(task.stream(step).get_state())
            loss = module.training_step((task.data()[: self.setting.batch],), step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            values.append(-loss.item())
        return values

    def seconds(self, steps: int) -> float:
        clock = Clock()
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_steps=WARM + steps,
            callbacks=[clock],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(self.module, self.loader)
        return (clock.last - clock.start) / steps
