"The commands that make the figures: each runs, small, and writes what the notebooks read."
import json
import math
import os
import runpy
import shutil
import subprocess
import sys
import pytest
import torch
from conftest import no_gpu, root
from progressive_distillation.all import *

def bench(name, *args):
    "A benchmark that ended, and all it printed."
    command = [sys.executable, str(root/'benchmarks'/name), *map(str, args)]
    done = subprocess.run(command, env={**os.environ, **no_gpu}, capture_output=True, text=True, timeout=300)
    return done, done.stdout + done.stderr

def lines(file): return [json.loads(o) for o in file.read_text().splitlines()]

def test_ablations_go_on_where_they_were_broken_off(tmp_path):
    sizes = '--seeds 9 --samples 32 --teacher-steps 4 --tiny'.split()
    args, file = ['--only', 'ladder', *sizes, '--out', tmp_path/'rows.jsonl'], tmp_path/'rows.jsonl'
    done, output = bench('ablations.py', *args)
    assert done.returncode == 0, output
    rows = lines(file)
    assert 'yardsticks' in rows[0]
    assert [o['settings']['ladder'] for o in rows[1:]] == ['halving', 'quartering', 'one jump']
    assert [[r['steps'] for r in o['rows']] for o in rows[1:]] == [[4, 16, 8, 4, 2, 1], [4, 8, 2, 1], [4, 1]]
    file.write_text('\n'.join(map(json.dumps, rows[:-1])) + '\n')
    assert bench('ablations.py', *args)[0].returncode == 0
    again = lines(file)
    assert len(again) == len(rows) and again[-1]['rows'] == rows[-1]['rows']

def test_unknown_groups_and_parts_are_named(tmp_path):
    for name, known in (('ablations.py', 'ladder'), ('performance.py', 'sampling')):
        done, output = bench(name, '--only', 'abacus', '--out', tmp_path/'o')
        assert done.returncode != 0 and 'unknown' in output and known in output and not (tmp_path/'o').exists()

def test_solvers_start_from_the_noise_of_the_run(run, tmp_path):
    pytest.importorskip('diffusers')
    shutil.copytree(run, tmp_path/'run')
    done, output = bench('solvers.py', tmp_path/'run', '--most', 4)
    assert done.returncode == 0, output
    rows = json.loads((tmp_path/'run'/'solvers.json').read_text())['rows']
    fids = {(o['sampler'], o['evaluations']): o['fid'] for o in rows}
    def evaluations(solver): return {n for name, n in fids if name == solver}
    assert evaluations('UniPC') == {1, 2, 4} and evaluations('Heun') == {1, 3}
    for n in 1, 2, 4: # the clocks agree
        assert abs(fids['DDIM of diffusers', n] / fids["teacher's DDIM", n] - 1) < 0.02

def test_performance_is_written_down(tmp_path):
    pytest.importorskip('diffusers')
    done, output = bench('performance.py', '--only', 'memory', '--out', tmp_path/'o.json')
    assert done.returncode == 0, output
    figures = json.loads((tmp_path/'o.json').read_text())
    assert 'threads' in figures['where']['memory']
    if sys.platform == 'linux': assert [o['steps'] for o in figures['memory']] == [1, 8, 64, 256]

def test_by_hand_is_the_same_algorithm():
    "x̃ of the library and of the loops that it is timed beside."
    module = runpy.run_path(str(root/'benchmarks'/'by_hand.py'))
    torch.manual_seed(0)
    net, z, t = PatchNet().eval(), torch.randn(8, 1, 8, 8), torch.arange(2, 10) / 16
    for p in net.parameters(): p.data.normal_(0, 0.05)
    x_tilde = distillation_target(Denoiser(net), z, t, 8)
    for name in 'two_teacher_steps', 'appendix_g':
        torch.testing.assert_close(module[name](net, z, t, 8).detach(), x_tilde, rtol=1e-3, atol=1e-3)

def test_a_last_stage_as_long_as_the_run_s_gives_the_run_s_student(run, tmp_path):
    shutil.copytree(run, tmp_path/'run')
    for depth in 1, 2:
        done, output = bench('last_stage.py', tmp_path/'run', '--times', 1, '--depth', depth)
        assert done.returncode == 0, output
    rows = json.loads((tmp_path/'run'/'results.json').read_text())['rows']
    same = next(r for r in rows if (r['sampler'], r['steps']) == ('student', 1))
    once, deep = json.loads((tmp_path/'run'/'last_stage.json').read_text())
    assert once['fid'] == pytest.approx(same['fid'], rel=1e-3)
    assert deep['depth'] == 2 and deep['parameters'] > 1.5 * once['parameters'] and math.isfinite(deep['fid'])

def test_a_deepened_network_predicts_what_it_predicted_before(run):
    deepened = runpy.run_path(str(root/'benchmarks'/'last_stage.py'))['deepened']
    z, t, shallow = make_noise(4, (1, 8, 8), 0), torch.rand(4), load_denoiser(run/'student-02')
    deep = deepened(shallow, 3)
    assert deep.model.config['depth'] == 3 * shallow.model.config['depth']
    torch.testing.assert_close(deep(z, t), shallow(z, t), rtol=0, atol=1e-6)
