"The commands that make the figures: each runs, small, and writes what the notebooks read"
import json, shutil, subprocess, sys
import pytest
from conftest import root
from progressive_distillation.all import *

def bench(name, *args):
    done = subprocess.run([sys.executable, str(root/'benchmarks'/name), *map(str, args)], capture_output=True, text=True, timeout=300)
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
    done, said = bench('last_stage.py', tmp_path/'run', '--times', 1)
    assert done.returncode == 0, said
    same = next(r for r in json.loads((tmp_path/'run'/'results.json').read_text())['rows'] if (r['sampler'], r['steps']) == ('student', 1))
    assert json.loads((tmp_path/'run'/'last_stage.json').read_text())['fid'] == pytest.approx(same['fid'], rel=1e-3)
