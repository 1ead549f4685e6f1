"""Pythae's VAE, by the inner loop of its own trainer."""

from __future__ import annotations

import tempfile
import time

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn

from benchmarks.contenders import task


class Encoder(BaseEncoder):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> ModelOutput:
        mu, log_sigma = self.network(x).chunk(2, -1)
        return ModelOutput(embedding=mu, log_covariance=2 * log_sigma)


class Decoder(BaseDecoder):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.network(z).sigmoid())


class Pythae:
    """An epoch of the trainer's `train_step` over as many rows as there are steps."""

    def __init__(self, setting: task.Setting):
        self.setting = setting
        encoder, decoder = task.networks(setting)
        shape = {"input_dim": (task.PIXELS,), "latent_dim": setting.latent}
        config = VAEConfig(**shape, reconstruction_loss="bce")
        self.model = VAE(config, Encoder(encoder), Decoder(decoder))
        self.trainers: dict[int, BaseTrainer] = {}

    def trainer(self, steps: int) -> BaseTrainer:
        if steps not in self.trainers:
            rows = steps * self.setting.batch
            config = BaseTrainerConfig(
                output_dir=tempfile.mkdtemp(dir=tempfile.gettempdir()),
                per_device_train_batch_size=self.setting.batch,
                learning_rate=task.LR,
                no_cuda=True,
            )
            x = task.data()[:rows]
            dataset = BaseDataset(x, torch.zeros(len(x)))
            trainer = BaseTrainer(self.model, dataset, training_config=config)
            trainer.prepare_training()
            self.trainers[steps] = trainer
        return self.trainers[steps]

    def bounds(self, steps: int) -> list[float]:
        values, trainer = [], self.trainer(1)  # an epoch of the first batch
        for step in range(steps):
            torch.set_rng_state(task.stream(step).get_state())
            output = self.model({"data": task.data()[: self.setting.batch]})
            trainer._optimizers_step(output)
            values.append(-output.loss.item())
        return values

    def seconds(self, steps: int) -> float:
        trainer = self.trainer(steps)
        start = time.perf_counter()
        trainer.train_step(epoch=1)
        return (time.perf_counter() - start) / steps
