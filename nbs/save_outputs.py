"Runs notebooks from top to bottom, each in a new kernel, and saves their outputs: explorers as pages, and nothing that only a live kernel can show"
import os, time
from pathlib import Path
import nbformat
from fastcore.script import call_parse
from nbclient import NotebookClient

nbs = Path(__file__).parent
live_only = 'application/vnd.jupyter.widget-view+json'


def run(path):
    "Execute `path` in place; an error leaves the file as it was"
    nb = nbformat.read(path, 4)
    NotebookClient(nb, timeout=None, kernel_name='python3', resources={'metadata': {'path': str(path.parent)}}).execute()
    for cell in nb.cells:
        cell.metadata.pop('execution', None)
        if cell.cell_type != 'code': continue
        cell.execution_count = None
        cell.outputs = [o for o in cell.outputs if live_only not in o.get('data', {}) and o.get('name') != 'stderr']
        for o in cell.outputs: 'execution_count' in o and o.update(execution_count=None)
    for k in 'language_info', 'widgets': nb.metadata.pop(k, None)
    path.write_text(nbformat.writes(nb, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


@call_parse
def main(
    *names:str, # such as 01_target.ipynb
    full:bool=False, # the full sizes of long cells (sets FULL_RUN), which take minutes to hours
):
    "Save the outputs of the named notebooks, or of all in nbs/, from a run from top to bottom in a new kernel"
    os.environ['SAVING_OUTPUTS'] = '1'
    if full: os.environ['FULL_RUN'] = '1'
    for path in [nbs/Path(o).name for o in names] or sorted(nbs.glob('*.ipynb')):
        begin = time.time()
        run(path)
        print(f"{path.name}: {time.time() - begin:.0f} s", flush=True)
