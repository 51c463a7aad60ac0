"""The order of streamed people: everybody once, by (seed, epoch) alone, in blocks of shards."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from synthstudio.core.rng import stream
from synthstudio.training.data.streamed import BlockOrder

COUNTS = st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any)


def everybody(order: BlockOrder, epoch: int) -> list[tuple[int, int]]:
    """(shard, number) of each person of an epoch, in order."""
    shards, found = order.shards(epoch), []
    for number in range(order.windows):
        window = order.of_window(epoch, number)
        assert window.start == len(found)
        found += [(int(shards[s]), int(n)) for s, n in zip(window.slot, window.number, strict=True)]
    return found


@given(COUNTS, st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_everybody_is_in_an_epoch_once(
    counts: list[int], window: int, seed: int, epoch: int
) -> None:
    order = BlockOrder(np.array(counts), window=window, seed=seed)
    found = everybody(order, epoch)
    assert sorted(found) == [(s, n) for s, count in enumerate(counts) for n in range(count)]
    assert found == everybody(BlockOrder(np.array(counts), window=window, seed=seed), epoch)
    for place in (0, len(found) // 2, len(found) - 1):
        (at,) = order.windows_of(epoch, place, place)
        held = order.of_window(epoch, at)
        assert held.start <= place < held.stop


def test_shards_and_people_in_a_window_are_shuffled_anew_each_epoch() -> None:
    order = BlockOrder(np.full(40, 10), window=4, seed=1)
    first, second = everybody(order, 0), everybody(order, 1)
    assert first != second and first != everybody(BlockOrder(order.counts, window=4, seed=2), 0)
    blocks = [{shard for shard, _ in first[k : k + 40]} for k in range(0, 400, 40)]
    assert all(len(block) == 4 for block in blocks)  # people of four shards at a time
    assert any(max(block) - min(block) > 4 for block in blocks)  # which are no neighbours
    assert [n for s, n in first if s == first[0][0]] != list(range(10))


def test_one_window_has_the_order_of_people_in_memory() -> None:
    order = BlockOrder(np.array([3, 0, 5]), window=3, seed=7)
    rows = [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4)]
    for epoch in (0, 4):
        shuffled = stream(7, "order", epoch).permutation(8)
        assert everybody(order, epoch) == [rows[k] for k in shuffled]
