"""Samples whose randomness is a function of (seed, place in the stream), for data sets that draw while they give a sample."""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset

from gdlib.training._generators import host_generators, same_generators, set_host_generators


class Seeded:
    """Samples by (row, place, seed), each with the generators seeded by its place; those of this process are put back."""

    def __init__(self, data: Any):
        self.data, self.draws = data, None  # whether it draws at all; not known before the first batch

    def __len__(self) -> int:
        return len(self.data)

    def __getitems__(self, asked: list[tuple[int, int, int]]) -> list:
        if self.draws is False:
            return self._together(asked)
        before = host_generators()
        try:
            if hasattr(self.data, "__getitems__"):
                samples, drew = _seeded(lambda: self._together(asked), asked[0][2], asked[0][1], self.draws is None)
            else:
                found = [
                    _seeded(lambda row=row: self.data[row], seed, place, self.draws is None)
                    for row, place, seed in asked
                ]
                samples, drew = [sample for sample, _ in found], any(drew for _, drew in found)
        finally:
            set_host_generators(before)
        if self.draws is None:
            self.draws = drew
        return samples

    def _together(self, asked: list[tuple[int, int, int]]) -> list:
        rows = [row for row, _, _ in asked]
        return self.data.__getitems__(rows) if hasattr(self.data, "__getitems__") else [self.data[row] for row in rows]


def _seeded(get: Callable[[], Any], seed: int, place: int, watch: bool) -> tuple[Any, bool]:
    """``get()`` with the generators seeded by (seed, place), and, if asked to ``watch``, whether it drew from them."""
    mixed = (seed * 0x9E3779B97F4A7C15 + place * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & (2**64 - 1)
    mixed ^= mixed >> 31
    torch.default_generator.manual_seed(mixed)
    np.random.seed(mixed & 0xFFFFFFFF)
    random.seed(mixed)
    if not watch:
        return get(), True
    before = host_generators()
    sample = get()
    return sample, not same_generators(before, host_generators())


class Endless(IterableDataset):
    """An iterable, over and over, from the sample number ``start`` on, ``size`` samples at a time."""

    WATCHED = 64  # samples after which one that has drawn nothing is taken at its word

    def __init__(self, data: Iterable, seed: int, start: int, size: int):
        self.data, self.seed, self.start, self.size = data, seed, start, size

    def __iter__(self) -> Iterator[list]:
        chunk = []
        for place, sample in enumerate(self._seeded()):
            if place >= self.start:
                chunk.append(sample)
            if len(chunk) == self.size:
                yield chunk
                chunk = []

    def _seeded(self) -> Iterator[Any]:
        samples, draws, end = self._passes(), False, object()
        for place in count():
            if place >= self.WATCHED and not draws:
                yield from samples
                return
            before = host_generators()
            try:
                sample, drew = _seeded(lambda: next(samples, end), self.seed, place, watch=not draws)
            finally:
                set_host_generators(before)
            draws = draws or drew
            if sample is end:
                return
            yield sample

    def _passes(self) -> Iterator[Any]:
        while True:
            empty = True
            for sample in self.data:
                empty = False
                yield sample
            if empty:
                raise ValueError(
                    "data has come to its end and gives nothing more: pass something that can be read again, not a generator"
                )
