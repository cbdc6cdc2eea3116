"Where other people's models come in: schedules, data, loaders, conditions, methods, teachers, lists of stages"
import functools
import pytest, torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from fastai.callback.core import Callback, CancelFitException
from fastai.data.core import DataLoaders
from fastai.torch_core import set_seed
from progressive_distillation.all import *
from progressive_distillation.core import unsqueeze_like
from conftest import same, weights

class Bent(NoiseSchedule):
    "Neither variance preserving nor straight, and neither end is clean or pure noise"
    def alpha(self, t): return 1 - 0.7 * t**2
    def sigma(self, t): return 0.05 + 0.85 * t
class Exploding(NoiseSchedule):
    def alpha(self, t): return torch.ones_like(t)
    def sigma(self, t): return 20 * t**3
class Wide(NoiseSchedule): # float64, whatever it is asked
    def alpha(self, t): return (torch.pi / 2 * t.double()).cos()

schedules = [FlowSchedule(), Bent(), Exploding(), Wide(), CosineNoiseSchedule(), BetaSchedule.linear(50)]
shapes = [(2,), (1,), (3, 17), (2, 5, 9), (2, 3, 4, 4)] # points, numbers, signals, rectangles, video
def lacks_an_image(pred, alpha): return pred == 'eps' and alpha.min() < 1e-3

class Mix(nn.Module):
    "Mixes the channels of data of any shape"
    def __init__(self, c=2, outputs=1, classes=3):
        super().__init__()
        self.mix, self.classes = nn.Linear(c + 1, c * outputs), nn.Embedding(classes, c * outputs)
    def forward(self, z, t, y=None, mask=None):
        h = z.movedim(1, -1)
        t = t.to(h).reshape(-1, *[1] * (h.ndim - 1)).expand(*h.shape[:-1], 1)
        out = self.mix(torch.cat([h, t], -1)).movedim(-1, 1)
        assert mask is None or len(mask) == len(z)
        return out if y is None else out + unsqueeze_like(self.classes(y), out)
class Fragile(Mix):
    "Answers otherwise in training mode"
    def __init__(self):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm1d(2), nn.Dropout(0.3)
    def forward(self, z, t, y=None): return self.drop(self.norm(super().forward(z, t, y)))

def points(n=70, shape=(2,)): return torch.rand(n, *shape, generator=torch.Generator().manual_seed(n)) * 2 - 1
x, y = points(), torch.arange(70) % 3
def loaders(data, **kwargs):
    return DataLoaders(DataLoader(data, 32, shuffle=True, **kwargs), DataLoader(data, 32, **kwargs))
def learner(model=None, data=TensorDataset(x), seed=0, **kwargs):
    set_seed(seed)
    return diffusion_learner(loaders(data), model or Mix(), **kwargs)

@pytest.mark.parametrize('pred', list(predictions))
@pytest.mark.parametrize('schedule', schedules, ids=str)
def test_a_perfect_network_gives_the_image_back(schedule, pred):
    for shape in shapes:
        x, eps = points(4, shape).double(), points(5, shape)[:4].double()
        for t in 0.01, 0.3, 0.9, 1:
            exact = torch.full((4,), t, dtype=torch.float64)
            alpha, sigma = schedule.alpha(exact), schedule.sigma(exact)
            if lacks_an_image(pred, alpha): continue
            z = unsqueeze_like(alpha, x) * x + unsqueeze_like(sigma, x) * eps
            perfect = get_prediction(pred).target(x, eps, alpha, sigma)
            denoiser = Denoiser(lambda z, t: perfect.to(z), schedule, pred)
            amplified = (1 + sigma[0] / alpha[0]).item() if pred == 'eps' else 1 # noise taken out, rounding is divided
            for dtype, tolerance in (torch.float64, 1e-10), (torch.float32, 1e-5):
                for time in t, exact, exact[0], exact[:1].expand(4):
                    x_hat = denoiser(z.to(dtype), time)
                    assert x_hat.dtype == dtype and (x_hat - x).abs().max() < tolerance * amplified

@pytest.mark.parametrize('pred', list(predictions))
@pytest.mark.parametrize('schedule', schedules, ids=str)
def test_the_target_lands_where_the_teacher_does(schedule, pred):
    def network(z, t): return torch.tanh(1.3 * z + torch.cos(3 * t)[:, None]).repeat(1, 1 + (pred == 'x_eps'))
    teacher, z = Denoiser(network, schedule, pred), points(3).double()
    for N in 1, 2, 3, 5, 7, 8, 100, 1024:
        t = torch.tensor([1, (N + 1) // 2, N], dtype=torch.float64) / N
        if lacks_an_image(pred, schedule.alpha(t)): continue
        for k in range(1, 6):
            times = torch.lerp(t[:, None], (t - 1/N)[:, None].clamp(min=0), torch.arange(k + 1).double() / k)
            end = z
            for a, b in zip(times.T, times.T[1:]): end = ddim_step(teacher(end, a), end, a, b, schedule)
            got = ddim_step(distillation_target(teacher, z, t, N, k), z, t, times[:, -1], schedule)
            assert (got - end).abs().max() < 1e-10 * end.abs().max().clamp(min=1)

@pytest.mark.parametrize('value_range', [None, (0, 1), (-3, 3)])
@pytest.mark.parametrize('shape', shapes, ids=str)
def test_sampling(shape, value_range):
    for schedule, dtype in (FlowSchedule(), torch.float32), (Bent(), torch.float64), (FlowSchedule(), torch.bfloat16):
        denoiser = Denoiser(lambda z, t: 5 * z, schedule, 'u', value_range=value_range)
        noise = make_noise(4, shape, seed=0).to(dtype)
        for steps in 1, 3, 7:
            states = ddim_sample(denoiser, noise, steps, trajectory=True)
            assert states.shape == (steps + 1, *noise.shape) and states.dtype == dtype and states[0].equal(noise)
            assert states[-1].equal(ddim_sample(denoiser, noise, steps)) and states.isfinite().all()
        if value_range and isinstance(schedule, FlowSchedule):
            assert value_range[0] <= states[-1].min() and states[-1].max() <= value_range[1]
            assert not states[-1].equal(ddim_sample(denoiser, noise, 7, clip=False))

@pytest.mark.parametrize('pred, shape', [*zip(['x', 'v', 'x_eps', 'u', 'v'], shapes)])
@pytest.mark.parametrize('schedule', schedules[:4], ids=str)
def test_training_on_any_data_under_any_schedule(schedule, pred, shape):
    model = Mix(shape[0], outputs=get_prediction(pred).channels(1))
    learn = learner(model, TensorDataset(points(40, shape)), schedule=schedule, pred=pred).fit_anneal(1)
    students = learn.distill([Stage(6, epochs=1), Stage(3, epochs=1), Stage(1, 3, epochs=1, ema=0.9)])
    assert [o.steps for o in students] == [6, 3, 1] and learn.sample(3, 4).shape == (3, *shape)
    assert all(ddim_sample(o, make_noise(2, shape)).isfinite().all() for o in students)

class Bare(Dataset):
    def __len__(self): return len(x)
    def __getitem__(self, i): return x[i]
class Texts(Bare):
    "Each image with an embedding and a mask, as text models have them"
    def __getitem__(self, i): return x[i], dict(y=y[i], mask=torch.ones(4))

data = TensorDataset(x)
pytorch = dict(images=loaders(data), labels=loaders(TensorDataset(x, y)), bare=loaders(Bare()),
    workers=loaders(data, num_workers=1), last_of_1=loaders(TensorDataset(x[:33])),
    no_valid=DataLoaders(DataLoader(data, 16), DataLoader(TensorDataset(x[:0]))))
@pytest.mark.parametrize('name', pytorch)
def test_loaders_of_pytorch(name):
    learn = diffusion_learner(pytorch[name], Mix()).fit_anneal(2)
    learn.distill(2, 1, epochs=1)
    assert learn.sample(3, 2).shape == (3, 2) and ('valid_loss' in learn.records[0]) == (name != 'no_valid')

conditions = dict(labels=True, a_text=lambda batch: batch[1], none=lambda batch: dict(y=None), no_keys=lambda batch: {})
@pytest.mark.parametrize('name', conditions)
def test_conditions(name):
    data = TensorDataset(x, y) if name == 'labels' else Texts()
    learn = learner(data=data, conditional=conditions[name]).fit_anneal(1)
    learn.distill(4, 1, epochs=1)
    assert learn.sample(100, 2).shape == (100, 2) # more than a batch holds

class Huber(DistillationCallback):
    def __init__(self, *args, width=0.1):
        super().__init__(*args)
        self.width = width
    def loss(self, x_hat, target, weight): return (weight * ((x_hat - target).pow(2).sum(1) + self.width).sqrt()).mean()
class Second(DiffusionCallback):
    "A target with a second network, which learns beside the student"
    def __init__(self, teacher, steps, weight, conditional, teacher_steps, lookahead):
        super().__init__(weight, conditional)
        self.teacher = teacher
    def before_fit(self):
        super().before_fit()
        self.net = Mix()
        self.opt2, self.start = torch.optim.Adam(self.net.parameters()), weights(self.net)
    def make_target(self, x, z, t, cond):
        if self.training:
            with torch.enable_grad(): (self.net(z, t) - x).pow(2).mean().backward()
            self.opt2.step()
        with torch.no_grad(): return self.teacher(z, t) + self.net(z, t)
    def after_fit(self): assert not same(self.start, weights(self.net))

@pytest.mark.parametrize('method', [Huber, functools.partial(Huber, width=1.), Second])
def test_methods(method):
    learn, usual = learner(), learner()
    students = learn.distill(4, 1, epochs=1, seed=0, method=method)
    assert [o.steps for o in students] == [2, 1] and learn.validate()[0] > 0
    assert not same(weights(students[0]), weights(usual.distill(4, 1, epochs=1, seed=0)[0]))

def guided(z, t): return 1.5 * guided.a(z, t) - 0.5 * guided.b(z, t)
guided.a, guided.b, guided.schedule = Denoiser(Mix()), Denoiser(Mix()), CosineNoiseSchedule()
teachers = dict(exact=ExactDenoiser(x, CosineNoiseSchedule()), guided=guided, flow=Denoiser(Mix(), FlowSchedule(), 'u'),
    frozen=Denoiser(Mix().requires_grad_(False)), of_4_steps=Denoiser(Fragile(), steps=4))
@pytest.mark.parametrize('name', teachers)
def test_teachers(name):
    learn, teacher = learner(), teachers[name]
    network = teacher if isinstance(teacher, nn.Module) else nn.Module()
    own, before = weights(learn.model), (weights(network), [o.requires_grad for o in network.parameters()])
    students = learn.distill(4, 1, epochs=1, teacher=teacher)
    assert same(own, weights(learn.model)) and same(before[0], weights(network))
    assert before[1] == [o.requires_grad for o in network.parameters()]
    assert all(o.schedule == teacher.schedule and all(p.requires_grad for p in o.parameters()) for o in students)

def test_the_rest_of_a_list_gives_the_same_students():
    stages = [*ladder(12, 3, epochs=1, ema=0.9), Stage(1, 3, epochs=2, lookahead=0.5, weight='snr+1')]
    students = learner(Fragile()).fit_anneal(1).distill(stages, seed=0)
    for n in 1, 2:
        rest = learner(Fragile(), seed=7).distill(stages[n:], teacher=students[n - 1], seed=0)
        assert [o.steps for o in rest] == [6, 3, 1][n:]
        assert all(same(weights(a), weights(b)) for a, b in zip(students[n:], rest))

def state(learn):
    model, cbs = learn.model, {type(o) for o in learn.cbs}
    asked, modes = [o.requires_grad for o in model.parameters()], [o.training for o in model.modules()]
    return model, model.steps, learn.opt, learn.loss_func, learn.diffusion, cbs, asked, modes

@pytest.mark.parametrize('error', [KeyboardInterrupt, RuntimeError, CancelFitException])
@pytest.mark.parametrize('event', 'before_fit before_batch after_loss after_step after_validate after_fit'.split())
def test_a_learner_is_as_it_was_after_an_interrupted_stage(event, error):
    def stop(self):
        assert self.learn.model is self.learn.student is not own
        raise error('stop')
    learn = learner(Fragile()).fit_anneal(1)
    own = learn.model
    own.model.classes.requires_grad_(False)
    before, kept = state(learn), weights(own)
    try: learn.distill(2, 1, epochs=1, cbs=type('Stop', (Callback,), {event: stop})())
    except error: pass
    assert state(learn) == before and same(kept, weights(own))
    assert len(learn.fit_anneal(1).distill(2, 1, epochs=1)) == 1
