"""Supervised networks on the raw field, without pretraining: the baselines that learn from labels alone.

Input: the field as an image and a mask of what was measured, both [batch, channels, times, responses]; see
`foundation.data.images`.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from foundation.models.structure import to_device

SupervisedName = Literal["cnn", "resnet"]
CNN_WIDTHS, CNN_FEATURES, CNN_CELLS = (32, 64, 96), 128, 4
RESNET_WIDTHS, RESNET_BLOCKS = (16, 32, 64), 3
#: The first layer has a stride on axes longer than this, as SenseFi's networks on hundreds of subcarriers.
LONGEST = 64
EPSILON = 1e-3  # least standard deviation: constant entries are not amplified


class SupervisedNetwork(nn.Module):
    """Standardisation by the training samples, a convolutional network, and the linear head of every fine-tuned model.

    Args:
        shape: (channels, times, responses) of the field.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: SupervisedName, shape: tuple[int, int, int], outputs: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape[0], 1, 1))
        self.register_buffer("std", torch.ones(shape[0], 1, 1))
        self.encoder, features = _cnn(shape) if name == "cnn" else _resnet(shape)
        self.head = LinearHead(features, outputs, dropout)

    def inputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Arguments of `forward` for a batch on the CPU, where the model is."""
        return to_device(batch, self.mean.device)

    def standardise_by(
        self,
        field: Float[Tensor, "batch channels times responses"],
        measured: Bool[Tensor, "batch channels times responses"],
    ) -> None:
        """Set mean and standard deviation of every channel to those of measured entries of training samples."""
        count = measured.sum((0, 2, 3)).clamp(min=1)
        mean = (field * measured).sum((0, 2, 3)) / count
        centred = (field - mean[:, None, None]) * measured
        self.mean.copy_(mean[:, None, None])
        self.std.copy_((centred.square().sum((0, 2, 3)) / count).sqrt().clamp(min=EPSILON)[:, None, None])

    def forward(
        self,
        field: Float[Tensor, "batch channels times responses"],
        measured: Bool[Tensor, "batch channels times responses"],
    ) -> Float[Tensor, "batch outputs"]:
        return self.head(self.encoder(torch.where(measured, (field - self.mean) / self.std, 0.0)))


def _cnn(shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
    """Three convolutions and a hidden layer: SenseFi's CNN-5 (Yang et al. 2023, arXiv 2207.07859).

    SenseFi has one network per data set, with kernels and strides set by hand; here they follow from the axes. The last
    layers are the same: 96 channels on at most 4 x 4 cells and 128 features.
    """
    channels, stride = shape[0], _strides(shape)
    size: tuple[int, ...] = shape[1:]
    layers: list[nn.Module] = []
    for index, width in enumerate(CNN_WIDTHS):
        kernel = (7, 7) if index == 0 else (3, 3)
        layers.append(_convolution(channels, width, kernel, size, stride))
        size, channels = tuple(-(-n // s) for n, s in zip(size, stride, strict=True)), width
        pool = tuple(2 if n > CNN_CELLS else 1 for n in size)
        layers += [nn.ReLU(), nn.MaxPool2d(pool, ceil_mode=True)]
        size, stride = tuple(-(-n // p) for n, p in zip(size, pool, strict=True)), (1, 1)
    cells = tuple(min(n, CNN_CELLS) for n in size)
    flat = channels * cells[0] * cells[1]
    layers += [nn.AdaptiveAvgPool2d(cells), nn.Flatten(), nn.Linear(flat, CNN_FEATURES), nn.ReLU()]
    return nn.Sequential(*layers), CNN_FEATURES


def _resnet(shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
    """ResNet-20 for small images (He et al. 2016, arXiv 1512.03385, section 4.2): three stages of three blocks."""
    channels = RESNET_WIDTHS[0]
    layers: list[nn.Module] = [
        _convolution(shape[0], channels, (3, 3), shape[1:], _strides(shape), bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    ]
    for stage, width in enumerate(RESNET_WIDTHS):
        for block in range(RESNET_BLOCKS):
            layers.append(Residual(channels, width, 2 if stage and not block else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), channels


class LinearHead(nn.Module):
    """Norm, dropout and a linear map; regression outputs are scaled to mean and deviation of the training targets, in
    double precision."""

    target_mean: Tensor
    target_std: Tensor

    def __init__(self, features: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, outputs)
        nn.init.zeros_(self.linear.bias)
        nn.init.normal_(self.linear.weight, std=0.01)
        self.register_buffer("target_mean", torch.zeros(outputs))
        self.register_buffer("target_std", torch.ones(outputs))

    def forward(self, pooled: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        return self.linear(self.dropout(self.norm(pooled))) * self.target_std + self.target_mean


class Residual(nn.Module):
    """Residual block of two 3 x 3 convolutions; the shortcut is a 1 x 1 convolution where the shape changes."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        same = channels == width and stride == 1
        self.shortcut: nn.Module = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch width h_out w_out"]:
        return torch.relu(self.body(x) + self.shortcut(x))


def _strides(shape: tuple[int, int, int]) -> tuple[int, int]:
    return -(-shape[1] // LONGEST), -(-shape[2] // LONGEST)


def _convolution(
    channels: int,
    width: int,
    kernel: tuple[int, int],
    size: tuple[int, ...],
    stride: tuple[int, ...],
    bias: bool = True,
) -> nn.Conv2d:
    """A convolution with `same` padding, its kernel no longer than the axis, or it would mostly see padding."""
    fitted = [min(k, 2 * (n // 2) + 1) for k, n in zip(kernel, size, strict=True)]
    padding = tuple(k // 2 for k in fitted)
    return nn.Conv2d(channels, width, (fitted[0], fitted[1]), stride, padding, bias=bias)  # type: ignore[arg-type]
