"""Why is one step the worst? The last stage of a run once more, with more updates or a deeper network.

Its student stands before the run's own judge."""
import copy
import json
import torch
from fastcore.script import call_parse
from progressive_distillation.all import *
from progressive_distillation.core import check_whole, write_atomic

def deepened(denoiser, times):
    "The same predictions by a network with more blocks, whose last layers are 0, so that they add nothing at first."
    if times == 1: return denoiser
    if not isinstance(denoiser.model, PatchNet):
        raise SystemExit(f"--depth is for a PatchNet, and this run has a {type(denoiser.model).__name__}")
    deep, config = copy.deepcopy(denoiser), denoiser.model.config
    deep.model = PatchNet(**{**config, 'depth': times * config['depth']})
    deep.model.load_state_dict(denoiser.model.state_dict(), strict=False)
    return deep

def last_stage(run, epochs, depth):
    "The student of one step, trained again, and the row of its figures."
    s = run.settings
    torch.manual_seed(s.seed)
    learn = diffusion_learner(run.data, deepened(run.student(2), depth), weight=s.weight, conditional=s.conditional)
    stage = Stage(1, 2, epochs, s.stage_lr, lookahead=s.lookahead, ema=s.ema)
    student, = learn.distill([stage], seed=s.seed)
    figures = run.judge.measure(sample_batches(student, run.noise, 1, run.labels))
    parameters, seconds = sum(p.numel() for p in student.parameters()), learn.records[0]['seconds']
    return dict(epochs=epochs, depth=depth, parameters=parameters, seconds_of_training=seconds, **figures)

def keep(row, file):
    "Put `row` into the file, in place of one of the same epochs and depth."
    def key(o): return o['depth'], o['epochs']
    rows = json.loads(file.read_text()) if file.exists() else []
    rows = [o for o in rows if key(o) != key(row)] + [row]
    with write_atomic(file) as draft: draft.write_text(json.dumps(sorted(rows, key=key), indent=1) + '\n')

@call_parse
def main(
    run:str, # folder that pd_distill wrote, with its results.json
    times:int=4, # how many times as many epochs as the run gave its last stage
    depth:int=1, # how many times as many blocks as the run's network
    threads:int=1, # of the CPU
    device:str=None, # cpu, cuda, … (default: the best there is)
):
    "Print the FID of such a stage's student beside that of the run's, and add it to RUN/last_stage.json."
    try: check_whole(times=times, depth=depth)
    except ValueError as e: raise SystemExit(f"--{e}")
    torch.set_num_threads(threads)
    run = Run(run, device)
    s, rows = run.settings, {(r['sampler'], r['steps']): r for r in run.results['rows']}
    if s.end != 1 or s.start < 4:
        raise SystemExit(f"{run.folder} goes from {s.start} steps to {s.end}, and has no stage from 2 steps to 1")
    usual = 2 * s.stage_epochs # a run gives its last stages twice the epochs
    row = last_stage(run, times * usual, depth)
    keep(row, run.folder/'last_stage.json')
    first = rows['teacher', s.teacher_steps]['fid']
    shown = {f"{usual} epochs, the run's": rows['student', 1], f"{row['epochs']} epochs, {depth} × the blocks": row}
    for name, r in shown.items():
        print(f"{name}: FID {r['fid']:.3f}, {r['fid'] / first:.2f} times the teacher's")
