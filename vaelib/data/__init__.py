"""Real data that needs no network, MNIST, and toy densities with known answers."""

from vaelib.data.bundled import DIGIT_LEVELS, Digits, Iris, digits, iris
from vaelib.data.fixed import BinarisedMnist, binarised_mnist
from vaelib.data.mnist import (
    MNIST_LEVELS,
    Mnist,
    binarise,
    mnist,
    mnist_asked_for,
    mnist_cached,
    mnist_folder,
)
from vaelib.data.toys import bimodal, correlated_gaussian

__all__ = [
    "DIGIT_LEVELS",
    "MNIST_LEVELS",
    "BinarisedMnist",
    "Digits",
    "Iris",
    "Mnist",
    "bimodal",
    "binarise",
    "binarised_mnist",
    "correlated_gaussian",
    "digits",
    "iris",
    "mnist",
    "mnist_asked_for",
    "mnist_cached",
    "mnist_folder",
]
