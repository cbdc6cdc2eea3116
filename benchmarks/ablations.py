"Which choices matter: variants of teacher and stages on the same digits, with the same seeds, noise and judge."
import json
import math
import time
from pathlib import Path
import torch
from fastcore.script import call_parse
from fastai.torch_core import set_seed
from progressive_distillation.all import *

ending = math.log(0.01 / 0.99) # log-SNR of a schedule that stops at alpha = 0.1
schedules = {'cosine': {}, 'to alpha 0.1': dict(logsnr_min=ending), 'log-SNR ±20': dict(logsnr_min=-20, logsnr_max=20)}

base = dict(pred='x', weight='constant', stage_weight='constant', schedule='cosine', clip=True, epochs=100,
    stage_epochs=20, ema=None, lookahead=0., ladder='halving', refine=1)

shorter, longer = dict(epochs=50, stage_epochs=8), dict(epochs=150, stage_epochs=80, refine=4)

def every_pair():
    "Every prediction with every weight, for teacher and stages alike; the talk's clip is truncated_snr."
    for pred in 'x', 'v', 'x_eps', 'eps':
        # noise cannot be distilled from alpha = 0, nor through a clamp
        noise = dict(schedule='log-SNR ±20', clip=False) if pred == 'eps' else {}
        for weight in weight_names:
            yield f'{pred}, {weight}', dict(pred=pred, weight=weight, stage_weight=weight, **shorter, **noise)

groups = { # name of a group -> name of a variant -> what differs from `base`
    'prediction and weight': dict(every_pair()),
    'lookahead': {f'{share:.0%}': dict(lookahead=share) for share in (0., .25, .5, 1.)},
    'lookahead after longer training': {f'{share:.0%}': dict(lookahead=share, **longer) for share in (0., .25)},
    'end of the schedule': {name: dict(schedule=name) for name in ('cosine', 'to alpha 0.1')},
    'average of weights': {'none': {}, 'decay 0.98': dict(ema=0.98), 'decay 0.995': dict(ema=0.995)},
    'ladder': {name: dict(ladder=name) for name in ('halving', 'quartering', 'one jump')},
    'first stage': {'2 teacher steps': {}, '4': dict(refine=2), '8': dict(refine=4)},
    'clamp': {'in training': {}, 'in sampling alone': dict(clip=False)},
    'updates a stage': {f'{n} epochs': dict(stage_epochs=n) for n in (5, 10, 20)},
}

def evaluations(stage):
    "Network evaluations for each batch; forward and backward count three."
    return (stage.teacher_steps + 3) * stage.epochs

def stages(s, start=32):
    "The stages of a variant; ladders of other shapes get as many network evaluations as halving does."
    same = dict(ema=s['ema'], weight=s['stage_weight'], lookahead=s['lookahead'])
    halving = ladder(start, 1, s['stage_epochs'], refine=s['refine'], **same)
    if s['ladder'] == 'halving': return halving
    shape = [(8, 4), (2, 4), (1, 2)] if s['ladder'] == 'quartering' else [(1, start)]
    share = sum(map(evaluations, halving)) / len(shape)
    return [Stage(n, k, max(1, round(share / (k + 3))), **same) for n, k in shape]

class Bench:
    "What all variants of one seed share: images seen and held out, judge, noise, and the teachers made so far."
    def __init__(self, seed, samples, teacher_steps):
        self.seed, self.teacher_steps, self.teachers = seed, teacher_steps, {}
        self.dls, whole = digits_dls(bs=128, valid_pct=0.25, seed=seed), digits_dls(valid_pct=0.).train.tensors
        self.seen, self.held = self.dls.train.tensors[0], self.dls.valid.tensors[0]
        self.judge, self.noise = fit_judge(*whole, seed=seed)[0], make_noise(samples, (1, 8, 8), seed)
        self.axes = torch.pca_lowrank(self.seen.flatten(1), 8, niter=8)[2]
        self.middle = self.seen.flatten(1).mean(0)
    def widths(self, images):
        "Standard deviation along the eight directions in which the images seen differ most."
        return ((images.flatten(1) - self.middle) @ self.axes).std(0)
    def figures(self, images):
        "What is measured of any images, samples or digits held out."
        return dict(fid=fid(self.seen, images, self.judge.body), sure=confidence(self.judge, images),
            nearest=nearest_images(images, self.seen)[0].mean().item(),
            stretch=(self.widths(images) / self.widths(self.seen)).mean().item())
    def row(self, denoiser, steps, reference=None):
        "Figures of `denoiser` in `steps` steps, and its images; `reference` are its first teacher's."
        images = ddim_sample(denoiser, self.noise, steps)
        pairing = 0. if reference is None else (images - reference).pow(2).mean().sqrt().item()
        held = fid(self.held, images, self.judge.body)
        return dict(steps=steps, **self.figures(images), held=held, pairing=pairing), images
    def teacher(self, s):
        "A learner with a finished teacher, its figures and its images."
        key = tuple(s[o] for o in ('pred', 'weight', 'schedule', 'clip', 'epochs'))
        if key not in self.teachers: self.teachers[key] = self.make_teacher(s)
        return self.teachers[key]
    def make_teacher(self, s):
        set_seed(self.seed)
        self.dls.train.rng.seed(self.seed)
        model = PatchNet(out_channels=get_prediction(s['pred']).channels(1))
        schedule = CosineNoiseSchedule(**schedules[s['schedule']])
        learn = diffusion_learner(self.dls, model, schedule, s['pred'], s['weight'], clip=s['clip'])
        learn.remove_cb(learn.progress)
        learn.fit_anneal(s['epochs'])
        return learn, *self.row(learn.model.eval(), self.teacher_steps)

def result(bench, s):
    "The figures of a variant: its teacher first, then its students."
    began = time.perf_counter()
    learn, first, reference = bench.teacher(s)
    students = learn.distill(stages(s), seed=bench.seed)
    rows = [first] + [bench.row(o, o.steps, reference)[0] for o in students]
    return dict(settings=s, seed=bench.seed, rows=rows, seconds=time.perf_counter() - began)

def key_of(row):
    "What tells one line of the file from another."
    return 'yardsticks' if 'yardsticks' in row else json.dumps(row['settings'], sort_keys=True), row['seed']

@call_parse
def main(
    seeds:str='3,4,5', # seeds, with commas; the defaults of the library were chosen on others
    only:str=None, # groups to run, with commas (default: all): see `groups` above
    out:str='benchmarks/ablations.jsonl', # file that results are added to
    samples:int=1024, # images to judge a sampler by
    teacher_steps:int=128, # steps of a teacher's reference samples
    threads:int=1, # of the CPU; the networks are too small to gain from more
    tiny:bool=False, # one epoch each, to see that all works
):
    "Run every variant that is not in the file yet; each result is a line of it."
    chosen, out = only.split(',') if only else list(groups), Path(out)
    unknown = ', '.join(sorted(set(chosen) - set(groups)))
    if unknown: raise SystemExit(f"unknown group {unknown}: use some of {', '.join(groups)}")
    torch.set_num_threads(threads)
    done = {key_of(json.loads(o)) for o in out.read_text().splitlines()} if out.exists() else set()
    def keep(row):
        done.add(key_of(row))
        with out.open('a') as f: f.write(json.dumps(row) + '\n')
    for seed in map(int, seeds.split(',')):
        bench = Bench(seed, samples, teacher_steps)
        if ('yardsticks', seed) not in done: keep(dict(yardsticks=bench.figures(bench.held), seed=seed))
        for group, name in ((group, name) for group in chosen for name in groups[group]):
            s = {**base, **groups[group][name], **(dict(epochs=1, stage_epochs=1) if tiny else {})}
            if (json.dumps(s, sort_keys=True), seed) in done: continue
            keep(r := result(bench, s))
            fids = ' '.join(f"{o['fid']:.2f}" for o in r['rows'])
            print(f"seed {seed}, {group}: {name}: FID {fids} ({r['seconds']:.0f} s)", flush=True)
