"The console commands as real processes: what they leave, and what is left when they are killed"
import hashlib
import inspect
import itertools
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import pytest
from PIL import Image
from progressive_distillation.all import *
from conftest import command, contents, same, shell, short, weights

students = {4: 'student-04', 2: 'student-02', 1: 'student-01'}
networks = 'teacher', *students.values()
weights_file = 'model.safetensors'
reports = {'run.json', 'judge.safetensors', 'results.json', 'report.md',
           'samples.png', 'nearest.png', 'fid_by_steps.png'}

def results_of(run): return json.loads((run/'results.json').read_text())
def timeless(row): return {k: v for k, v in row.items() if k != 'seconds'}

def test_a_run_leaves_what_is_documented(run):
    assert set(contents(run)) == reports | {f'{o}/{f}' for o in networks for f in (weights_file, 'config.json')}
    assert {p.name for p in run.iterdir()} == reports | {*networks} # no empty folder
    assert load_denoiser(run/'teacher').steps is None
    for steps, name in students.items():
        student = load_denoiser(run/name)
        images = ddim_sample(student, make_noise(5, (1, 8, 8), 0))
        assert student.steps == steps and images.shape == (5, 1, 8, 8) and images.isfinite().all()
    assert Image.open(run/'samples.png').size > (300, 200)
    assert 500 < Image.open(run/'fid_by_steps.png').width <= 600 # which a phone shows whole

def test_report_and_table_tell_the_results(run):
    results, report = results_of(run), (run/'report.md').read_text()
    rows, samplers = results['rows'], dict(teacher=[8, 4, 2, 1], student=[4, 2, 1])
    assert [(o['sampler'], o['steps']) for o in rows] == [(k, n) for k, steps in samplers.items() for n in steps]
    assert results['judge']['accuracy'] >= 0.97
    assert all(o['fid'] > 0 and 0 <= o['sure'] <= 1 for o in rows)
    assert rows[0]['distance'] == 0 < min(o['distance'] for o in rows[1:]) # from the reference itself
    before = contents(run)
    printed = shell('pd_eval', run)
    assert printed.returncode == 0 and contents(run) == before
    table = printed.stdout.strip()
    assert table in report and table in (run.parent/'stdout').read_text()
    for o in rows: assert f"{o['fid']:.3f}" in table and f"{o['sure']:.1%}" in table

def test_sample_writes_the_same_grid_again(run, tmp_path):
    def sample(seed, name):
        args = '--steps', 4, '-n', 9, '--seed', seed, '--out', tmp_path/name
        return subprocess.Popen(**command('pd_sample', run, *args))
    seeds = {'a.png': 0, 'b.png': 0, 'c.png': 1}
    for o in [sample(seed, name) for name, seed in seeds.items()]: # side by side
        assert 'student in 4 steps' in o.communicate()[0] and o.returncode == 0
    a, b, c = (Image.open(tmp_path/name) for name in seeds)
    assert a.size == (4 * 26, 4 * 26) and a.mode == 'L' # 3 x 3 images of 8 pixels, 1 between them, 4 times as large
    assert a.tobytes() == b.tobytes() != c.tobytes()

commands = {pd_distill: 'data teacher stages judging machine', pd_sample: 'images machine', pd_eval: 'judging machine'}

@pytest.mark.parametrize('columns', [60, 120])
@pytest.mark.parametrize('f', commands, ids=lambda f: f.__name__)
def test_help(f, columns):
    "Every option in its group, with what it is and its default, no line too long, two examples, no errors"
    done = shell(f.__name__, '--help', env=dict(COLUMNS=str(columns)))
    page, parts = done.stdout, re.split(r'\n(?=\w+:\n)', done.stdout)
    assert done.returncode == 0 and max(map(len, page.splitlines())) <= columns and 'aise' not in page
    assert [o.split(':')[0] for o in parts if '\n  -' in o][1:] == commands[f].split()
    assert parts[-1].startswith('examples:') and parts[-1].count(f'\n  {f.__name__} ') == 2
    words = ' '.join(page.split())
    entries = dict(re.findall(r'\n  (?:-n N, |)--([\w-]+)(.*?)(?=\n  -|\n\n)', page, re.S))
    for name, o in inspect.signature(f).parameters.items():
        if o.default is not o.empty: assert len(entries[name.replace('_', '-').lower()].split()) >= 3
        if o.annotation is not bool and o.default not in (None, o.empty): assert f'(default: {o.default})' in words

light = """
import sys
from progressive_distillation.cli import {0}
sys.argv = ['{0}', '--{1}']
try: {0}()
except SystemExit: print({{'torch', 'fastai', 'matplotlib'}} & set(sys.modules))
"""
def test_help_and_version_import_no_torch():
    starts = dict(help='usage: ', version='progressive_distillation 0.')
    for name, option in *((f.__name__, 'help') for f in commands), ('pd_distill', 'version'):
        code = light.format(name, option)
        printed = subprocess.run([sys.executable, '-c', code], text=True, capture_output=True).stdout
        assert printed.startswith(starts[option]) and printed.endswith('set()\n')

def colour_images(folder, n):
    kinds = itertools.cycle(['png', 'jpg', 'webp', 'bmp'])
    for name, colour in dict(red=(200, 40, 30), blue=(20, 60, 210)).items():
        (folder/name).mkdir(parents=True)
        for i, kind in zip(range(n), kinds):
            image = Image.new('RGB', (30 + i, 24), colour).rotate(3 * i, fillcolor=(i, 5*i, 90))
            image.save(folder/name/f'{i}.{kind}')
    return folder

def test_own_colour_images_with_classes(tmp_path):
    args, out = '--size 16 --conditional --epochs 2 --stage-epochs 1 --start 2 --teacher-steps 2', tmp_path/'out'
    done = shell('pd_distill', '--data', colour_images(tmp_path/'images', 16), *args.split(), '--out', out)
    assert done.returncode == 0 and '32 images of shape (3, 16, 16)' in done.stdout, done.stderr
    student = load_denoiser(out/'student-01')
    assert student.model.config['classes'] == 2 and results_of(out)['judge']['task'] == 'labels'
    done = shell('pd_sample', out, '-n', 4)
    assert done.returncode == 0 and 'student in 1 step' in done.stdout, done.stderr
    picture = Image.open(out/'grid-1.png')
    assert picture.mode == 'RGB' and picture.size == (66, 66)

def test_own_grey_images_without_classes(tmp_path):
    (tmp_path/'images').mkdir()
    for i in range(12): Image.effect_noise((9, 9), 10 * i + 5).save(tmp_path/'images'/f'{i}.png')
    args = '--size 8 --epochs 1 --stage-epochs 1 --start 2 --teacher-steps 2 --pred x_eps --weight snr+1 --ema 0.9'
    done = shell('pd_distill', '--data', 'images', *args.split(), cwd=tmp_path)
    assert done.returncode == 0 and '12 images of shape (1, 8, 8)' in done.stdout, done.stderr
    out = tmp_path/'runs'/'images'
    assert results_of(out)['judge']['task'] == 'rotations'
    assert load_denoiser(out/'student-01').pred.name == 'x_eps'

def whole(folder):
    "Nothing that can be seen in the folder of a denoiser is half-written"
    config = json.loads((folder/'config.json').read_text())
    return hashlib.sha256((folder/weights_file).read_bytes()).hexdigest() == config['sha256']

def interrupt(process, out, at, how):
    "Ends the process as soon as the folder `at` is there, and looks at all folders on the way"
    while not (out/at).exists():
        assert process.poll() is None, process.communicate()
        seen = out.iterdir() if out.exists() else ()
        assert all(whole(o) for o in seen if o.is_dir() and o.name[0] != '.')
        time.sleep(0.01)
    assert whole(out/at)
    process.send_signal(how)
    return process.communicate()[1]

def test_killed_and_resumed_is_as_if_never_killed(run, tmp_path):
    out, args = tmp_path/'run', [*short, '--out', tmp_path/'run']
    process = subprocess.Popen(**command('pd_distill', *args))
    stderr = interrupt(process, out, 'teacher', signal.SIGINT)
    assert f'--out {out} --resume' in stderr and 'Traceback' not in stderr and not (out/'results.json').exists()
    refused = shell('pd_distill', *args)
    assert refused.returncode != 0 and 'exists already' in refused.stderr
    process = subprocess.Popen(**command('pd_distill', '--out', out, '--resume'))
    interrupt(process, out, 'student-04', signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and not (out/'student-01').exists()
    done = shell('pd_distill', *args, '--resume', '--lr', 0.002) # what the run has may be said again
    assert done.returncode == 0, done.stderr
    for name in networks: assert contents(out/name) == contents(run/name)
    whole_rows, rows = (list(map(timeless, results_of(o)['rows'])) for o in (run, out))
    assert rows == whole_rows
    assert (out/'samples.png').read_bytes() == (run/'samples.png').read_bytes()

def test_a_damaged_judge_is_named(run, tmp_path):
    damaged = shutil.copytree(run, tmp_path/'run')
    (damaged/'judge.safetensors').write_bytes(b'not weights')
    done = shell('pd_eval', damaged, '--again')
    assert done.returncode == 1 and 'judge.safetensors is damaged' in done.stderr and 'Traceback' not in done.stderr
    (damaged/'judge.safetensors').unlink()
    assert shell('pd_eval', damaged, '--again').returncode == 0
    before, after = results_of(run), results_of(damaged)
    assert after['judge']['accuracy'] == before['judge']['accuracy']
    assert [o['fid'] for o in after['rows']] == [o['fid'] for o in before['rows']]

def test_a_run_from_python(run, tmp_path):
    "The same networks and figures as by the command; and each part on its own"
    settings = Settings(epochs=1, stage_epochs=1, start=8, teacher_steps=8, samples=100)
    here = Run.create(tmp_path/'run', settings, 'cpu')
    assert (here.shape, here.finished, here.settings.epochs) == ((1, 8, 8), [], 1)
    with pytest.raises(FileNotFoundError, match='no teacher yet'): here.sample()
    here.train_teacher()
    here.distill()
    there = Run(run, 'cpu')
    assert here.finished == [4, 2, 1]
    assert all(same(weights(here.students[n]), weights(there.student(n))) for n in (4, 2, 1))
    rows = there.results['rows']
    assert timeless(here.measure()['rows'][-1]) == timeless(rows[-1])
    assert here.sample(3, seed=1).equal(there.sample(3, 1, 1))
    assert not here.sample(3).equal(here.sample(3, 1, teacher=True))
    assert [(who, steps) for who, steps, _ in here.samplers()] == [(o['sampler'], o['steps']) for o in rows]

def test_an_old_run_loads_and_is_finished(run, tmp_path):
    "Its run.json lacks bf16"
    folder = shutil.copytree(run, tmp_path/'run')
    kept = json.loads((run/'run.json').read_text())
    del kept['bf16']
    (folder/'run.json').write_text(json.dumps(kept))
    shutil.rmtree(folder/'student-01')
    old = Run(folder, 'cpu')
    assert old.settings == Run(run, 'cpu').settings and old.finished == [4, 2]
    old.finish()
    assert contents(folder/'student-01') == contents(run/'student-01')
