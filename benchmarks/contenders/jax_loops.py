"""The same model in JAX with optax's Adam."""

from __future__ import annotations

import functools
import time

import jax
import numpy as np
import optax
import torch
from jax import numpy as jnp

from benchmarks.contenders import task
from benchmarks.contenders.floor import Floor

ACTIVATIONS = {torch.nn.ReLU: jax.nn.relu, torch.nn.Tanh: jnp.tanh}


class Jax:
    """One jitted call a step."""

    def __init__(self, setting: task.Setting):
        self.setting = setting
        activation = ACTIVATIONS[setting.activation]
        optimizer = optax.adam(task.LR)
        shape = setting.samples, setting.batch, setting.latent

        def network(layers, x):
            for i, (weight, bias) in enumerate(layers):
                x = x @ weight + bias
                x = activation(x) if i < len(layers) - 1 else x
            return x

        def loss(parameters, x, eps):
            mu, log_sigma = jnp.split(network(parameters[0], x), 2, -1)
            z = mu + jnp.exp(log_sigma) * eps
            logits = network(parameters[1], z)
            log_lik = (x * logits - jax.nn.softplus(logits)).sum(-1)
            log_w = log_lik + (0.5 * (eps**2 - z**2) + log_sigma).sum(-1)
            if len(log_w) == 1:
                return -log_w.mean()
            return -(jax.nn.logsumexp(log_w, 0) - jnp.log(len(log_w))).mean()

        def update(state, x, eps):
            parameters, inner = state
            value, gradient = jax.value_and_grad(loss)(parameters, x, eps)
            change, inner = optimizer.update(gradient, inner)
            return (optax.apply_updates(parameters, change), inner), value

        def step(state, data, rows, key):
            return update(state, data[rows], jax.random.normal(key, shape))

        def steps(state, data, rows, keys):
            return jax.lax.scan(
                lambda state, each: step(state, data, *each), state, (rows, keys)
            )

        jit = functools.partial(jax.jit, donate_argnums=0)
        self.update, self.step, self.steps = jit(update), jit(step), jit(steps)
        self.optimizer = optimizer
        self.state = self.start()
        self.data = jnp.asarray(task.data().numpy())
        self.rows = task.batches(setting)
        self.key = jax.random.key(0)

    def start(self):
        """The first weights, inputs first, and the optimiser's state."""
        parameters = [
            [
                (jnp.array(m.weight.detach().numpy().T), jnp.array(m.bias.detach()))
                for m in network
                if hasattr(m, "weight")
            ]
            for network in task.networks(self.setting)
        ]
        return parameters, self.optimizer.init(parameters)

    def bounds(self, steps: int) -> list[float]:
        state, values = self.start(), []
        for step in range(steps):
            eps = jnp.asarray(task.epsilon(self.setting, step).numpy())
            state, value = self.update(state, self.data[: self.setting.batch], eps)
            values.append(-float(value))
        return values

    def inputs(self, steps: int):
        """Rows of each step's batch and its key."""
        rows = np.stack([next(self.rows).numpy() for _ in range(steps)])
        self.key, *keys = jax.random.split(self.key, steps + 1)
        return rows.astype(np.int32), jnp.stack(keys)

    def seconds(self, steps: int) -> float:
        rows, keys = self.inputs(steps)
        keys = list(keys)
        start = time.perf_counter()
        for each, key in zip(rows, keys, strict=True):
            self.state, value = self.step(self.state, self.data, each, key)
        jax.block_until_ready(self.state)
        return (time.perf_counter() - start) / steps


class JaxScan(Jax):
    """All steps of a turn in one jitted call."""

    def seconds(self, steps: int) -> float:
        rows, keys = self.inputs(steps)
        start = time.perf_counter()
        self.state, values = self.steps(self.state, self.data, rows, keys)
        jax.block_until_ready(self.state)
        return (time.perf_counter() - start) / steps


class JaxFloor:
    """The products of the floor, by the library of products that JAX brings."""

    def __init__(self, setting: task.Setting):
        pairs = [(np.asarray(a), np.asarray(b)) for a, b, _ in Floor(setting).calls]
        # jnp.array lays them out by rows, as JAX has its own.
        self.pairs = [(jnp.array(a), jnp.array(b)) for a, b in pairs]
        self.step = jax.jit(lambda pairs: [a @ b for a, b in pairs])

    def seconds(self, steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            out = self.step(self.pairs)
        jax.block_until_ready(out)
        return (time.perf_counter() - start) / steps
