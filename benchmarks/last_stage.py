"Does the last stage lack updates? The student of one step of a run once more, taught for longer, before the run's own judge"
import json
from pathlib import Path
import torch
from fastcore.script import call_parse
from fastai.torch_core import default_device
from progressive_distillation.all import *
from progressive_distillation.cli import _Judging, _load, _open_data, _read_run, _sample_all, _student_folder, _write_json


@call_parse
def main(
    run:str, # folder that pd_distill wrote, with its results.json
    times:int=4, # how many times as many epochs as the run gave its last stage
    threads:int=1, # of the CPU
    device:str=None, # cpu, cuda, … (default: the best there is)
):
    "Prints the FID of the longer stage's student beside that of the run's, and writes RUN/last_stage.json"
    if times < 1: raise SystemExit(f"--times must be at least 1, got {times}")
    torch.set_num_threads(threads)
    run, device = Path(run), torch.device(device or default_device())
    s = _read_run(run)
    if s['end'] != 1 or s['start'] < 4: raise SystemExit(f"{run} ends at {s['end']} steps of {s['start']}: the last stage that is meant goes from 2 steps to 1")
    rows = {(r['sampler'], r['steps']): r for r in json.loads((run/'results.json').read_text())['rows']}
    dls, *_ = _open_data(s['data'], s['size'], s['bs'], device)
    learn = diffusion_learner(dls, _load(_student_folder(run, 2), s, device), weight=s['weight'], conditional=s['conditional'])
    student = learn.distill(2, 1, times * s['stage_epochs'], lr=s['stage_lr'], ema=s['ema'], lookahead=s['lookahead'], seed=s['seed'])[0] # which gives the last stages twice the epochs
    epochs = 2 * times * s['stage_epochs']
    judging = _Judging(run, s, device)
    row = dict(sampler='student', steps=1, epochs=epochs, **judging.figures(_sample_all(student, judging.noise, 1, judging.labels, device)), seconds_of_training=learn.records[0]['seconds'])
    first = rows['teacher', s['teacher_steps']]['fid']
    for name, r in ((f"{2 * s['stage_epochs']} epochs, the run's", rows['student', 1]), (f'{epochs} epochs', row)): print(f"{name}: FID {r['fid']:.3f}, {r['fid'] / first:.2f} times the teacher's")
    _write_json(run/'last_stage.json', row)
