"""Few steps of a distilled student, or of a better solver? diffusers' solvers drive the teacher of a run.

They start from the run's own noise, before its own judge."""
import json
import time
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, HeunDiscreteScheduler, UniPCMultistepScheduler
from fastcore.script import call_parse
from progressive_distillation.all import *
from progressive_distillation.core import count, write_atomic

ticks = 1024 # of diffusers' clock; its tick k is our time (k + 1)/ticks, so that powers of two fall on ticks

def betas(schedule):
    "The schedule as diffusers takes it; alpha² is 2^-24 at its end, where no image is left, as in diffusers itself."
    kept = schedule.alpha(torch.arange(1, ticks + 1, dtype=torch.float64) / ticks).pow(2).clamp(min=2**-24)
    return (1 - kept / torch.cat([torch.ones(1, dtype=torch.float64), kept[:-1]])).numpy()

solvers = { # name -> scheduler and its settings
    'DPM-Solver++(2M)': (DPMSolverMultistepScheduler, dict(prediction_type='sample', final_sigmas_type='zero')),
    'UniPC': (UniPCMultistepScheduler, dict(prediction_type='sample', final_sigmas_type='zero')),
    'Heun': (HeunDiscreteScheduler, dict(prediction_type='epsilon', use_karras_sigmas=True)),
    'DDIM of diffusers': (DDIMScheduler, dict(prediction_type='sample', clip_sample=False)), # do the clocks agree?
}

def evaluations(name, steps):
    "How often the network is asked; Heun asks twice a step, but for the last one."
    return 2 * steps - 1 if name == 'Heun' else steps

def make_scheduler(name, schedule):
    kind, settings = solvers[name]
    return kind(num_train_timesteps=ticks, trained_betas=betas(schedule), timestep_spacing='trailing', **settings)

@torch.no_grad()
def solve(denoiser, noise, scheduler, steps):
    "Images from `noise` in `steps` steps of a diffusers scheduler, which gets the clamped image as our sampler does."
    scheduler.set_timesteps(steps)
    z = noise * scheduler.init_noise_sigma
    for i, tick in enumerate(scheduler.timesteps):
        predicted = denoiser(scheduler.scale_model_input(z, tick), (float(tick) + 1) / ticks).clamp(-1, 1)
        if scheduler.config.prediction_type == 'epsilon': predicted = (z - predicted) / scheduler.sigmas[i]
        z = scheduler.step(predicted, tick, z).prev_sample
    return z

def measure(run, teacher, name, steps, bs):
    "A row for one solver."
    began, parts = time.perf_counter(), run.noise.split(bs)
    images = [solve(teacher, o.to(run.device), make_scheduler(name, teacher.schedule), steps).cpu() for o in parts]
    seconds = time.perf_counter() - began
    figures = run.judge.measure(torch.cat(images))
    return dict(sampler=name, steps=steps, evaluations=evaluations(name, steps), **figures, seconds=seconds)

@call_parse
def main(
    run:str, # folder that pd_distill wrote, with its results.json
    most:int=64, # most evaluations of the network
    bs:int=512, # images in a batch
    only:str=None, # solvers to run, with commas (default: all)
    device:str=None, # cpu, cuda, … (default: the best there is)
):
    "Judge diffusers' solvers beside the teacher and the students of a run: prints FIDs and writes RUN/solvers.json."
    run = Run(run, device)
    results, teacher, names = run.results, run.teacher, dict(teacher="teacher's DDIM", student='student')
    rows = [dict(o, sampler=names[o['sampler']], evaluations=o['steps']) for o in results['rows']]
    for name in only.split(',') if only else solvers:
        n = 1
        while evaluations(name, n) <= most:
            rows.append(o := measure(run, teacher, name, n, bs))
            cost = f"{count(n, 'step')}, {count(o['evaluations'], 'evaluation')}"
            print(f"{name}, {cost}: FID {o['fid']:.3f}, {o['seconds']:.1f} s", flush=True)
            n *= 2
    with write_atomic(run.folder/'solvers.json') as draft:
        solved = dict(judge=results['judge'], settings=results['settings'], rows=rows)
        draft.write_text(json.dumps(solved, indent=1) + '\n')
