"What the library costs on top of the networks that it calls: ratios of times taken side by side in one run"
import copy, math, platform, statistics, time
from json import dumps
from pathlib import Path
import torch
from fastcore.script import call_parse
from fastai.torch_core import default_device, set_seed
from torch.nn.utils import clip_grad_norm_
from progressive_distillation.all import PatchNet, UNet, ddim_sample, diffusion_learner, digits_dls, Denoiser


def clock():
    "Seconds, when all that was asked for is done"
    if torch.cuda.is_available(): torch.cuda.synchronize()
    return time.perf_counter()

def seconds(f):
    "How long one call takes"
    began = clock()
    f()
    return clock() - began

def side_by_side(a, b, rounds):
    "Median seconds of `a` and of `b`, and the median of their ratios, taken in turn: a b, b a, a b …"
    for f in (a, b): f()
    pairs = []
    for i in range(rounds):
        if i % 2: other = seconds(b)
        one = seconds(a)
        pairs.append((one, other if i % 2 else seconds(b)))
    return statistics.median(x for x, _ in pairs), statistics.median(y for _, y in pairs), statistics.median(x / y for x, y in pairs)

# The same training step as the library's, with nothing but PyTorch
def angle(t): return (t * math.pi / 2)[:, None, None, None]
def x_hat(model, z, t): return angle(t).cos() * z - angle(t).sin() * model(z, t) # the network says v

@torch.no_grad()
def two_teacher_steps(teacher, z, t, steps):
    "x̃ for the cosine schedule: `(sigma_t x2 + sigma_t2 x1) / (sigma_t + sigma_t2)`"
    t1, t2 = t - 0.5 / steps, t - 1 / steps
    (alpha, sigma), (alpha1, sigma1), sigma2 = (angle(t).cos(), angle(t).sin()), (angle(t1).cos(), angle(t1).sin()), angle(t2).sin()
    x1 = x_hat(teacher, z, t)
    x2 = x_hat(teacher, alpha1 * x1 + sigma1 / sigma * (z - alpha * x1), t1)
    return (sigma * x2 + sigma2 * x1) / (sigma + sigma2)

def plain_steps(teacher, x, bs, steps, lr, total):
    "Algorithm 2 by hand, a step at a time"
    student = copy.deepcopy(teacher).train().requires_grad_(True)
    teacher.eval().requires_grad_(False)
    opt = torch.optim.AdamW(student.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    done, smooth = 0, 0.
    while True:
        for idx in torch.randperm(len(x))[:len(x) // bs * bs].view(-1, bs):
            for group in opt.param_groups: group['lr'] = lr * (1 + math.cos(math.pi * done / total)) / 2
            batch, t, eps = x[idx], torch.randint(1, steps + 1, (bs,)) / steps, torch.randn(bs, *x.shape[1:])
            t, eps = t.to(x.device), eps.to(x.device)
            alpha, sigma = angle(t).cos(), angle(t).sin()
            z = alpha * batch + sigma * eps
            target = two_teacher_steps(teacher, z, t, steps)
            loss = ((alpha / sigma).pow(2).clamp(min=1) * (target - x_hat(student, z, t)).pow(2)).mean()
            loss.backward()
            clip_grad_norm_(student.parameters(), 1.)
            opt.step()
            opt.zero_grad()
            smooth, done = 0.98 * smooth + 0.02 * loss.item(), done + 1
            yield

def beside(learn, plain):
    "Takes a plain step after each of the Learner's; the list it returns fills with both times: all that happens from one batch to the next"
    one_batch, times, mark = learn.one_batch, [], None
    def both(i, b):
        nonlocal mark
        one_batch(i, b)
        now = clock()
        next(plain)
        then = clock()
        if mark: times.append((now - mark, then - now))
        mark = clock()
    learn.one_batch = both
    return times

@torch.no_grad()
def bare_calls(model, noise, times):
    "The network's own calls and no arithmetic between them"
    for t in times: model(noise, t)

def awake(model):
    "Networks end in zeros when they are made: give them all ordinary numbers"
    with torch.no_grad():
        for p in model.parameters(): p.copy_(torch.randn_like(p) * 0.05)
    return model.eval()

def measure_training(rounds, steps, device):
    dls = digits_dls(bs=128, valid_pct=0., device=device)
    x, net, name = dls.train.tensors[0].to(device), awake(PatchNet()).to(device), 'PatchNet, digits 8×8, batch 128'
    learn, epoch = diffusion_learner(dls, net), len(dls.train)
    times = beside(learn, plain_steps(copy.deepcopy(net), x, 128, steps, 1e-3, (rounds + 1) * epoch))
    learn.distill_stage(steps, rounds + 1, 1e-3)
    del learn.one_batch
    epochs = [[sum(o) for o in zip(*times[i:i + epoch])] for i in range(epoch - 1, len(times), epoch)] # without the first
    rows = [dict(what='distillation step: Learner / plain PyTorch', network=name, ms=1e3 * statistics.median(a for a, _ in epochs) / epoch,
                 ms_beside=1e3 * statistics.median(b for _, b in epochs) / epoch, ratio=statistics.median(a / b for a, b in epochs), bound=1.10)]
    def one_epoch(): learn.distill_stage(steps, 1, 1e-3)
    def one_epoch_of_teacher():
        learn.opt = None
        learn.fit_anneal(1, 1e-5)
    one, other, ratio = side_by_side(one_epoch, one_epoch_of_teacher, rounds)
    return rows + [dict(what='distillation step / teacher step (5/3 in theory)', network=name, ms=1e3 * one / epoch, ms_beside=1e3 * other / epoch, ratio=ratio, bound=None)]

def measure_sampling(rounds, steps, device):
    rows = []
    for name, net, shape, n in (('PatchNet, digits 8×8, batch 128', PatchNet(), (128, 1, 8, 8), steps), ('PatchNet, digits 8×8, batch 512', PatchNet(), (512, 1, 8, 8), steps // 2),
                                ('UNet, 3×32×32, batch 8', UNet(3), (8, 3, 32, 32), steps // 2)):
        net, noise = awake(net).to(device), torch.randn(shape).to(device)
        denoiser, times = Denoiser(net).eval(), [torch.full((shape[0],), i / n, device=device) for i in range(n, 0, -1)]
        one, other, ratio = side_by_side(lambda: ddim_sample(denoiser, noise, n), lambda: bare_calls(net, noise, times), rounds)
        rows.append(dict(what='sampling: ddim_sample / bare calls', network=name, ms=1e3 * one / n, ms_beside=1e3 * other / n, ratio=ratio, bound=1.05))
    return rows

@call_parse
def main(
    rounds:int=20, # pairs of measurements, in training an epoch each; the medians are reported
    steps:int=8, # the student's number of steps, and sampling steps in a measurement, >= 2
    seed:int=0, # draws weights, noise and batches
    json:str=None, # write the figures to this file too
    device:str=None, # cpu, cuda, … (default: the best there is)
):
    "Print how much one step costs in the library beside the same step in plain PyTorch; status 1 if a bound is missed"
    device = torch.device(device or default_device())
    set_seed(seed)
    rows = measure_training(rounds, steps, device) + measure_sampling(rounds, steps, device)
    where = dict(device=str(device), threads=torch.get_num_threads(), torch=torch.__version__, python=platform.python_version(), rounds=rounds, steps=steps, seed=seed)
    print(', '.join(f'{k} {v}' for k, v in where.items()) + '\n')
    print('| what | network | ms a step | beside | ratio | at most |\n| --- | --- | ---: | ---: | ---: | ---: |')
    for o in rows: print(f"| {o['what']} | {o['network']} | {o['ms']:.2f} | {o['ms_beside']:.2f} | {o['ratio']:.3f} | {o['bound'] or ''} |")
    if json: Path(json).write_text(dumps(dict(where, rows=rows), indent=1) + '\n')
    return int(any(o['bound'] and o['ratio'] > o['bound'] for o in rows))
