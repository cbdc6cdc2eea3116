"Why is one step the worst? The last stage of a run once more, with more updates or a deeper network, before the run's own judge"
import copy, json
import torch
from fastcore.script import call_parse
from progressive_distillation.all import *
from progressive_distillation.core import write_atomic


def deepened(denoiser, times):
    "The same answers by a network with more blocks: the last layer of a new block is 0, so that it adds nothing before it is trained"
    if times == 1: return denoiser
    if not isinstance(denoiser.model, PatchNet): raise SystemExit(f"--depth is for a PatchNet, and this run has a {type(denoiser.model).__name__}")
    deep, config = copy.deepcopy(denoiser), denoiser.model.config
    deep.model = PatchNet(**{**config, 'depth': times * config['depth']})
    deep.model.load_state_dict(denoiser.model.state_dict(), strict=False)
    return deep

@call_parse
def main(
    run:str, # folder that pd_distill wrote, with its results.json
    times:int=4, # how many times as many epochs as the run gave its last stage
    depth:int=1, # how many times as many blocks as the run's network
    threads:int=1, # of the CPU
    device:str=None, # cpu, cuda, … (default: the best there is)
):
    "Prints the FID of such a stage's student beside that of the run's, and adds it to RUN/last_stage.json"
    for name, value in dict(times=times, depth=depth).items():
        if value < 1: raise SystemExit(f"--{name} must be at least 1, got {value}")
    torch.set_num_threads(threads)
    run = Run(run, device)
    s = run.settings
    if s.end != 1 or s.start < 4: raise SystemExit(f"{run.folder} ends at {s.end} steps of {s.start}: the last stage that is meant goes from 2 steps to 1")
    rows = {(r['sampler'], r['steps']): r for r in run.results['rows']}
    torch.manual_seed(s.seed)
    learn = diffusion_learner(run.data, deepened(run.student(2), depth), weight=s.weight, conditional=s.conditional)
    student, = learn.distill(2, 1, times * s.stage_epochs, lr=s.stage_lr, ema=s.ema, lookahead=s.lookahead, seed=s.seed) # which gives the last stages twice the epochs
    epochs = 2 * times * s.stage_epochs
    row = dict(epochs=epochs, depth=depth, parameters=sum(p.numel() for p in student.parameters()), seconds_of_training=learn.records[0]['seconds'],
        **run.judge.measure(sample_batches(student, run.noise, 1, run.labels)))
    first = rows['teacher', s.teacher_steps]['fid']
    for name, r in ((f"{2 * s.stage_epochs} epochs, the run's", rows['student', 1]), (f'{epochs} epochs, {depth} × the blocks', row)): print(f"{name}: FID {r['fid']:.3f}, {r['fid'] / first:.2f} times the teacher's")
    there = json.loads(file.read_text()) if (file := run.folder/'last_stage.json').exists() else []
    rows = sorted([o for o in there if (o['epochs'], o['depth']) != (epochs, depth)] + [row], key=lambda o: (o['depth'], o['epochs']))
    with write_atomic(file) as draft: draft.write_text(json.dumps(rows, indent=1) + '\n')
