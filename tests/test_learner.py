"What happens inside `fit` and `distill`: who learns, who stays, and when it stops"
import csv
import math
import pytest
import torch
from torch import nn
from fastai.callback.core import Callback
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.progress import CSVLogger
from fastai.callback.schedule import ParamScheduler
from fastai.callback.tracker import SaveModelCallback
from progressive_distillation.all import *
from conftest import same, small_learner, small_net, weights


class Spy(nn.Module):
    "A network that notes how it is called"
    def __init__(self, **kwargs):
        super().__init__()
        self.net, self.calls, self.config = small_net(**kwargs), [], {}
    def forward(self, z, t, y=None):
        call = dict(grad=torch.is_grad_enabled(), training=self.training, t=t.clone(), y=y)
        self.calls.append(dict(call, dtype=nn.functional.linear(z.flatten(1), z.flatten(1)).dtype))
        return self.net(z, t, y)

class Watch(Callback):
    "Notes weights, times and learning rates of a stage"
    order = 50
    def before_fit(self):
        self.start, self.same = weights(self.model), self.model is self.distillation.teacher
        self.history, self.times, self.lrs, self.targets = [], [], [], []
    def before_batch(self):
        if not self.training: return
        self.times.append(self.xb[1].clone())
        self.targets.append(self.yb[0].dtype)
    def after_batch(self):
        if not self.training: return
        self.history.append(weights(self.model))
        self.lrs.append(self.opt.hypers[-1]['lr'])
    def after_fit(self):
        scheduler = next(o for o in self.learn.cbs if isinstance(o, ParamScheduler))
        self.last_lr = scheduler.scheds['lr'](1.)


def test_teacher_is_frozen_and_student_starts_as_its_copy():
    learn, watch = small_learner(Spy()), Watch()
    learn.fit_anneal(1)
    learn.model.model.calls.clear()
    before = weights(learn.model)
    student, = learn.distill(2, 1, epochs=2, extra=1, cbs=watch)
    teacher_calls, student_calls = learn.model.model.calls, student.model.calls
    assert len(teacher_calls) >= 2 * 8 and not any(o['grad'] or o['training'] for o in teacher_calls)
    assert sum(o['grad'] and o['training'] for o in student_calls) == 8
    assert same(before, weights(learn.model)) and same(before, watch.start) and not watch.same
    assert not same(before, weights(student)) and learn.model.steps is None
    assert all(o.requires_grad for o in learn.model.parameters())

def test_no_time_of_a_teacher_is_zero():
    "At t = 0 the weight is infinite and the error 0: their product is no number"
    callback, t = DiffusionCallback(), []
    callback.rng = torch.Generator().manual_seed(0)
    for _ in range(50): t.append(callback.sample_t(2**20).aminmax())
    assert 0 < min(o.min for o in t) and max(o.max for o in t) <= 1

def test_a_teacher_that_changes_is_noticed():
    class Meddle(Callback):
        def after_batch(self): next(self.distillation.teacher.parameters()).data.add_(1)
    learn = small_learner()
    with pytest.raises(RuntimeError, match="teacher's weights changed"): learn.distill(2, 1, epochs=1, cbs=Meddle())

def test_a_whole_distillation():
    learn, watch = small_learner(), Watch()
    before, seen = weights(learn.model), []
    def metric(student): return student.steps
    def look(student, record): seen.append((record['steps'], watch.times, watch.lrs, watch.last_lr))
    students = learn.distill(16, 1, epochs=1, extra=3, metrics=metric, cbs=watch, after_stage=look)
    assert [o.steps for o in students] == [8, 4, 2, 1] and same(before, weights(learn.model))
    assert [o['updates'] for o in learn.records] == [4, 4, 12, 12] == [len(o[2]) for o in seen]
    assert [o['stage'] for o in learn.records] == [1, 2, 3, 4]
    assert [o['metric'] for o in learn.records] == [8, 4, 2, 1]
    assert all(math.isfinite(o[k]) for o in learn.records for k in ('train_loss', 'valid_loss'))
    for steps, times, lrs, last_lr in seen:
        assert set((torch.cat(times) * steps).tolist()) == set(range(1, steps + 1)) # t in {1/N … 1}, and 1 among them
        assert last_lr == 0 and lrs[-1] < max(lrs) / 2
    assert all(ddim_sample(o, make_noise(3, (1, 8, 8), 0)).shape == (3, 1, 8, 8) for o in students)

def test_refined_teacher_takes_more_steps_in_the_first_stage_only():
    learn = small_learner(Spy())
    learn.model.model.calls.clear()
    students = learn.distill(4, 1, epochs=1, extra=1, refine=3)
    def asked(denoiser): return sum(not o['training'] and not o['grad'] for o in denoiser.model.calls)
    assert asked(learn.model) == 6 * 5 # 4 batches and 1 to validate
    assert asked(students[0]) == 1 + 2 * 5 # a student validates itself once
    t = torch.cat([o['t'] for o in learn.model.model.calls]) * 12
    assert (t - t.round()).abs().max() < 1e-5 and set(t.round().int().tolist()) == set(range(1, 13))

def test_ema_is_the_average_of_the_updates():
    learn, watch = small_learner(), Watch()
    student, = learn.distill(2, 1, epochs=2, extra=1, ema=0.8, cbs=watch)
    mean = watch.history[0]
    for later in watch.history[1:]: mean = {k: 0.8 * mean[k] + 0.2 * later[k] for k in mean}
    got = weights(student)
    assert all(torch.allclose(got[k], mean[k], atol=1e-6) for k in mean)
    assert not same(got, watch.history[-1])

class Bf16OnCPU(MixedPrecision):
    "What `to_bf16` does, on a machine without a GPU"
    def before_fit(self):
        super().before_fit()
        self.autocast = torch.autocast('cpu', dtype=torch.bfloat16)

@pytest.mark.parametrize('around', [False, True])
def test_targets_are_float32_under_mixed_precision(around):
    learn, watch = small_learner(Spy()), Watch()
    if not around: learn.add_cb(Bf16OnCPU('bf16'))
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=around):
        student, = learn.distill(2, 1, epochs=1, cbs=watch)
    assert set(watch.targets) == {torch.float32}
    shapes_checked, *asked = learn.model.model.calls
    assert {o['dtype'] for o in asked} == {torch.float32}
    assert {o['dtype'] for o in student.model.calls if o['grad']} == {torch.bfloat16}

@pytest.mark.filterwarnings('ignore:.*(CUDA|cuda)')
def test_fastai_as_usual(tmp_path):
    learn = small_learner(path=tmp_path, cbs=[CSVLogger()])
    before = weights(learn.model)
    assert 1e-7 <= learn.lr_find(show_plot=False).valley <= 10 and same(before, weights(learn.model))
    learn.fit_one_cycle(2, 1e-2, cbs=SaveModelCallback(fname='best'))
    rows = list(csv.DictReader((tmp_path/'history.csv').open()))
    losses = [float(o['valid_loss']) for o in rows]
    assert [o['epoch'] for o in rows] == ['0', '1'] and losses[1] < losses[0]
    assert (tmp_path/'models'/'best.pth').exists() and not same(before, weights(learn.model))
    after = weights(learn.model)
    learn.to_fp16().fit_one_cycle(1, 1e-3)
    assert not same(after, weights(learn.model)) and learn.distill(2, 1, epochs=1)[0].steps == 1
    first, again = (learn.sample(5, 4, seed=0) for _ in range(2))
    assert first.equal(again) and first.abs().max() <= 1

def test_callbacks_that_come_and_go_within_an_epoch():
    class Guest(Callback):
        "Comes with the second batch, leaves with the third"
        seen = ()
        def after_step(self): self.seen = *self.seen, self.train_iter
        def after_batch(self):
            if self.train_iter == 3: self.learn.remove_cb(self)
    class Host(Callback):
        order = 100
        def after_batch(self):
            if self.train_iter == 1: self.learn.add_cb(guest)
    guest, learn = Guest(), small_learner()
    learn.fit(1, 1e-3, cbs=Host())
    assert guest.seen == (1, 2) and len(learn.dls.train) > 3 # fastai counts the updates that are done

def test_same_seed_same_weights_also_from_a_later_stage(tmp_path):
    whole, again = small_learner(), small_learner()
    first, second = whole.distill(4, 1, epochs=1, seed=3), again.distill(4, 1, epochs=1, seed=3)
    assert all(same(weights(a), weights(b)) for a, b in zip(first, second))
    torch.rand(7)
    resumed = small_learner(load_denoiser(save_denoiser(first[0], tmp_path/'student')), seed=9)
    assert same(weights(resumed.distill(2, 1, epochs=1, seed=3)[0]), weights(first[1]))
    assert not same(weights(again.distill(4, 1, epochs=1, seed=4)[1]), weights(first[1]))

def test_same_seed_same_teacher():
    a, b, c = (small_learner(seed=seed).fit_anneal(1) for seed in (0, 0, 1))
    assert same(weights(a.model), weights(b.model)) and not same(weights(a.model), weights(c.model))

def test_conditional():
    learn = small_learner(Spy(classes=10), conditional=True)
    learn.fit_anneal(2, 1e-2)
    student, = learn.distill(2, 1, epochs=1)
    assert all(len(o['y']) == len(o['t']) for o in learn.model.model.calls + student.model.calls)
    a, b = (learn.sample(2, 2, seed=0, y=torch.tensor([c, c])) for c in (3, 8))
    assert not a.equal(b) and learn.sample(12, 2, seed=0).shape == (12, 1, 8, 8)

class Bomb(nn.Module):
    "A network whose output or gradient is no number from training call `fuse` on"
    def __init__(self, fuse, gradient=False):
        super().__init__()
        self.net, self.zero = small_net(), nn.Parameter(torch.zeros(1))
        self.count, self.fuse, self.gradient = 0, fuse, gradient
    def forward(self, z, t):
        self.count += self.training and torch.is_grad_enabled()
        out = self.net(z, t)
        if self.count < self.fuse or not self.training: return out
        return out + (self.zero * 0).sqrt() if self.gradient else out * math.nan

@pytest.mark.parametrize('gradient', [False, True])
def test_training_stops_before_the_weights_are_harmed(gradient):
    learn, watch = small_learner(Bomb(12, gradient)), Watch()
    cbs, what = learn.cbs.copy(), 'gradient norm' if gradient else 'loss'
    place = rf'the {what} is nan in stage 2 of 2 \(1 step\) at update 4'
    with pytest.raises(FloatingPointError, match=f'{place}.*weights from before this update are kept'):
        learn.distill(4, 1, epochs=2, cbs=watch, extra=1)
    assert [o.steps for o in learn.students] == [2] and learn.student.steps == 1
    assert len(watch.history) == 3 and same(weights(learn.student), watch.history[-1])
    assert all(o.isfinite().all() for o in learn.student.state_dict().values())
    assert learn.model.steps is None # the learner is as it was
    assert {type(o) for o in learn.cbs} == {type(o) for o in cbs}
    with pytest.raises(FloatingPointError, match=f'the {what} is nan in training at update 12'): learn.fit_anneal(3)
