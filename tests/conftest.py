"What several tests share: small images, a small network, the console commands, and one whole run"
import os
os.environ.setdefault('OMP_NUM_THREADS', '1') # the networks here are too small to gain from threads

import functools
import http.server
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
import pytest, torch
from fastai.torch_core import set_seed
from progressive_distillation.all import PatchNet, diffusion_learner, digits_dls, tensor_dls

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN: # as in a shell's background job; our commands would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

devices = ['cpu'] + ['cuda'] * torch.cuda.is_available()
no_gpu = dict(CUDA_VISIBLE_DEVICES='')
short = '--epochs 1 --stage-epochs 1 --start 8 --teacher-steps 8 --samples 100'.split() # seconds, not minutes


def command(name, *args, env={}, **kwargs):
    """The arguments of `subprocess` for a console command.

    It sees no GPU: only without one does a seed give the same bytes."""
    args = [str(Path(sysconfig.get_path('scripts'))/name), *map(str, args)]
    env = {**os.environ, **no_gpu, **env}
    return dict(args=args, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)

def shell(name, *args, **kwargs):
    "A finished console command: `returncode`, `stdout`, `stderr`"
    return subprocess.run(**command(name, *args, **kwargs), timeout=300)

def contents(folder):
    "Every file below `folder` and its bytes"
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(Path(folder).rglob('*')) if f.is_file()}

def small_net(size=8, width=8, hidden=16, depth=1, **kwargs):
    return PatchNet(size=size, width=width, hidden=hidden, depth=depth, **kwargs)

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

root = Path(__file__).parent.parent
programs = map(shutil.which, ['chromium', 'chromium-browser', 'google-chrome'])
chromium = os.environ.get('CHROMIUM') or next(filter(None, programs), None)

no_chromium = None
if not chromium: no_chromium = "no Chromium: install Debian's (apt-get install chromium), or set CHROMIUM to its path"
no_site = no_chromium
if sys.version_info < (3, 11) and 'SITE' not in os.environ:
    no_site = f"no site: smalldocs, which renders it, needs Python 3.11 or newer, and this is {sys.version.split()[0]}"

@pytest.fixture(scope='module')
def browser():
    "A headless Chromium, which asks the network for nothing by itself"
    if no_chromium: pytest.skip(no_chromium)
    from playwright.sync_api import sync_playwright
    quiet = ['no-sandbox', 'no-first-run']
    quiet += [f'disable-{o}' for o in ('gpu', 'quic', 'background-networking', 'component-update', 'sync')]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[f'--{o}' for o in quiet])
        yield browser
        browser.close()

@pytest.fixture(scope='session')
def site(request, tmp_path_factory):
    "Folder of the built site: that in SITE, or one made here of `make demo` or of a short run"
    if no_site: pytest.skip(no_site)
    if 'SITE' in os.environ: return Path(os.environ['SITE']).resolve()
    folder = tmp_path_factory.mktemp('site')/'built'
    job = root/'runs'/'digits'
    if not (job/'report.md').exists(): job = request.getfixturevalue('run')
    build = [sys.executable, root/'site'/'build.py', '--run', job, '--out', folder]
    done = subprocess.run(build, cwd=root, text=True, capture_output=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder

class SubPath(http.server.SimpleHTTPRequestHandler):
    "Serves a folder as /some/where/, and its 404.html for what is not there, as static hosts do"
    def translate_path(self, path):
        if not path.startswith('/some/where/'): return os.devnull + '/'
        return super().translate_path(path.removeprefix('/some/where'))
    def log_message(self, *args): pass
    def send_error(self, code, message=None, explain=None):
        self.send_response(code)
        self.send_header('Content-Type', 'text/html; charset=utf-8')
        self.end_headers()
        self.wfile.write((Path(self.directory)/'404.html').read_bytes())

@pytest.fixture(scope='session')
def address(site):
    "Where the site is served on this machine"
    handler = functools.partial(SubPath, directory=site)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_address[1]}/some/where/'
        server.shutdown()
