"What several tests share: small images, a small network, the console commands, and one whole run"
import os
os.environ.setdefault('OMP_NUM_THREADS', '1') # the networks here are too small to gain from threads

import signal, subprocess, sys, sysconfig
from pathlib import Path
import pytest
from fastai.torch_core import set_seed
from progressive_distillation.all import PatchNet, diffusion_learner, digits_dls, tensor_dls

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN: signal.signal(signal.SIGINT, signal.default_int_handler) # a shell's background jobs ignore it, and so would ours

short = '--epochs 1 --stage-epochs 1 --start 8 --teacher-steps 8 --samples 100'.split() # seconds, not minutes


def command(name, *args, **kwargs):
    "The arguments of `subprocess` for a console command"
    return dict(args=[str(Path(sysconfig.get_path('scripts'))/name), *map(str, args)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)

def shell(name, *args, cwd=None):
    "A finished console command: `returncode`, `stdout`, `stderr`"
    return subprocess.run(**command(name, *args, cwd=cwd), timeout=300)

def contents(folder):
    "Every file below `folder` and its bytes"
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(Path(folder).rglob('*')) if f.is_file()}

def small_net(**kwargs): return PatchNet(**{**dict(size=8, width=8, hidden=16, depth=1), **kwargs})

def small_learner(model=None, seed=0, path=None, **kwargs):
    "A learner on 256 digits, in 4 batches"
    set_seed(seed)
    x, y = digits_dls(valid_pct=0.).train.tensors
    dls = tensor_dls(x[:272], y[:272], bs=64, valid_idx=range(16), vocab=list('0123456789'))
    return diffusion_learner(dls, small_net() if model is None else model, path=path, **kwargs)

def weights(model): return {k: o.clone() for k, o in model.state_dict().items()}
def same(a, b): return a.keys() == b.keys() and all((a[k] == b[k]).all() for k in a)

@pytest.fixture(scope='session')
def run(tmp_path_factory):
    "The folder of a short main job that was not interrupted, as the shell runs it; its output is in `stdout`"
    folder = tmp_path_factory.mktemp('jobs')
    done = shell('pd_distill', *short, '--out', 'run', cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder/'stdout').write_text(done.stdout)
    return folder/'run'
