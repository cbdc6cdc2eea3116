"Is it fast? The library beside the bare network, a loop by hand, a plain port and diffusers; what each switch gains."
import copy
import gc
import platform
import statistics
import subprocess
import sys
import tempfile
import warnings
from functools import partial
from json import dumps, loads
from pathlib import Path
import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from fastcore.script import call_parse
from fastai.optimizer import OptimWrapper
from fastai.torch_core import default_device, set_seed
from progressive_distillation.all import *
from by_hand import naive_steps, plain_steps
from timing import beside, medians, seconds, side_by_side, step_seconds

tiny, fashion, colour = 'PatchNet, 1×8×8, batch 128', 'PatchNet, 1×28×28, batch 128', 'UNet, 3×32×32, batch 128'

def networks(device):
    "What is measured; a U-Net keeps a processor busy for hours."
    return (tiny, fashion) if device.type == 'cpu' else (tiny, fashion, colour)

def awake(model):
    "Networks end in zeros when they are made: give them all ordinary numbers."
    with torch.no_grad():
        for p in model.parameters(): p.copy_(torch.randn_like(p) * 0.05)
    return model.eval()

def patchnet(size):
    "The networks of digits and clothes."
    return PatchNet() if size == 8 else PatchNet(size=size, patch=4, width=64, hidden=1024)

def data_and_network(name, device):
    "Images to train on, which only have to have the right size, and a network, both on the device."
    if name == tiny: x, net = digits_dls(valid_pct=0.).train.tensors[0], patchnet(8)
    elif name == fashion: x, net = torch.rand(640, 1, 28, 28) * 2 - 1, patchnet(28)
    else: x, net = torch.rand(640, 3, 32, 32) * 2 - 1, UNet(3, widths=(64, 128, 128))
    return tensor_dls(x.to(device), bs=128, valid_pct=0., device=device), awake(net).to(device)

def row(what, network, times, bound=None, calls=1):
    "What the file holds of a comparison; `times` are of so many calls."
    one, other, ratio = times
    ms, ms_beside = 1e3 * one / calls, 1e3 * other / calls
    return dict(what=what, network=network, ms=ms, ms_beside=ms_beside, ratio=ratio, bound=bound)

def stage_beside(loop, dls, net, steps, rounds):
    "The times of a distillation step and of `loop`'s, each a mean over an epoch, the first one left out."
    learn, epoch = diffusion_learner(dls, net), len(dls.train)
    times = beside(learn, loop(copy.deepcopy(net), dls.train.tensors[0], 128, steps))
    learn.distill_stage(steps, epochs=rounds + 1, lr=1e-3)
    parts = [times[i:i + epoch] for i in range(epoch - 1, len(times), epoch)]
    return medians([[sum(o) / epoch for o in zip(*part)] for part in parts])

def stage_and_teacher(dls, net, steps, rounds):
    "The times of a distillation step and of a step of the teacher's training."
    learn = diffusion_learner(dls, net)
    def stage(): learn.distill_stage(steps, epochs=1, lr=1e-3)
    def teacher():
        learn.opt = None
        learn.fit_anneal(1, 1e-5)
    return medians([(step_seconds(learn, stage), step_seconds(learn, teacher)) for _ in range(rounds)])

bounds = {tiny: 1.1, fashion: 1.05, colour: 1.05} # a distillation step beside the same by hand

def measure_training(rounds, steps, device):
    "A distillation step beside the same step by hand, a plain port, and a step of the teacher's training."
    for name in networks(device):
        dls, net = data_and_network(name, device)
        by_hand = partial(plain_steps, lr=1e-3, total=(rounds + 1) * len(dls.train))
        times = stage_beside(by_hand, dls, net, steps, rounds)
        yield row('distillation step / plain PyTorch', name, times, bounds[name])
        times = stage_beside(partial(naive_steps, lr=1e-3), dls, net, steps, rounds)
        yield row('distillation step / a port with autograd through the teacher', name, times)
        times = stage_and_teacher(dls, net, steps, rounds)
        yield row('distillation step / teacher step (5/3 in theory)', name, times, 1.75)

def stage(dls, net, steps, compute_dtype=None, half=False, **kwargs):
    "A function that runs a stage of one epoch."
    learn = diffusion_learner(dls, Denoiser(net, compute_dtype=compute_dtype), **kwargs)
    if half: learn.to_fp16()
    return lambda: learn.distill_stage(steps, epochs=1, lr=1e-3)

def switches(dls, net, steps, device):
    "What might make a stage faster: name -> a stage with it, and one without."
    make, unfused = partial(stage, steps=steps), partial(torch.optim.AdamW, betas=(0.9, 0.99))
    plain = make(dls, net)
    yield 'optimizer in one pass (fused) / not', plain, make(dls, net, opt_func=partial(OptimWrapper, opt=unfused))
    yield 'bfloat16 layers / float32', make(dls, net, compute_dtype=torch.bfloat16), plain
    if device.type == 'cpu': return
    elsewhere = tensor_dls(dls.train.tensors[0].cpu(), bs=128, valid_pct=0., device=device)
    yield 'images on the device / a copy for each batch', plain, make(elsewhere, net)
    yield "fastai's to_fp16 / float32", make(dls, net, half=True), plain

def measure_switches(rounds, steps, device):
    "A stage with and without each switch; what has to be compiled comes last."
    for name in networks(device):
        dls, net = data_and_network(name, device)
        for what, on, off in switches(dls, net, steps, device):
            yield row(what, name, side_by_side(on, off, rounds), calls=len(dls.train))
    yield from measure_layers(rounds, device)
    yield measure_stacked(rounds, device)
    for name in networks(device):
        dls, net = data_and_network(name, device)
        on, off = stage(dls, torch.compile(net, dynamic=True), steps), stage(dls, net, steps)
        yield row('torch.compile / not', name, side_by_side(on, off, rounds), calls=len(dls.train))

def measure_layers(rounds, device):
    "An update of a network with and without another layout of its images, and a shorter type."
    x, t = torch.randn(16, 3, 32, 32, device=device), torch.rand(16, device=device)
    def update(net, x): return lambda: net(x, t).pow(2).mean().backward()
    net, last = awake(UNet(3)).to(device), torch.channels_last
    other = copy.deepcopy(net).to(memory_format=last)
    times = side_by_side(update(other, x.to(memory_format=last)), update(net, x), rounds)
    yield row('channels last / channels first', 'UNet, 3×32×32, batch 16', times)
    net, x = awake(patchnet(28)).to(device), torch.randn(16, 1, 28, 28, device=device)
    short, full = (update(Denoiser(net, compute_dtype=o), x) for o in (torch.float16, None))
    times = side_by_side(short, full, max(1, rounds // 5)) # a processor without instructions for it takes minutes
    yield row('float16 layers / float32, forward and backward', 'PatchNet, 1×28×28, batch 16', times)

@torch.no_grad()
def measure_stacked(rounds, device):
    "Teacher and student see the same z_t: as one call with stacked weights, or as two."
    nets = [awake(PatchNet()).to(device) for _ in range(2)]
    z, t = torch.randn(128, 1, 8, 8, device=device), torch.rand(128, device=device)
    weights, _ = torch.func.stack_module_state(nets)
    call = torch.func.vmap(lambda w: torch.func.functional_call(nets[0], w, (z, t)))
    times = side_by_side(lambda: call(weights), lambda: [o(z, t) for o in nets], rounds)
    return row('teacher and student in one call / in two', tiny, times)

@torch.no_grad()
def bare_calls(model, noise, times):
    "The network's own calls and no arithmetic between them."
    for t in times: model(noise, t)

class WithTimes(torch.nn.Module):
    "diffusers' network, asked for our times."
    def __init__(self, net):
        super().__init__()
        self.net = net
    def forward(self, z, t): return self.net(z, t * 1024 - 1).sample

def measure_sampling(rounds, steps, device):
    "The sampler beside bare calls for the same times, and beside diffusers' pipeline with diffusers' own network."
    half = steps // 2
    for name, net, shape, n in ((tiny, PatchNet(), (128, 1, 8, 8), steps),
                                ('PatchNet, 1×8×8, batch 512', PatchNet(), (512, 1, 8, 8), half),
                                ('UNet, 3×32×32, batch 8', UNet(3), (8, 3, 32, 32), half)):
        denoiser, noise = Denoiser(awake(net).to(device)).eval(), torch.randn(shape, device=device)
        times = [torch.full((len(noise),), i / n, device=device) for i in range(n, 0, -1)]
        took = side_by_side(lambda: ddim_sample(denoiser, noise, n), lambda: bare_calls(net, noise, times), rounds)
        yield row('sampling: ddim_sample / bare calls', name, took, 1.02, n)
    unet = UNet2DModel(sample_size=32, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=('DownBlock2D',) * 2, up_block_types=('UpBlock2D',) * 2).to(device).eval()
    scheduler = DDIMScheduler(num_train_timesteps=1024, timestep_spacing='trailing', prediction_type='sample')
    pipeline = DDIMPipeline(unet, scheduler).to(device)
    pipeline.set_progress_bar_config(disable=True)
    denoiser, noise = Denoiser(WithTimes(unet), pred='x').eval(), torch.randn(8, 3, 32, 32, device=device)
    def theirs(): pipeline(8, num_inference_steps=steps, output_type='np')
    took = side_by_side(lambda: ddim_sample(denoiser, noise, steps), theirs, rounds)
    yield row("sampling: ddim_sample / diffusers' DDIMPipeline", 'UNet2DModel, 3×32×32, batch 8', took, calls=steps)

def images_per_second(device, bs=512):
    "How many images leave the sampler."
    for name, size in ((tiny, 8), (fashion, 28)):
        denoiser = Denoiser(awake(patchnet(size)).to(device)).eval()
        noise = torch.randn(bs, 1, size, size, device=device)
        ddim_sample(denoiser, noise, 1)
        for steps in 1, 2, 4, 8, 64, 256:
            repeats = max(1, 16 // steps)
            took = seconds(lambda: [ddim_sample(denoiser, noise, steps) for _ in range(repeats)])
            network = name.replace('batch 128', f'batch {bs}')
            yield dict(network=network, steps=steps, images_per_second=bs * repeats / took)

sampling_alone = r"""import re, sys
from progressive_distillation.all import *
ddim_sample(Denoiser(PatchNet()).eval(), make_noise(512, (1, 8, 8), 0), int(sys.argv[1]))
print(int(re.search(r'VmHWM:\s+(\d+)', open('/proc/self/status').read())[1]) // 1024)"""

def memory_by_steps():
    "Peak memory of a process that samples in so many steps, in MiB, as Linux tells it."
    if not Path('/proc/self/status').exists(): return
    for n in 1, 8, 64, 256:
        command = [sys.executable, '-W', 'ignore', '-c', sampling_alone, str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        yield dict(steps=n, mib=int(done.stdout))

def trainings(dls, net, steps=8):
    "Name -> a short training: a teacher's, a stage's, that of a stage by hand and of a plain port."
    def by_hand(loop, **kwargs):
        updates = loop(net, dls.train.tensors[0], 128, steps, 1e-5, **kwargs)
        for _ in range(4): next(updates)
    return dict(teacher=lambda: diffusion_learner(dls, net).fit_anneal(1, 1e-5),
        stage=lambda: diffusion_learner(dls, net).distill_stage(steps, epochs=1, lr=1e-5),
        plain=lambda: by_hand(plain_steps, total=4), port=lambda: by_hand(naive_steps))

def peaks(device):
    "Most memory of a GPU that training takes beside images and network, in MiB."
    if device.type != 'cuda': return
    for name in networks(device):
        dls, net = data_and_network(name, device)
        for what, fit in trainings(dls, net).items():
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            fit()
            yield dict(what=what, network=name, mib=(torch.cuda.max_memory_allocated() - before) / 2**20)
            net.requires_grad_(True).zero_grad()

def bytes_kept(f):
    "What `f()` returns, and how many bytes it keeps for its backward pass."
    kept = []
    def keep(o):
        kept.append(o.numel() * o.element_size())
        return o
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda o: o): return f(), sum(kept)

def scaling(device):
    "Time of an update of a U-Net, and what it keeps for its backward pass, against batch, image and width."
    usual = dict(batch=8, size=16, width=32)
    sizes = dict(batch=(2, 4, 8, 16, 32), size=(8, 16, 32, 64), width=(16, 32, 64, 128))
    for what, n in ((what, n) for what, some in sizes.items() for n in some):
        s = {**usual, what: n}
        net = awake(UNet(3, widths=(s['width'], 2 * s['width']))).to(device)
        x, t = torch.randn(s['batch'], 3, s['size'], s['size'], device=device), torch.rand(s['batch'], device=device)
        def loss(): return net(x, t).pow(2).mean()
        first, kept = bytes_kept(loss)
        first.backward()
        took = statistics.median(seconds(lambda: loss().backward()) for _ in range(3))
        parameters = sum(p.numel() for p in net.parameters())
        yield dict(what=what, **s, parameters=parameters, ms=1e3 * took, mib_kept=kept / 2**20)

def again(run, device):
    "A run of the course once more, with its own settings, on this device."
    file = Path(__file__).parent.parent/'nbs'/'images'/run/'results.json'
    settings = loads(file.read_text())['settings']
    settings.pop('shape')
    with tempfile.TemporaryDirectory() as folder:
        took = seconds(lambda: pd_distill(**settings, out=f'{folder}/run', device=str(device)))
        rows = loads(Path(folder, 'run', 'results.json').read_text())['rows']
    yield dict(sampler='all of the run', steps=None, seconds=took)
    for r in rows:
        figures = {k: r[k] for k in ('sampler', 'steps', 'seconds', 'fid')}
        yield dict(figures, ratio=r['fid'] / rows[0]['fid'])

def where(device, **settings):
    "The machine, and how it was asked."
    name = torch.cuda.get_device_name() if device.type == 'cuda' else platform.processor() or str(device)
    return dict(device=name, threads=torch.get_num_threads(), torch=torch.__version__,
        python=platform.python_version(), **settings)

def shown(o): return ', '.join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in o.items())

@call_parse
def main(
    rounds:int=20, # pairs of measurements, in training an epoch each; the medians are reported
    steps:int=8, # the student's number of steps, and sampling steps in a measurement, >= 2
    seed:int=0, # draws weights, noise and batches
    out:str='benchmarks/performance.json', # file that the figures are written to
    only:str='training,switches,sampling,throughput,memory,scaling', # parts; also peaks (a GPU's), digits (a run)
    device:str=None, # cpu, cuda, … (default: the best there is)
):
    "Print what a step costs beside the same by other means, and write it down; status 1 if a bound is missed."
    warnings.filterwarnings('ignore')
    device, out = torch.device(device or default_device()), Path(out)
    parts = dict(training=partial(measure_training, rounds, steps, device), memory=memory_by_steps,
        switches=partial(measure_switches, max(2, rounds // 4), steps, device), scaling=partial(scaling, device),
        sampling=partial(measure_sampling, rounds, steps, device), throughput=partial(images_per_second, device),
        peaks=partial(peaks, device), digits=partial(again, 'digits', device))
    chosen = only.split(',')
    unknown = ', '.join(sorted(set(chosen) - set(parts)))
    if unknown: raise SystemExit(f"unknown part {unknown}: use some of {', '.join(parts)}")
    figures = loads(out.read_text()) if out.exists() else {}
    for name in chosen:
        set_seed(seed)
        print(f'\n## {name}\n')
        figures[name] = []
        figures.setdefault('where', {})[name] = where(device, rounds=rounds, steps=steps, seed=seed)
        for o in parts[name]():
            print(shown(o), flush=True)
            figures[name].append(o)
            out.write_text(dumps(figures, indent=1) + '\n')
    return int(any(o.get('bound') and o['ratio'] > o['bound'] for name in chosen for o in figures[name]))
