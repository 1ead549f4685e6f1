"""Convolutional networks for square pictures that are kept as flat vectors."""

from __future__ import annotations

from torch import Tensor, nn


def conv_encoder(
    side: int, outputs: int, channels: tuple[int, int] = (16, 32)
) -> nn.Module:
    """Pictures `(..., side²)` → `(..., outputs)`: two convolutions and a linear layer.

    Each convolution halves the side.

    Args:
        side: of the picture in pixels, a multiple of 4, such as 8 or 28.
        outputs: how many numbers, such as `family.size` for a guide.
        channels: of the two hidden layers.
    """
    small, (c1, c2) = _quarter(side), channels
    return _Rows(
        nn.Unflatten(1, (1, side, side)),
        nn.Conv2d(1, c1, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(c1, c2, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(c2 * small**2, outputs),
    )


def conv_decoder(
    latent_dim: int, side: int, channels: tuple[int, int] = (32, 16), planes: int = 1
) -> nn.Module:
    """Codes `(..., D)` → `(..., planes · side²)`, the mirror image of `conv_encoder`.

    Args:
        latent_dim: the dimension D.
        side: of the picture in pixels, a multiple of 4, such as 8 or 28.
        channels: of the two hidden layers.
        planes: parameters for each pixel, one plane after the other: 1, or 2 for
            `GaussianPerPixel`.
    """
    small, (c1, c2) = _quarter(side), channels
    return _Rows(
        nn.Linear(latent_dim, c1 * small**2),
        nn.ReLU(),
        nn.Unflatten(1, (c1, small, small)),
        nn.ConvTranspose2d(c1, c2, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(c2, planes, 4, stride=2, padding=1),
        nn.Flatten(),
    )


class _Rows(nn.Sequential):
    """Layers that take rows `(N, ·)`, applied over any leading axes."""

    def forward(self, input: Tensor) -> Tensor:
        rows = super().forward(input.flatten(0, -2))
        return rows.unflatten(0, input.shape[:-1])


def _quarter(side: int) -> int:
    if not isinstance(side, int) or side < 4 or side % 4:
        raise ValueError(f"side: expected a multiple of 4, got {side!r}")
    return side // 4
