"Which choices matter: variants of teacher and stages on the same digits, with the same seeds, noise and judge. Each result is a line of a file, and one that is there is not made again"
import json, math, time
from pathlib import Path
import torch
from fastcore.script import call_parse
from fastai.torch_core import set_seed
from progressive_distillation.all import *
from progressive_distillation.learner import _seed_everything

ending = math.log(0.01 / 0.99) # log-SNR of a schedule that stops at alpha = 0.1
schedules = {'cosine': {}, 'to alpha 0.1': dict(logsnr_min=ending), 'log-SNR ±20': dict(logsnr_min=-20, logsnr_max=20)}

base = dict(pred='x', weight='constant', stage_weight='constant', schedule='cosine', clip=True, epochs=100, stage_epochs=20, ema=None, lookahead=0., ladder='halving', refine=1)

def _grid():
    "Every prediction with every weight, for teacher and stages alike; noise cannot be distilled from alpha = 0, nor through a clamp"
    for pred in 'x', 'v', 'x_eps', 'eps':
        for weight in weight_names: # the talk's clip is truncated_snr
            yield f'{pred}, {weight}', dict(pred=pred, weight=weight, stage_weight=weight, epochs=50, stage_epochs=8, **(dict(schedule='log-SNR ±20', clip=False) if pred == 'eps' else {}))

groups = { # name of a group -> name of a variant -> what differs from `base`
    'prediction and weight': dict(_grid()),
    'lookahead': {f'{share:.0%}': dict(lookahead=share) for share in (0., .25, .5, 1.)},
    'lookahead after longer training': {f'{share:.0%}': dict(lookahead=share, epochs=150, stage_epochs=80, refine=4) for share in (0., .25)},
    'end of the schedule': {name: dict(schedule=name) for name in ('cosine', 'to alpha 0.1')},
    'average of weights': {'none': {}, 'decay 0.98': dict(ema=0.98), 'decay 0.995': dict(ema=0.995)},
    'ladder': {name: dict(ladder=name) for name in ('halving', 'quartering', 'one jump')},
    'first stage': {'2 teacher steps': {}, '4': dict(refine=2), '8': dict(refine=4)},
    'clamp': {'in training': {}, 'in sampling alone': dict(clip=False)},
    'updates a stage': {f'{n} epochs': dict(stage_epochs=n) for n in (5, 10, 20)},
}


class Bench:
    "What all variants of one seed share: images to train on and images held out, judge and noise; and the teachers made so far"
    def __init__(self, seed, samples, teacher_steps):
        self.seed, self.teacher_steps, self.teachers = seed, teacher_steps, {}
        self.dls, whole = digits_dls(bs=128, valid_pct=0.25, seed=seed), digits_dls(valid_pct=0.).train.tensors
        self.seen, self.held = self.dls.train.tensors[0], self.dls.valid.tensors[0]
        self.judge, self.noise = fit_judge(*whole, seed=seed)[0], make_noise(samples, (1, 8, 8), seed)
        axes = torch.pca_lowrank(self.seen.flatten(1), 8, niter=8)
        self.middle, self.axes = self.seen.flatten(1).mean(0), axes[2]
    def along(self, images): return ((images.flatten(1) - self.middle) @ self.axes).std(0)
    def figures(self, images):
        "What is measured of any images, samples or digits held out"
        return dict(fid=fid(self.seen, images, self.judge.body), sure=confidence(self.judge, images), nearest=nearest_images(images, self.seen)[0].mean().item(),
                    stretch=(self.along(images) / self.along(self.seen)).mean().item())
    def row(self, denoiser, steps, reference=None):
        "Figures of `denoiser` in `steps` steps, and its images; `reference` are its first teacher's from the same noise"
        images = ddim_sample(denoiser, self.noise, steps)
        return dict(steps=steps, **self.figures(images), held=fid(self.held, images, self.judge.body), pairing=0. if reference is None else (images - reference).pow(2).mean().sqrt().item()), images
    def teacher(self, s):
        "A learner with a finished teacher, its figures and its images"
        key = tuple(s[o] for o in ('pred', 'weight', 'schedule', 'clip', 'epochs'))
        if key not in self.teachers:
            set_seed(self.seed)
            self.dls.train.rng.seed(self.seed)
            model = PatchNet(out_channels=get_prediction(s['pred']).channels(1))
            learn = diffusion_learner(self.dls, model, CosineNoiseSchedule(**schedules[s['schedule']]), s['pred'], s['weight'], clip=s['clip'])
            learn.remove_cb(learn.progress)
            learn.fit_anneal(s['epochs'])
            self.teachers[key] = learn, *self.row(learn.model.eval(), self.teacher_steps)
        return self.teachers[key]


def stages(s, start=32):
    "The student's steps, the teacher's steps for each of them, and the epochs, of each stage; ladders of other shapes get as many network evaluations as halving does"
    halving = [(n, 2 * (s['refine'] if 2 * n == start else 1), s['stage_epochs'] * (2 if n <= 2 else 1)) for n in halvings(start, 1)]
    if s['ladder'] == 'halving': return halving
    shape = [(8, 4), (2, 4), (1, 2)] if s['ladder'] == 'quartering' else [(1, start)]
    evaluations = sum((k + 3) * epochs for _, k, epochs in halving) # forward and backward count three
    return [(n, k, max(1, round(evaluations / len(shape) / (k + 3)))) for n, k in shape]


def distil(learn, s, seed):
    "All students of a variant"
    first, students = learn.model, []
    try:
        for steps, k, epochs in stages(s):
            _seed_everything(learn, seed + steps)
            learn.model = learn.distill_stage(steps, epochs, ema=s['ema'], weight=s['stage_weight'], teacher_steps=k, lookahead=s['lookahead'])
            students.append(learn.model)
    finally: learn.model = first
    return students


def result(bench, s):
    "The figures of a variant: its teacher first, then its students"
    began = time.perf_counter()
    learn, first, reference = bench.teacher(s)
    rows = [first] + [bench.row(o, o.steps, reference)[0] for o in distil(learn, s, bench.seed)]
    return dict(settings=s, seed=bench.seed, rows=rows, seconds=time.perf_counter() - began)


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
    "Run every variant that is not in the file yet"
    chosen = only.split(',') if only else list(groups)
    if unknown := set(chosen) - set(groups): raise SystemExit(f"unknown group {', '.join(sorted(unknown))}: use some of {', '.join(groups)}")
    torch.set_num_threads(threads)
    out = Path(out)
    done = [json.loads(o) for o in out.read_text().splitlines()] if out.exists() else []
    done = {(json.dumps(o['settings'], sort_keys=True), o['seed']) for o in done if 'settings' in o} | {('yardsticks', o['seed']) for o in done if 'yardsticks' in o}
    def keep(key, row):
        done.add(key)
        with out.open('a') as f: f.write(json.dumps(row) + '\n')
    for seed in map(int, seeds.split(',')):
        bench = Bench(seed, samples, teacher_steps)
        if ('yardsticks', seed) not in done: keep(('yardsticks', seed), dict(yardsticks=bench.figures(bench.held), seed=seed))
        for group in chosen:
            for name, change in groups[group].items():
                s = {**base, **change, **(dict(epochs=1, stage_epochs=1) if tiny else {})}
                key = json.dumps(s, sort_keys=True), seed
                if key in done: continue
                keep(key, r := result(bench, s))
                print(f"seed {seed}, {group}: {name}: FID", *(f"{o['fid']:.2f}" for o in r['rows']), f"({r['seconds']:.0f} s)", flush=True)
