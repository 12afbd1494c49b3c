"""Ranks agree, meet and notice who is gone; work is done once by whoever is free."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.distributed as dist
from filelock import FileLock

from csdm_cli.errors import CsdmError
from csdm_cli.parallel.ranks import ALONE, Ranks
from csdm_cli.parallel.shared_work import do_unclaimed


def together(world, call, silence=60.0):
    """The results of ``call(ranks)`` at each of ``world`` ranks that share a store, in threads of this process."""
    store = dist.HashStore()
    with ThreadPoolExecutor(world) as pool:
        found = [pool.submit(call, Ranks(rank, world, store, silence)) for rank in range(world)]
        return [each.result(timeout=30) for each in found]


def test_all_ranks_do_what_rank_0_decided():
    def call(ranks):
        return [ranks.agree(ranks.leads), ranks.agree(not ranks.leads), ranks.agree(ranks.rank != 1)]

    assert together(3, call) == [[True, False, True]] * 3


def test_a_rank_that_falls_silent_is_named():
    def call(ranks):
        if ranks.rank == 1:
            return None  # gone without a word
        ended = threading.Event()
        beating = threading.Thread(target=ranks.beat, args=(ended,))
        beating.start()
        with pytest.raises(CsdmError, match="rank 1 of 3 has not been heard of") as caught:
            ranks.gather(torch.zeros(1))
        ended.set()
        beating.join()
        return str(caught.value)

    found = together(3, call, silence=0.5)
    assert "\n" not in found[0] and "run the same command again" in found[0]


def test_a_store_that_is_gone_is_one_line():
    class Broken(dist.HashStore):
        def check(self, keys):
            raise dist.DistNetworkError("connection reset\nby peer")

    with pytest.raises(CsdmError, match="lost contact") as caught:
        Ranks(1, 2, Broken()).agree(True)
    assert "\n" not in str(caught.value)


def test_alone_everything_is_at_once():
    own = torch.arange(3)
    assert ALONE.leads and ALONE.agree(True) and not ALONE.agree(False)
    (same,) = ALONE.gather(own)
    assert same is own


def test_work_is_done_once_by_whoever_is_free(tmp_path):
    """Piece 0 is somebody else's at first: it is left for the end, and done here because they left it undone."""
    done = []
    claimed = FileLock(tmp_path / "0")
    claimed.acquire()

    def do(piece):
        done.append(piece)
        if len(done) == 3:
            claimed.release()

    do_unclaimed(range(4), lambda piece: [tmp_path / str(piece)], do)
    assert done == [1, 2, 3, 0]


def test_two_at_the_same_work_share_it(tmp_path):
    results, lock = {}, threading.Lock()

    def do(piece):
        if piece not in results:
            time.sleep(0.05)
            with lock:
                assert piece not in results, "done twice"
                results[piece] = threading.get_ident()

    def work():
        do_unclaimed(range(6), lambda piece: [tmp_path / str(piece)], do)
        return set(results) == set(range(6))

    with ThreadPoolExecutor(2) as pool:
        assert all(each.result() for each in [pool.submit(work), pool.submit(work)])
    assert len(set(results.values())) == 2
