"The commands that make the figures: each runs, small, and writes what the notebooks read"
import json, math, os, runpy, shutil, subprocess, sys
import pytest, torch
from conftest import no_gpu, root
from progressive_distillation.all import *

def bench(name, *args):
    done = subprocess.run([sys.executable, str(root/'benchmarks'/name), *map(str, args)], env={**os.environ, **no_gpu}, capture_output=True, text=True, timeout=300)
    return done, done.stdout + done.stderr

def test_ablations_go_on_where_they_were_broken_off(tmp_path):
    args = '--only', 'ladder', '--seeds', '9', '--samples', '32', '--teacher-steps', '4', '--tiny', '--out', tmp_path/'rows.jsonl'
    done, said = bench('ablations.py', *args)
    assert done.returncode == 0, said
    rows = [json.loads(o) for o in (tmp_path/'rows.jsonl').read_text().splitlines()]
    assert [o['settings']['ladder'] for o in rows[1:]] == ['halving', 'quartering', 'one jump'] and 'yardsticks' in rows[0]
    assert [[r['steps'] for r in o['rows']] for o in rows[1:]] == [[4, 16, 8, 4, 2, 1], [4, 8, 2, 1], [4, 1]]
    (tmp_path/'rows.jsonl').write_text('\n'.join(map(json.dumps, rows[:-1])) + '\n')
    assert bench('ablations.py', *args)[0].returncode == 0
    again = [json.loads(o) for o in (tmp_path/'rows.jsonl').read_text().splitlines()]
    assert len(again) == len(rows) and again[-1]['rows'] == rows[-1]['rows']

def test_unknown_groups_and_parts_are_named(tmp_path):
    for name, known in (('ablations.py', 'ladder'), ('performance.py', 'sampling')):
        done, said = bench(name, '--only', 'abacus', '--out', tmp_path/'o')
        assert done.returncode != 0 and 'unknown' in said and known in said and not (tmp_path/'o').exists()

def test_solvers_start_from_the_noise_of_the_run(run, tmp_path):
    pytest.importorskip('diffusers')
    shutil.copytree(run, tmp_path/'run')
    done, said = bench('solvers.py', tmp_path/'run', '--most', 4)
    assert done.returncode == 0, said
    rows = {(o['sampler'], o['evaluations']): o for o in json.loads((tmp_path/'run'/'solvers.json').read_text())['rows']}
    assert {n for who, n in rows if who == 'UniPC'} == {1, 2, 4} and {n for who, n in rows if who == 'Heun'} == {1, 3}
    for n in (1, 2, 4): assert abs(rows['DDIM of diffusers', n]['fid'] / rows["teacher's DDIM", n]['fid'] - 1) < 0.02 # the clocks agree

def test_performance_is_written_down(tmp_path):
    pytest.importorskip('diffusers')
    done, said = bench('performance.py', '--only', 'memory', '--out', tmp_path/'o.json')
    assert done.returncode == 0, said
    figures = json.loads((tmp_path/'o.json').read_text())
    assert 'threads' in figures['where']
    if sys.platform == 'linux': assert [o['steps'] for o in figures['memory']] == [1, 8, 64, 256]

def test_a_last_stage_as_long_as_the_run_s_gives_the_run_s_student(run, tmp_path):
    shutil.copytree(run, tmp_path/'run')
    for depth in 1, 2:
        done, said = bench('last_stage.py', tmp_path/'run', '--times', 1, '--depth', depth)
        assert done.returncode == 0, said
    same = next(r for r in json.loads((tmp_path/'run'/'results.json').read_text())['rows'] if (r['sampler'], r['steps']) == ('student', 1))
    once, deep = json.loads((tmp_path/'run'/'last_stage.json').read_text())
    assert once['fid'] == pytest.approx(same['fid'], rel=1e-3)
    assert deep['depth'] == 2 and deep['parameters'] > 1.5 * once['parameters'] and math.isfinite(deep['fid'])

def test_a_deepened_network_says_what_it_said_before(run):
    deepened, z, t = runpy.run_path(str(root/'benchmarks'/'last_stage.py'))['deepened'], make_noise(4, (1, 8, 8), 0), torch.rand(4)
    shallow = load_denoiser(run/'student-02')
    deep = deepened(shallow, 3)
    assert deep.model.config['depth'] == 3 * shallow.model.config['depth']
    torch.testing.assert_close(deep(z, t), shallow(z, t), rtol=0, atol=1e-6)
