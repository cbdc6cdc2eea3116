"""Is it fast? Ratios of times taken side by side in one run: the library beside the bare network, a loop by hand, a plain port and diffusers; each switch on and off; how time and memory grow"""
import copy, gc, math, platform, statistics, subprocess, sys, tempfile, time, warnings
from functools import partial
from json import dumps, loads
from pathlib import Path
import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from fastcore.script import call_parse
from fastai.optimizer import OptimWrapper
from fastai.torch_core import default_device, set_seed
from torch.nn.utils import clip_grad_norm_
from progressive_distillation.all import *


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
        for idx in torch.randperm(len(x), device=x.device)[:len(x) // bs * bs].view(-1, bs):
            for group in opt.param_groups: group['lr'] = lr * (1 + math.cos(math.pi * done / total)) / 2
            batch, t, eps = x[idx], torch.randint(1, steps + 1, (bs,), device=x.device) / steps, torch.randn(bs, *x.shape[1:], device=x.device)
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

def naive_steps(teacher, x, bs, steps, lr):
    "Algorithm 2 typed in from the paper: the teacher is called like any model, so autograd follows it, and x̃ is appendix G as printed"
    student, teacher = copy.deepcopy(teacher).train(), teacher.train()
    opt = torch.optim.Adam(student.parameters(), lr=lr)
    while True:
        for idx in torch.randperm(len(x), device=x.device)[:len(x) // bs * bs].view(-1, bs):
            batch, t, eps = x[idx], torch.randint(1, steps + 1, (bs,), device=x.device) / steps, torch.randn(bs, *x.shape[1:], device=x.device)
            t1, t2 = t - 0.5 / steps, t - 1 / steps
            (alpha, sigma), (alpha1, sigma1), (alpha2, sigma2) = ((angle(o).cos(), angle(o).sin()) for o in (t, t1, t2))
            z = alpha * batch + sigma * eps
            x1 = x_hat(teacher, z, t)
            z1 = alpha1 * x1 + sigma1 / sigma * (z - alpha * x1)
            x2 = x_hat(teacher, z1, t1)
            z2 = alpha2 * x2 + sigma2 / sigma1 * (z1 - alpha1 * x2)
            target = (z2 - sigma2 / sigma * z) / (alpha2 - sigma2 / sigma * alpha)
            loss = ((alpha / sigma).pow(2).clamp(min=1) * (target.detach() - x_hat(student, z, t)).pow(2)).mean()
            loss.backward()
            opt.step()
            opt.zero_grad()
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

def step_seconds(learn, fit):
    "Median time from one batch to the next while `fit` runs"
    one_batch, ends = learn.one_batch, []
    def timed(i, b):
        one_batch(i, b)
        ends.append(clock())
    learn.one_batch = timed
    try: fit()
    finally: del learn.one_batch
    return statistics.median(b - a for a, b in zip(ends, ends[1:]))

@torch.no_grad()
def bare_calls(model, noise, times):
    "The network's own calls and no arithmetic between them"
    for t in times: model(noise, t)

def awake(model):
    "Networks end in zeros when they are made: give them all ordinary numbers"
    with torch.no_grad():
        for p in model.parameters(): p.copy_(torch.randn_like(p) * 0.05)
    return model.eval()

tiny, fashion, colour = 'PatchNet, 1×8×8, batch 128', 'PatchNet, 1×28×28, batch 128', 'UNet, 3×32×32, batch 128'

def networks(device): return (tiny, fashion) if device.type == 'cpu' else (tiny, fashion, colour) # a U-Net keeps a processor busy for hours

def data_and_network(name, device):
    "Images to train on, which only have to have the right size, and a network, both on the device"
    def noise(*shape): return torch.rand(640, *shape) * 2 - 1
    x, net = {tiny: lambda: (digits_dls(valid_pct=0.).train.tensors[0], PatchNet()), fashion: lambda: (noise(1, 28, 28), PatchNet(size=28, patch=4, width=64, hidden=1024)),
              colour: lambda: (noise(3, 32, 32), UNet(3, widths=(64, 128, 128)))}[name]()
    return tensor_dls(x.to(device), bs=128, valid_pct=0., device=device), awake(net).to(device)

def row(what, network, one, other, ratio, bound=None): return dict(what=what, network=network, ms=1e3 * one, ms_beside=1e3 * other, ratio=ratio, bound=bound)

def measure_training(rounds, steps, device):
    "A distillation step beside the same step by hand, a teacher's step and a plain port"
    rows = []
    for name in networks(device):
        dls, net = data_and_network(name, device)
        x, epoch = dls.train.tensors[0], len(dls.train)
        for what, loop, bound in (('distillation step / plain PyTorch', partial(plain_steps, lr=1e-3, total=(rounds + 1) * epoch), 1.05), ('distillation step / a port with autograd through the teacher', partial(naive_steps, lr=1e-3), None)):
            learn = diffusion_learner(dls, net)
            times = beside(learn, loop(copy.deepcopy(net), x, 128, steps))
            learn.distill_stage(steps, rounds + 1, 1e-3)
            epochs = [[sum(o) / epoch for o in zip(*times[i:i + epoch])] for i in range(epoch - 1, len(times), epoch)] # without the first
            rows.append(row(what, name, *(statistics.median(o) for o in zip(*epochs)), statistics.median(a / b for a, b in epochs), bound))
        learn = diffusion_learner(dls, net)
        def one_epoch(): learn.distill_stage(steps, 1, 1e-3)
        def one_epoch_of_teacher():
            learn.opt = None
            learn.fit_anneal(1, 1e-5)
        pairs = [(step_seconds(learn, one_epoch), step_seconds(learn, one_epoch_of_teacher)) for _ in range(rounds)]
        rows.append(row('distillation step / teacher step (5/3 in theory)', name, *(statistics.median(o) for o in zip(*pairs)), statistics.median(a / b for a, b in pairs), 1.75))
    return rows

class NoPlan(DistillationCallback):
    "Asks the schedule again at every update"
    def make_target(self, x, z, t, cond): return distillation_target(self.teacher, z, t, self.steps, self.teacher_steps, **cond)

def compiled(net):
    "The network as one program; the first call, which makes it, is not timed"
    return torch.compile(net, dynamic=True)

def measure_switches(rounds, steps, device):
    "A stage with and without each thing that might make it faster, what has to be compiled last"
    late = []
    for name in networks(device):
        dls, net = data_and_network(name, device)
        epoch = len(dls.train)
        def stage(net=net, compute_dtype=None, dls=dls, half=False, **kwargs):
            learn = diffusion_learner(dls, Denoiser(net, compute_dtype=compute_dtype), **kwargs)
            if half: learn.to_fp16()
            return lambda: learn.distill_stage(steps, 1, 1e-3)
        def plain_stage(callback):
            learn = diffusion_learner(dls, net)
            def fit():
                student = copy.deepcopy(learn.model)
                teacher, learn.model, learn.opt = learn.model, student, None
                try:
                    with learn.removed_cbs(learn.diffusion): learn.fit_anneal(1, 1e-3, cbs=[callback(teacher, steps)])
                finally: learn.model = teacher.requires_grad_(True)
            return fit
        unfused = partial(OptimWrapper, opt=partial(torch.optim.AdamW, betas=(0.9, 0.99)))
        elsewhere = tensor_dls(dls.train.tensors[0].cpu(), bs=128, valid_pct=0., device=device)
        on_a_gpu = [] if device.type == 'cpu' else [('images on the device / a copy for each batch', stage(), stage(dls=elsewhere)), ("fastai's to_fp16 / float32", stage(half=True), stage())]
        for what, on, off in (('optimizer in one pass (fused) / not', stage(), stage(opt_func=unfused)), ('plan of the stage / schedule asked again', plain_stage(DistillationCallback), plain_stage(NoPlan)),
                              ('bfloat16 layers / float32', stage(compute_dtype=torch.bfloat16), stage()), *on_a_gpu):
            one, other, ratio = side_by_side(on, off, rounds)
            yield row(what, name, one / epoch, other / epoch, ratio)
        late.append((name, epoch, stage(compiled(net)), stage()))
    name, (net, x, t) = 'UNet, 3×32×32, batch 16', (awake(UNet(3)).to(device), torch.randn(16, 3, 32, 32, device=device), torch.rand(16, device=device))
    last = copy.deepcopy(net).to(memory_format=torch.channels_last)
    def update(net, x): return lambda: net(x, t).pow(2).mean().backward()
    yield row('channels last / channels first', name, *side_by_side(update(last, x.to(memory_format=torch.channels_last)), update(net, x), rounds))
    net, z = data_and_network(fashion, device)[1], torch.randn(16, 1, 28, 28, device=device)
    halved = side_by_side(*(update(Denoiser(net, compute_dtype=o), z) for o in (torch.float16, None)), max(1, rounds // 5)) # a processor without instructions for it takes minutes
    yield row('float16 layers / float32, forward and backward', 'PatchNet, 1×28×28, batch 16', *halved)
    yield measure_stacked(rounds, device)
    for name, epoch, on, off in late:
        one, other, ratio = side_by_side(on, off, rounds)
        yield row('torch.compile / not', name, one / epoch, other / epoch, ratio)

@torch.no_grad()
def measure_stacked(rounds, device):
    "Teacher and student see the same z_t: as one call with stacked weights, or as two"
    nets, z, t = [awake(PatchNet()).to(device) for _ in 'ab'], torch.randn(128, 1, 8, 8, device=device), torch.rand(128, device=device)
    weights, _ = torch.func.stack_module_state(nets)
    call = torch.func.vmap(lambda w: torch.func.functional_call(nets[0], w, (z, t)))
    return row('teacher and student in one call / in two', tiny, *side_by_side(lambda: call(weights), lambda: [o(z, t) for o in nets], rounds))

class WithTimes(torch.nn.Module):
    "diffusers' network, asked for our times"
    def __init__(self, net): super().__init__(); self.net = net
    def forward(self, z, t): return self.net(z, t * 1024 - 1).sample

def measure_sampling(rounds, steps, device):
    "The sampler beside the bare network and beside diffusers' pipeline with diffusers' own network"
    rows = []
    for name, net, shape, n in ((tiny, PatchNet(), (128, 1, 8, 8), steps), ('PatchNet, 1×8×8, batch 512', PatchNet(), (512, 1, 8, 8), steps // 2), ('UNet, 3×32×32, batch 8', UNet(3), (8, 3, 32, 32), steps // 2)):
        net, noise = awake(net).to(device), torch.randn(shape).to(device)
        denoiser, times = Denoiser(net).eval(), [torch.full((shape[0],), i / n, device=device) for i in range(n, 0, -1)]
        one, other, ratio = side_by_side(lambda: ddim_sample(denoiser, noise, n), lambda: bare_calls(net, noise, times), rounds)
        rows.append(row('sampling: ddim_sample / bare calls', name, one / n, other / n, ratio, 1.02))
    unet = UNet2DModel(sample_size=32, block_out_channels=(32, 64), down_block_types=('DownBlock2D',) * 2, up_block_types=('UpBlock2D',) * 2, layers_per_block=1).to(device).eval()
    pipeline = DDIMPipeline(unet, DDIMScheduler(num_train_timesteps=1024, timestep_spacing='trailing', prediction_type='sample')).to(device)
    pipeline.set_progress_bar_config(disable=True)
    denoiser, noise = Denoiser(WithTimes(unet), pred='x').eval(), torch.randn(8, 3, 32, 32, device=device)
    one, other, ratio = side_by_side(lambda: ddim_sample(denoiser, noise, steps), lambda: pipeline(8, num_inference_steps=steps, output_type='np'), rounds)
    return rows + [row("sampling: ddim_sample / diffusers' DDIMPipeline", 'UNet2DModel, 3×32×32, batch 8', one / steps, other / steps, ratio)]

def images_per_second(device, bs=512):
    "How many images leave the sampler"
    out = []
    for name, net, size in ((tiny, PatchNet(), 8), (fashion, PatchNet(size=28, patch=4, width=64, hidden=1024), 28)):
        denoiser, noise = Denoiser(awake(net).to(device)).eval(), torch.randn(bs, 1, size, size, device=device)
        ddim_sample(denoiser, noise, 1)
        for steps in 1, 2, 4, 8, 64, 256:
            repeats = max(1, 16 // steps)
            took = seconds(lambda: [ddim_sample(denoiser, noise, steps) for _ in range(repeats)])
            out.append(dict(network=name.replace('batch 128', f'batch {bs}'), steps=steps, images_per_second=bs * repeats / took))
    return out

def memory_by_steps(counts=(1, 8, 64, 256), bs=512):
    "Peak memory of a process that samples in so many steps, in MiB, as Linux tells it"
    if not Path('/proc/self/status').exists(): return []
    code = """import re, sys, torch
from progressive_distillation.all import *
denoiser = Denoiser(PatchNet()).eval()
noise = make_noise(int(sys.argv[2]), (1, 8, 8), 0)
ddim_sample(denoiser, noise, int(sys.argv[1]))
print(int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024)"""
    return [dict(steps=n, mib=int(subprocess.run([sys.executable, '-W', 'ignore', '-c', code, str(n), str(bs)], capture_output=True, text=True, check=True).stdout)) for n in counts]

def peaks(device, steps=8):
    "Most memory of a GPU that training takes beside images and network, in MiB: a teacher's, a stage's, that of a stage by hand and of a plain port"
    if device.type != 'cuda': return []
    out = []
    for name in networks(device):
        dls, net = data_and_network(name, device)
        x = dls.train.tensors[0]
        def by_hand(loop, **kwargs):
            updates = loop(net, x, 128, steps, 1e-5, **kwargs)
            for _ in range(4): next(updates)
        for what, fit in dict(teacher=lambda: diffusion_learner(dls, net).fit_anneal(1, 1e-5), stage=lambda: diffusion_learner(dls, net).distill_stage(steps, 1, 1e-5),
                              plain=lambda: by_hand(plain_steps, total=4), port=lambda: by_hand(naive_steps)).items():
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            fit()
            out.append(dict(what=what, network=name, mib=(torch.cuda.max_memory_allocated() - before) / 2**20))
            net.requires_grad_(True).zero_grad()
    return out

def scaling(device):
    "Time of a training step and the numbers kept for its backward pass, of a U-Net, against batch, image and width"
    out = []
    def measure(what, bs=8, size=16, width=32):
        net, x, t = awake(UNet(3, widths=(width, 2 * width))).to(device), torch.randn(bs, 3, size, size, device=device), torch.rand(bs, device=device)
        kept = 0
        def keep(o):
            nonlocal kept
            kept += o.numel() * o.element_size()
            return o
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda o: o): loss = net(x, t).pow(2).mean()
        loss.backward()
        times = [seconds(lambda: net(x, t).pow(2).mean().backward()) for _ in range(3)]
        out.append(dict(what=what, batch=bs, size=size, width=width, parameters=sum(p.numel() for p in net.parameters()), ms=1e3 * statistics.median(times), mib_kept=kept / 2**20))
    for bs in 2, 4, 8, 16, 32: measure('batch', bs=bs)
    for size in 8, 16, 32, 64: measure('size', size=size)
    for width in 16, 32, 64, 128: measure('width', width=width)
    return out

def again(run, device):
    "A run of the course once more, with its own settings, on this device: how long all of it takes, and how good the samplers are"
    settings = loads((Path(__file__).parent.parent/'nbs'/'images'/run/'results.json').read_text())['settings']
    settings.pop('shape')
    with tempfile.TemporaryDirectory() as folder:
        took = seconds(lambda: pd_distill(**settings, out=f'{folder}/run', device=str(device)))
        rows = loads(Path(folder, 'run', 'results.json').read_text())['rows']
    return [dict(sampler='all of the run', steps=None, seconds=took)] + [dict(sampler=r['sampler'], steps=r['steps'], seconds=r['seconds'], fid=r['fid'], ratio=r['fid'] / rows[0]['fid']) for r in rows]

@call_parse
def main(
    rounds:int=20, # pairs of measurements, in training an epoch each; the medians are reported
    steps:int=8, # the student's number of steps, and sampling steps in a measurement, >= 2
    seed:int=0, # draws weights, noise and batches
    out:str='benchmarks/performance.json', # file that the figures are written to
    only:str='training,switches,sampling,throughput,memory,scaling', # parts to measure; the others in the file are kept. There are also peaks, of a GPU, and digits, the whole run
    device:str=None, # cpu, cuda, … (default: the best there is)
):
    "Print what a step costs in the library beside the same by other means, and write it down; status 1 if a bound is missed"
    warnings.filterwarnings('ignore')
    device, out = torch.device(device or default_device()), Path(out)
    parts = dict(training=partial(measure_training, rounds, steps, device), switches=partial(measure_switches, max(2, rounds // 4), steps, device), sampling=partial(measure_sampling, rounds, steps, device),
                 throughput=partial(images_per_second, device), memory=memory_by_steps, scaling=partial(scaling, device),
                 peaks=partial(peaks, device), digits=partial(again, 'digits', device))
    chosen = only.split(',')
    if unknown := set(chosen) - set(parts): raise SystemExit(f"unknown part {', '.join(sorted(unknown))}: use some of {', '.join(parts)}")
    figures = loads(out.read_text()) if out.exists() else {}
    for name in chosen:
        set_seed(seed)
        print(f'\n## {name}\n')
        figures['where'] = dict(device=torch.cuda.get_device_name() if device.type == 'cuda' else platform.processor() or str(device), threads=torch.get_num_threads(), torch=torch.__version__, python=platform.python_version(), rounds=rounds, steps=steps, seed=seed)
        figures[name] = []
        for o in parts[name]():
            print(', '.join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in o.items()), flush=True)
            figures[name].append(o)
            out.write_text(dumps(figures, indent=1) + '\n')
    return int(any(o['bound'] and o['ratio'] > o['bound'] for name in chosen for o in figures[name] if 'bound' in o))
