"Fails, and says what to do, unless package, notebooks and README agree: run before the tests"
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

root = Path(__file__).parent.parent
ignore = shutil.ignore_patterns('.git', '.venv', 'runs', 'build', 'dist',
    '__pycache__', '_proc', '_docs', '.pytest_cache')
commands = ['nbdev-export'], ['nbdev-clean'], [sys.executable, 'nbs/make_readme.py']


def changed(command):
    "Files that `command` changes in a copy of the tree"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(root, Path(folder)/'copy', ignore=ignore, symlinks=True))
        subprocess.run(command, cwd=copy, check=True, stdout=subprocess.DEVNULL)
        files = [f.relative_to(copy) for f in copy.rglob('*') if f.is_file() and '__pycache__' not in f.parts]
        def is_old(f): return (root/f).exists() and (root/f).read_bytes() == (copy/f).read_bytes()
        return [str(f) for f in files if not is_old(f)]


failed = False
for command in commands:
    if files := changed(command):
        print(f"{' '.join(command)} would change {', '.join(files)}: run it and commit")
        failed = True
sys.exit(failed)
