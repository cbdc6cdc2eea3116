"The console commands as real processes: what they leave, and what is left when they are killed"
import hashlib, inspect, json, re, shutil, signal, subprocess, sys, time
import pytest
from PIL import Image
from progressive_distillation.all import *
from conftest import command, contents, same, shell, short, weights

students = {4: 'student-04', 2: 'student-02', 1: 'student-01'}
weights_file = 'model.safetensors'

def test_a_run_leaves_what_is_documented(run):
    made = {f'{o}/{f}' for o in ('teacher', *students.values()) for f in (weights_file, 'config.json')}
    assert set(contents(run)) == made | {'run.json', 'judge.safetensors', 'results.json', 'report.md', 'samples.png', 'nearest.png', 'fid_by_steps.png'}
    assert {p.name for p in run.iterdir()} == {'teacher', *students.values(), 'run.json', 'judge.safetensors', 'results.json', 'report.md', 'samples.png', 'nearest.png', 'fid_by_steps.png'}
    assert load_denoiser(run/'teacher').steps is None
    for steps, name in students.items():
        student = load_denoiser(run/name)
        images = ddim_sample(student, make_noise(5, (1, 8, 8), 0))
        assert student.steps == steps and images.shape == (5, 1, 8, 8) and images.isfinite().all()
    assert Image.open(run/'samples.png').size > (300, 200) and 500 < Image.open(run/'fid_by_steps.png').width <= 600 # which a phone shows whole

def test_report_and_table_tell_the_results(run):
    results, report = json.loads((run/'results.json').read_text()), (run/'report.md').read_text()
    rows = [(o['sampler'], o['steps']) for o in results['rows']]
    assert rows == [('teacher', 8), ('teacher', 4), ('teacher', 2), ('teacher', 1), ('student', 4), ('student', 2), ('student', 1)]
    assert results['judge']['accuracy'] >= 0.97 and all(o['fid'] > 0 and 0 <= o['sure'] <= 1 for o in results['rows'])
    assert results['rows'][0]['distance'] == 0 < min(o['distance'] for o in results['rows'][1:]) # from the reference itself
    before = contents(run)
    printed = shell('pd_eval', run)
    assert printed.returncode == 0 and contents(run) == before
    table = printed.stdout.strip()
    assert table in report and table in (run.parent/'stdout').read_text()
    for o in results['rows']: assert f"{o['fid']:.3f}" in table and f"{o['sure']:.1%}" in table

def test_sample_writes_the_same_grid_again(run, tmp_path):
    grids = [subprocess.Popen(**command('pd_sample', run, '--steps', 4, '-n', 9, '--seed', seed, '--out', tmp_path/f'{i}.png')) for i, seed in enumerate((0, 0, 1))]
    for o in grids: assert 'student in 4 steps' in o.communicate()[0] and o.returncode == 0
    a, b, c = (Image.open(tmp_path/f'{i}.png') for i in range(3))
    assert a.size == (4 * 26, 4 * 26) and a.mode == 'L' # 3 x 3 images of 8 pixels, 1 between them, 4 times as large
    assert a.tobytes() == b.tobytes() != c.tobytes()

commands = {pd_distill: 'data teacher stages judging machine', pd_sample: 'images machine', pd_eval: 'judging machine'}

@pytest.mark.parametrize('columns', [60, 120])
@pytest.mark.parametrize('f', commands, ids=lambda f: f.__name__)
def test_help(f, columns):
    "Every option in its group, with what it is and its default, no line too long, two examples, and no errors"
    done = shell(f.__name__, '--help', env=dict(COLUMNS=str(columns)))
    page, parts = done.stdout, re.split(r'\n(?=\w+:\n)', done.stdout)
    assert done.returncode == 0 and max(map(len, page.splitlines())) <= columns and 'aise' not in page
    assert [o.split(':')[0] for o in parts if '\n  -' in o][1:] == commands[f].split()
    assert parts[-1].startswith('examples:') and parts[-1].count(f'\n  {f.__name__} ') == 2
    words, entries = ' '.join(page.split()), dict(re.findall(r'\n  (?:-n N, |)--([\w-]+)(.*?)(?=\n  -|\n\n)', page, re.S))
    for name, o in inspect.signature(f).parameters.items():
        if o.default is not o.empty: assert len(entries[name.replace('_', '-').lower()].split()) >= 3
        if o.annotation is not bool and o.default not in (None, o.empty): assert f'(default: {o.default})' in words

def test_help_and_version_import_no_torch():
    code = "import sys\nfrom progressive_distillation.cli import pd_{0}\nsys.argv = ['pd_{0}', '--{1}']\ntry: pd_{0}()\nexcept SystemExit: print({{'torch', 'fastai', 'matplotlib'}} & set(sys.modules))"
    for name, option in ('distill', 'help'), ('sample', 'help'), ('eval', 'help'), ('distill', 'version'):
        said = subprocess.run([sys.executable, '-c', code.format(name, option)], text=True, capture_output=True).stdout
        assert said.endswith('set()\n') and (option == 'help' or said.startswith('progressive_distillation 0.'))

def colour_images(folder, n):
    for name, colour in dict(red=(200, 40, 30), blue=(20, 60, 210)).items():
        (folder/name).mkdir(parents=True)
        for i in range(n): Image.new('RGB', (30 + i, 24), colour).rotate(3 * i, fillcolor=(i, 5*i, 90)).save(folder/name/f'{i}.{("png", "jpg", "webp", "bmp")[i % 4]}')
    return folder

def test_own_colour_images_with_classes(tmp_path):
    args = '--size 16 --conditional --epochs 2 --stage-epochs 1 --start 2 --teacher-steps 2'.split()
    done = shell('pd_distill', '--data', colour_images(tmp_path/'images', 16), *args, '--out', tmp_path/'out')
    assert done.returncode == 0 and '32 images of shape (3, 16, 16)' in done.stdout, done.stderr
    student = load_denoiser(tmp_path/'out'/'student-01')
    assert student.model.config['classes'] == 2 and json.loads((tmp_path/'out'/'results.json').read_text())['judge']['task'] == 'labels'
    done = shell('pd_sample', tmp_path/'out', '-n', 4)
    assert done.returncode == 0 and 'student in 1 step' in done.stdout, done.stderr
    picture = Image.open(tmp_path/'out'/'grid-1.png')
    assert picture.mode == 'RGB' and picture.size == (66, 66)

def test_own_grey_images_without_classes(tmp_path):
    (tmp_path/'images').mkdir()
    for i in range(12): Image.effect_noise((9, 9), 10 * i + 5).save(tmp_path/'images'/f'{i}.png')
    done = shell('pd_distill', '--data', 'images', *'--size 8 --epochs 1 --stage-epochs 1 --start 2 --teacher-steps 2 --pred x_eps --weight snr+1 --ema 0.9'.split(), cwd=tmp_path)
    assert done.returncode == 0 and '12 images of shape (1, 8, 8)' in done.stdout, done.stderr
    assert json.loads((tmp_path/'runs'/'images'/'results.json').read_text())['judge']['task'] == 'rotations'
    assert load_denoiser(tmp_path/'runs'/'images'/'student-01').pred.name == 'x_eps'

def whole(folder):
    "Nothing that can be seen in the folder of a denoiser is half-written"
    config = json.loads((folder/'config.json').read_text())
    return hashlib.sha256((folder/weights_file).read_bytes()).hexdigest() == config['sha256']

def interrupt(process, out, at, how):
    "Ends the process as soon as the folder `at` is there, and looks at all folders on the way"
    while not (out/at).exists():
        assert process.poll() is None, process.communicate()
        if out.exists(): assert all(whole(o) for o in out.iterdir() if o.is_dir() and o.name[0] != '.')
        time.sleep(0.01)
    assert whole(out/at)
    process.send_signal(how)
    return process.communicate()[1]

def test_killed_and_resumed_is_as_if_never_killed(run, tmp_path):
    out, args = tmp_path/'run', [*short, '--out', tmp_path/'run']
    stderr = interrupt(subprocess.Popen(**command('pd_distill', *args)), out, 'teacher', signal.SIGINT)
    assert f'--out {out} --resume' in stderr and 'Traceback' not in stderr and not (out/'results.json').exists()
    refused = shell('pd_distill', *args)
    assert refused.returncode != 0 and 'exists already' in refused.stderr
    process = subprocess.Popen(**command('pd_distill', '--out', out, '--resume'))
    interrupt(process, out, 'student-04', signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and not (out/'student-01').exists()
    done = shell('pd_distill', *args, '--resume', '--lr', 0.002) # what the run has may be said again
    assert done.returncode == 0, done.stderr
    for name in ('teacher', *students.values()): assert contents(out/name) == contents(run/name)
    results = [json.loads((o/'results.json').read_text())['rows'] for o in (run, out)]
    assert [{**a, 'seconds': 0} for a in results[0]] == [{**b, 'seconds': 0} for b in results[1]]
    assert (out/'samples.png').read_bytes() == (run/'samples.png').read_bytes()

def test_a_damaged_judge_is_named(run, tmp_path):
    shutil.copytree(run, tmp_path/'run')
    (tmp_path/'run'/'judge.safetensors').write_bytes(b'not weights')
    done = shell('pd_eval', tmp_path/'run', '--again')
    assert done.returncode == 1 and 'judge.safetensors is damaged' in done.stderr and 'Traceback' not in done.stderr
    (tmp_path/'run'/'judge.safetensors').unlink()
    assert shell('pd_eval', tmp_path/'run', '--again').returncode == 0
    judged = [json.loads((o/'results.json').read_text()) for o in (run, tmp_path/'run')]
    assert judged[0]['judge']['accuracy'] == judged[1]['judge']['accuracy'] and [r['fid'] for r in judged[0]['rows']] == [r['fid'] for r in judged[1]['rows']]

def test_a_run_from_python(run, tmp_path):
    "The same networks and figures as by the command; and each part on its own"
    here = Run.create(tmp_path/'run', Settings(epochs=1, stage_epochs=1, start=8, teacher_steps=8, samples=100), 'cpu')
    assert (here.shape, here.finished, here.settings.epochs) == ((1, 8, 8), [], 1)
    with pytest.raises(FileNotFoundError, match='no teacher yet'): here.sample()
    here.train_teacher()
    here.distill()
    there = Run(run, 'cpu')
    assert here.finished == [4, 2, 1] and all(same(weights(here.students[n]), weights(there.student(n))) for n in (4, 2, 1))
    assert {k: v for k, v in here.measure()['rows'][-1].items() if k != 'seconds'} == {k: v for k, v in there.results['rows'][-1].items() if k != 'seconds'}
    assert here.sample(3, seed=1).equal(there.sample(3, 1, 1)) and not here.sample(3).equal(here.sample(3, 1, teacher=True))
    assert [(who, steps) for who, steps, _ in here.samplers()] == [(o['sampler'], o['steps']) for o in there.results['rows']]

def test_an_old_run_loads_and_is_finished(run, tmp_path):
    "Its run.json lacks bf16"
    shutil.copytree(run, tmp_path/'run')
    kept = json.loads((run/'run.json').read_text())
    del kept['bf16']
    (tmp_path/'run'/'run.json').write_text(json.dumps(kept))
    shutil.rmtree(tmp_path/'run'/'student-01')
    old = Run(tmp_path/'run', 'cpu')
    assert old.settings == Run(run, 'cpu').settings and old.finished == [4, 2]
    old.finish()
    assert contents(tmp_path/'run'/'student-01') == contents(run/'student-01')
