"The question that people come with: few steps of a distilled student, or of a better solver? diffusers' solvers drive the teacher of a run, from the run's own noise and before its own judge"
import json, time
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, HeunDiscreteScheduler, UniPCMultistepScheduler
from fastcore.script import call_parse
from progressive_distillation.all import *
from progressive_distillation.core import write_atomic

ticks = 1024 # of diffusers' clock; its tick k is our time (k + 1)/ticks, so that powers of two fall on ticks

def betas(schedule):
    "The schedule as diffusers takes it; its end, where no image is left, is lifted to alpha² = 2^-24, as diffusers does itself"
    kept = schedule.alpha(torch.arange(1, ticks + 1, dtype=torch.float64) / ticks).pow(2).clamp(min=2**-24)
    return (1 - kept / torch.cat([torch.ones(1, dtype=torch.float64), kept[:-1]])).numpy()

solvers = { # name -> scheduler and its settings; evaluations of the network for a number of steps
    'DPM-Solver++(2M)': (DPMSolverMultistepScheduler, dict(prediction_type='sample', final_sigmas_type='zero'), lambda n: n),
    'UniPC': (UniPCMultistepScheduler, dict(prediction_type='sample', final_sigmas_type='zero'), lambda n: n),
    'Heun': (HeunDiscreteScheduler, dict(prediction_type='epsilon', use_karras_sigmas=True), lambda n: 2 * n - 1), # the last step has no second half
    'DDIM of diffusers': (DDIMScheduler, dict(prediction_type='sample', clip_sample=False), lambda n: n), # to see that the clocks agree
}

def make_scheduler(name, schedule):
    kind, settings, _ = solvers[name]
    return kind(num_train_timesteps=ticks, trained_betas=betas(schedule), timestep_spacing='trailing', **settings)

@torch.no_grad()
def solve(denoiser, noise, scheduler, steps):
    "Images from `noise` in `steps` steps of a diffusers scheduler, which hears the clamped image as our own sampler does"
    scheduler.set_timesteps(steps)
    z = noise * scheduler.init_noise_sigma
    for i, tick in enumerate(scheduler.timesteps):
        said = denoiser(scheduler.scale_model_input(z, tick), (float(tick) + 1) / ticks).clamp(-1, 1)
        if scheduler.config.prediction_type == 'epsilon': said = (z - said) / scheduler.sigmas[i]
        z = scheduler.step(said, tick, z).prev_sample
    return z

@call_parse
def main(
    run:str, # folder that pd_distill wrote, with its results.json
    most:int=64, # most evaluations of the network
    bs:int=512, # images in a batch
    only:str=None, # solvers to run, with commas (default: all)
    device:str=None, # cpu, cuda, … (default: the best there is)
):
    "Judge diffusers' solvers beside the teacher and the students of a run: prints a table and writes RUN/solvers.json"
    run = Run(run, device)
    results, teacher = run.results, run.teacher
    rows = [dict(o, sampler={'teacher': "teacher's DDIM", 'student': 'student'}[o['sampler']], evaluations=o['steps']) for o in results['rows']]
    for name in only.split(',') if only else solvers:
        n = 1
        while (evaluations := solvers[name][2](n)) <= most:
            began = time.perf_counter()
            images = [solve(teacher, o.to(run.device), make_scheduler(name, teacher.schedule), n).cpu() for o in run.noise.split(bs)]
            seconds = time.perf_counter() - began
            rows.append(dict(sampler=name, steps=n, evaluations=evaluations, **run.judge.measure(torch.cat(images)), seconds=seconds))
            print(f"{name}, {n} steps, {evaluations} evaluations: FID {rows[-1]['fid']:.3f}, {seconds:.1f} s", flush=True)
            n *= 2
    with write_atomic(run.folder/'solvers.json') as draft:
        draft.write_text(json.dumps(dict(judge=results['judge'], settings=results['settings'], rows=rows), indent=1) + '\n')
