"Fails, and says what to do, unless the package, the notebooks and the README agree: run before the tests"
import shutil, subprocess, sys, tempfile
from pathlib import Path

root = Path(__file__).parent.parent
ignore = shutil.ignore_patterns('.git', '.venv', 'runs', 'build', 'dist', '__pycache__', '_proc', '_docs', '.pytest_cache')


def changed(command):
    "Files that `command` changes in a copy of the tree"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(root, Path(folder)/'copy', ignore=ignore, symlinks=True))
        subprocess.run(command, cwd=copy, check=True, stdout=subprocess.DEVNULL)
        files = [f for f in copy.rglob('*') if f.is_file() and '__pycache__' not in f.parts]
        return [str(f.relative_to(copy)) for f in files if not (root/f.relative_to(copy)).exists() or f.read_bytes() != (root/f.relative_to(copy)).read_bytes()]


stale = {' '.join(map(str, c)): files for c in (['nbdev-export'], ['nbdev-clean'], [sys.executable, 'nbs/make_readme.py']) if (files := changed(c))}
for command, files in stale.items(): print(f"{command} would change {', '.join(files)}: run it and commit")
sys.exit(bool(stale))
