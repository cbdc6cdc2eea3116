"Times taken side by side: on a machine that does other work, too, only their ratios tell anything."
import statistics
import time
import torch


def clock():
    "Seconds, when all that was asked for is done."
    if torch.cuda.is_available(): torch.cuda.synchronize()
    return time.perf_counter()

def seconds(f):
    "How long one call takes."
    began = clock()
    f()
    return clock() - began

def medians(pairs):
    "Median of the first times, of the second ones, and of their ratios."
    return tuple(map(statistics.median, zip(*((a, b, a / b) for a, b in pairs))))

def side_by_side(a, b, rounds):
    "The `medians` of `a` and `b`, called in turn: a b, b a, a b …"
    for f in (a, b): f()
    pairs = []
    for i in range(rounds):
        took = {f: seconds(f) for f in ((b, a) if i % 2 else (a, b))}
        pairs.append((took[a], took[b]))
    return medians(pairs)

def beside(learn, plain):
    "Takes a plain step after each of the Learner's; the list that it returns fills with the times of both."
    one_batch, times, mark = learn.one_batch, [], None
    def both(i, b):
        nonlocal mark
        one_batch(i, b)
        now = clock()
        next(plain)
        then = clock()
        if mark: times.append((now - mark, then - now)) # all that happens from one batch to the next
        mark = clock()
    learn.one_batch = both
    return times

def step_seconds(learn, fit):
    "Median time from one batch to the next while `fit` runs."
    one_batch, ends = learn.one_batch, []
    def timed(i, b):
        one_batch(i, b)
        ends.append(clock())
    learn.one_batch = timed
    try: fit()
    finally: del learn.one_batch
    return statistics.median(b - a for a, b in zip(ends, ends[1:]))
