"The wheel: what is in it, what it needs, what it exports, and how fast it imports"
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path
import pytest
from fastai.learner import Learner
import progressive_distillation.all as everything

root = Path(__file__).parent.parent
commands = 'pd_distill', 'pd_sample', 'pd_eval'
names = '''
NoiseSchedule CosineNoiseSchedule BetaSchedule continuous_weights
XPred EpsPred VPred XEpsPred x_from_eps x_from_v eps_from_x v_from_x_eps
Denoiser ddim_step ddim_sample distillation_target appendix_g_target
digits_dls fashion_mnist_dls image_dls UNet
DiffusionCallback DistillationCallback diffusion_learner
fid kid pairing_error save_denoiser load_denoiser
Judge Settings Run measure_run results_table markdown_table
'''.split() # of version 0.1: other people's code depends on them
methods = 'distill', 'sample', 'show_samples', 'fit_one_cycle', 'lr_find'

def python(code, folder, **env):
    "The output of a new Python that runs `code` in `folder`"
    options = dict(cwd=folder, env={**os.environ, **env}, text=True, capture_output=True, timeout=300)
    done = subprocess.run([sys.executable, '-c', code], **options)
    assert done.returncode == 0, done.stderr
    return done.stdout

def pip(*args): subprocess.run([sys.executable, '-m', 'pip', *args], check=True)

blocked = '''
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in BLOCKED: raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
'''
notebooks = {
    'nbdev', 'execnb', 'IPython', 'ipykernel', 'ipywidgets', 'notebook', 'nbformat', 'nbclient', 'nbconvert',
    'jupyter', 'jupyter_core', 'jupyter_client', 'jupyterlab'}
left_out = '.git', '.venv', 'runs', 'build', 'dist', '*.egg-info', '_docs', '_proc', '__pycache__'

@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    "Built from a copy, so that nothing is left in the tree, and without a network"
    folder = tmp_path_factory.mktemp('wheel')
    source = folder/'source'
    shutil.copytree(root, source, ignore=shutil.ignore_patterns(*left_out), symlinks=True)
    pip('wheel', '--quiet', '--no-deps', '--no-build-isolation', '--wheel-dir', folder, source)
    return next(folder.glob('*.whl'))

def test_wheel_holds_the_package_only(wheel):
    inside = zipfile.ZipFile(wheel).namelist()
    package = {f'progressive_distillation/{f.name}' for f in (root/'progressive_distillation').glob('*.py')}
    assert package <= set(inside) and wheel.stat().st_size < 300_000
    assert all(o.startswith('progressive_distillation-') and '.dist-info/' in o for o in set(inside) - package)

def test_installed_wheel_runs_the_main_job_without_notebooks(wheel, tmp_path):
    installed, out = tmp_path/'site', tmp_path/'out'
    pip('install', '--quiet', '--no-deps', '--target', installed, wheel)
    printed = python(f'BLOCKED = {notebooks}' + blocked + '''
import progressive_distillation.cli as cli
print(cli.__file__)
cli.pd_distill(epochs=1, stage_epochs=1, start=2, teacher_steps=2, samples=50, out='out')
print(sorted({o.split('.')[0] for o in sys.modules} & BLOCKED))
''', tmp_path, PYTHONPATH=str(installed)).splitlines()
    assert printed[0] == str(installed/'progressive_distillation'/'cli.py') and printed[-1] == '[]'
    assert (out/'student-01'/'model.safetensors').exists() and (out/'report.md').exists()

@pytest.mark.parametrize('name', ['torchvision', 'resource'])
def test_imports_without(name, tmp_path):
    "torchvision may be missing, as resource is on Windows"
    assert python(f"BLOCKED = {{{name!r}}}" + blocked + '''
from progressive_distillation.all import *
print(digits_dls().one_batch()[0].shape)''', tmp_path) == 'torch.Size([128, 1, 8, 8])\n'

def test_imports_quickly(tmp_path):
    "At most one second on top of fastai's learner, at best of three"
    code = '''
import time, fastai.learner
began = time.perf_counter()
import progressive_distillation.all
print(time.perf_counter() - began)'''
    seconds = [float(python(code, tmp_path)) for _ in range(3)]
    assert min(seconds) <= 1, seconds

def test_names():
    assert [o for o in (*names, *commands) if not hasattr(everything, o)] == []
    assert [o for o in methods if not hasattr(Learner, o)] == []

def test_star_import_leaks_nothing():
    scope = {}
    exec('from progressive_distillation.all import *', scope)
    assert not {'torch', 'nn', 'np', 'math', 'Path', 'Tensor', 'json'} & set(scope)

def test_entry_points():
    package = 'progressive_distillation'
    scripts = {o.name: o.value for o in entry_points(group='console_scripts') if o.value.startswith(package)}
    assert scripts == {o: f'{package}.cli:{o}' for o in commands}
    assert [o.value for o in entry_points(group='nbdev', name=package)] == [f'{package}._modidx:d']
