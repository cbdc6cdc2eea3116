"Why is one step the worst? The last stage of a run once more, with more updates or a deeper network, before the run's own judge"
import copy, json
from pathlib import Path
import torch
from fastcore.script import call_parse
from fastai.torch_core import default_device
from progressive_distillation.all import *
from progressive_distillation.cli import _Judging, _load, _open_data, _read_run, _sample_all, _student_folder, _write_json


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
    run, device = Path(run), torch.device(device or default_device())
    s = _read_run(run)
    if s['end'] != 1 or s['start'] < 4: raise SystemExit(f"{run} ends at {s['end']} steps of {s['start']}: the last stage that is meant goes from 2 steps to 1")
    rows = {(r['sampler'], r['steps']): r for r in json.loads((run/'results.json').read_text())['rows']}
    torch.manual_seed(s['seed'])
    dls, *_ = _open_data(s['data'], s['size'], s['bs'], device)
    learn = diffusion_learner(dls, deepened(_load(_student_folder(run, 2), s, device), depth), weight=s['weight'], conditional=s['conditional'])
    student = learn.distill(2, 1, times * s['stage_epochs'], lr=s['stage_lr'], ema=s['ema'], lookahead=s['lookahead'], seed=s['seed'])[0] # which gives the last stages twice the epochs
    epochs = 2 * times * s['stage_epochs']
    judging = _Judging(run, s, device)
    row = dict(epochs=epochs, depth=depth, parameters=sum(p.numel() for p in student.parameters()), seconds_of_training=learn.records[0]['seconds'],
        **judging.figures(_sample_all(student, judging.noise, 1, judging.labels, device)))
    first = rows['teacher', s['teacher_steps']]['fid']
    for name, r in ((f"{2 * s['stage_epochs']} epochs, the run's", rows['student', 1]), (f'{epochs} epochs, {depth} × the blocks', row)): print(f"{name}: FID {r['fid']:.3f}, {r['fid'] / first:.2f} times the teacher's")
    there = json.loads(file.read_text()) if (file := run/'last_stage.json').exists() else []
    _write_json(file, sorted([o for o in there if (o['epochs'], o['depth']) != (epochs, depth)] + [row], key=lambda o: (o['depth'], o['epochs'])))
