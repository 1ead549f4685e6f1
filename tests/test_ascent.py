"""Steps of ascent, one by one or recorded: what they count, and how many at once."""

from __future__ import annotations

import math

import pytest

from tests.runs import same, small, state
from vaelib import bounds
from vaelib.training.ascent import Ascent, Objective
from vaelib.training.batches import Batches
from vaelib.training.recorded import AT_ONCE, RecordedAscent


def start(kind, spoilt_row=None):
    """An ascent with ten steps an epoch, its parts, and its batches."""
    model, guide, data = small()
    if spoilt_row is not None:
        data[spoilt_row] = math.nan
    objective = Objective(model, guide, bounds.elbo)
    batches = Batches(data, 5, (1, 2), seed=0)
    return kind(objective, list(objective.parameters()), batches, 0.01), objective


@pytest.mark.parametrize("kind", [Ascent, RecordedAscent])
def test_the_sum_is_that_of_the_good_steps(kind):
    rows = Batches(small()[2], 5, (1, 2), seed=0).rows(7)
    ascent, objective = start(kind, spoilt_row=rows[2])
    ascent.run(2 * AT_ONCE, lambda n: None)
    clean, other = start(Ascent)
    values = []
    for done in range(7):
        values.append(clean.gradient(*Batches(small()[2], 5, (1, 2), 0)[done])[0])
        clean.optimizer.step()
    assert ascent.done == 7
    assert ascent.total == pytest.approx(sum(v.item() for v in values), rel=1e-12)
    assert same(state(objective), state(other))


def test_recorded_steps_are_taken_several_at_once():
    """In whole portions that start at the same steps wherever a run was resumed."""
    ascent, _ = start(RecordedAscent)
    assert AT_ONCE == 16
    for stop, expected in [
        (51, [16, 16, 16, 1, 1, 1]),
        (70, 19 * [1]),
        (96, [*(10 * [1]), 16]),
    ]:
        ticks = []
        ascent.run(stop, ticks.append)
        assert ticks == expected and ascent.done == stop
