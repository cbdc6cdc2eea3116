"Builds the site: nbdev processes the notebooks, smalldocs renders them, the files beside this do the rest"
import shutil, subprocess, sys, tempfile, warnings
from pathlib import Path
from fastcore.script import call_parse
from nbdev.serve import proc_nbs
import notebooks, vendor

root = Path(__file__).parent.parent


def check(run, out):
    "Leave with a word of advice if the site cannot be built."
    if sys.version_info < (3, 11):
        sys.exit(f"the site needs Python 3.11 or newer, got {sys.version.split()[0]}: "
            "make it with `make site PYTHON=python3.11` after `make clean`")
    if not (run/'report.md').exists():
        sys.exit(f"run must be the folder of a finished pd_distill, got {run}, which has no report.md: "
            f"run pd_distill --out {run}")
    if out.exists() and not (out/'site_libs').exists():
        sys.exit(f"out must be a folder to be made, or an earlier site, got {out}, which is neither: give another")


def render(proc):
    "What smalldocs makes of the processed notebooks"
    from smalldocs.config import load
    from smalldocs.site import Site
    made = Site(load(proc), quiet=True)
    made.project.website['search'] = False # ours finds x̃
    made.build()
    if made.warnings: sys.exit('\n'.join(['smalldocs finds things to mend:', *made.warnings]))
    return made


def finish(made, run):
    "What smalldocs leaves to do"
    import pages, search
    site = made.out
    vendor.copy_packages(site/'site_libs')
    for file in site.rglob('*.html'): pages.finish_page(file, site)
    for file in site.rglob('*.llms.md'): pages.finish_copy(file)
    for file in (root/'nbs').glob('*.ipynb'):
        if notebooks.has_code(file): shutil.copy(file, site)
    pages.order_list(made)
    search.finish_search(site)
    vendor.trim(site)
    export = [sys.executable, root/'nbs'/'live_export.py', run, site/'live']
    subprocess.run(export, check=True, stdout=subprocess.DEVNULL)
    return site


@call_parse
def main(
    run:Path='runs/digits', # folder of a finished `pd_distill`, whose networks sample in the reader's browser
    out:Path='_docs', # folder that is made anew
):
    "Build the site, from the notebooks as they are saved"
    run, out = Path(run), Path(out)
    check(run, out)
    warnings.simplefilter('ignore', FutureWarning) # of packages that ours import
    import reference
    vendor.install_packages()
    with tempfile.TemporaryDirectory() as scratch:
        proc = Path(shutil.move(proc_nbs(force=True, n_workers=2), scratch))
        for file in proc.glob('*.ipynb'): notebooks.prepare(file, root/'nbs'/file.name)
        reference.write(proc)
        site = finish(render(proc), run)
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(site, out)
    print(f"{len(list(out.rglob('*.html')))} pages in {out}: python -m http.server -d {out}")
