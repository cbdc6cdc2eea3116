"The built site in a real browser: what loads, what is typeset, what moves, what is found, and who can read it"
import importlib, re, runpy, shutil
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit
import nbformat, pytest, yaml
from bs4 import BeautifulSoup
from fastai.learner import Learner
from nbclient import NotebookClient
from conftest import no_site, root

if no_site: pytest.skip(no_site, allow_module_level=True)
package = 'progressive_distillation'
notebooks = sorted(o.stem for o in (root/'nbs').glob('*.ipynb'))
modules = sorted(o.stem for o in (root/package).glob('*.py') if '# %% ../nbs/' in o.read_text())
pages = [*notebooks, *sorted(o.stem for o in (root/'nbs').glob('*.md')), 'api/index', *(f'api/{o}' for o in modules)]
each_page, each_module, each_notebook = (pytest.mark.parametrize('name', o) for o in (pages, modules, notebooks))
desktop = dict(color_scheme='light', viewport=dict(width=1280, height=900))
phone = dict(color_scheme='dark', viewport=dict(width=390, height=800))


@cache
def soup(file): return BeautifulSoup(file.read_text(), 'html.parser')

def order(contents=None):
    "The pages in the order of the sidebar, as _quarto.yml lists them, the reference as one"
    for o in contents or yaml.safe_load((root/'_quarto.yml').read_text())['website']['sidebar']['contents']:
        if isinstance(o, str): yield Path(o).stem
        elif o.get('contents') == 'api/*.qmd': yield 'api'
        elif 'contents' in o: yield from order(o['contents'])
        else: yield Path(o['href']).stem


@pytest.fixture(scope='module')
def axe():
    "The script that looks for barriers, from the packages that the site is built with"
    vendor = runpy.run_path(root/'site'/'vendor.py')
    vendor['install_packages']()
    return vendor['modules']/'axe-core'/'axe.min.js'

def found_barriers(page, axe, rules=None):
    "What keeps someone from reading the page as it is now, of any seriousness"
    page.add_script_tag(path=axe)
    options = dict(resultTypes=['violations'], **(dict(runOnly=rules) if rules else {}))
    return page.evaluate("""options => axe.run({exclude: ['.katex']}, options).then(o => o.violations.map(v =>
        v.id + ': ' + v.nodes.slice(0, 3).map(n => n.target + ' ' + n.failureSummary).join(' | ')))""", options)

look_at_page = """() => {
    const all = (selector, keep) => [...document.querySelectorAll(selector)].filter(keep);
    const start = o => o.textContent.slice(0, 80), is_cut = o => o.scrollWidth > o.clientWidth + 1;
    const scrolls = o => /auto|scroll|hidden/.test(getComputedStyle(o).overflowX);
    const leaves = o => {
        for (let box = o.parentElement; box.tagName !== 'MAIN'; box = box.parentElement) if (scrolls(box)) return false;
        return o.getBoundingClientRect().right > innerWidth + 1;
    };
    const prose = document.querySelector('main').cloneNode(true);
    prose.querySelectorAll('pre, code, script, .katex').forEach(o => o.remove());
    return {
        width: document.documentElement.scrollWidth,
        dark: document.documentElement.classList.contains('quarto-dark'),
        text: prose.textContent,
        maths: document.querySelectorAll('.math').length,
        plain: all('.math', o => !o.querySelector('.katex')).map(start),
        wrong: all('.katex-error', o => true).map(o => o.title),
        cut: all('main *', leaves).map(o => o.outerHTML.slice(0, 80)),
        pushed: all('pre, .math.display', o => is_cut(o) && !o.querySelector('.columns')).map(start),
        silent: all('.sd-table, .cell-output pre', o => is_cut(o) && !o.classList.contains('goes-on')).map(start),
    };
}"""

@pytest.fixture(scope='module')
def screens(browser):
    "A desktop in light and a phone in dark"
    contexts = dict(desktop=browser.new_context(**desktop), phone=browser.new_context(**phone))
    yield contexts
    for o in contexts.values(): o.close()

@pytest.fixture(scope='module')
def seen(screens, site, address, axe):
    "What a look at a page finds, each page and screen looked at once"
    looks = {}
    def look(name, screen):
        if (name, screen) in looks: return looks[name, screen]
        page, errors, urls, failed = screens[screen].new_page(), [], [], []
        page.on('console', lambda o: errors.append(o.text) if o.type in ('error', 'warning') else None)
        page.on('pageerror', lambda o: errors.append(str(o)))
        page.on('request', lambda o: urls.append(o.url))
        page.on('requestfailed', lambda o: failed.append(o.url))
        page.on('response', lambda o: failed.append(f'{o.status} {o.url}') if o.status >= 400 else None)
        page.goto(f'{address}{name}.html')
        found = page.evaluate(look_at_page)
        barriers = found_barriers(page, axe)
        dark = not found['dark']
        page.emulate_media(color_scheme='dark' if dark else 'light')
        switched = "dark => document.documentElement.classList.contains('quarto-dark') === dark"
        page.wait_for_function(switched, arg=dark)
        barriers += found_barriers(page, axe, ['color-contrast'])
        page.close()
        own = {unquote(o.split('#')[0].removeprefix(address)) for o in urls if o.startswith(address)}
        foreign = [o for o in urls if not o.startswith((address, 'data:', 'blob:'))]
        looks[name, screen] = dict(found, errors=errors, failed=failed, barriers=barriers, foreign=foreign,
            weight=sum((site/o).stat().st_size for o in own))
        return looks[name, screen]
    return look

def without_pictures(text): return re.sub(r'base64,[A-Za-z0-9+/=]{100,}', '', text)

@cache
def ids(file): return {o['id'] for o in soup(file).select('[id]')}

def addresses(file):
    "Where the links of a page lead, and what it loads"
    return [o[k] for k in ('href', 'src') for o in soup(file).select(f'[{k}]') if not o[k].startswith('data:')]


def test_every_page_is_built_and_within_reach(site):
    assert {str(o.relative_to(site).with_suffix('')) for o in site.rglob('*.html')} == set(pages)
    menu = soup(site/'index.html').select_one('#quarto-sidebar')
    links = [o['href'].removesuffix('.html') for o in menu.select('.sidebar-menu-container a[href]')]
    assert set(links) == set(pages) - {'404'} and len(links) == len(set(links))
    assert list(dict.fromkeys(re.sub('^api/.*', 'api', o) for o in links)) == list(order())
    numbered = [o for o in links if o[:2].isdigit()]
    assert numbered == [o for o in notebooks if o[:2].isdigit()], 'not in the order of their numbers'
    parts = [o.get_text() for o in menu.select('.sidebar-item-section > div .menu-text')]
    assert parts == ['Course', 'Results', 'Library', 'API reference', 'Contribute']
    for name, after in zip(links, links[1:]): # one leads to the next, and back; those of the reference are looked up
        if not name.startswith('api/') and not after.startswith('api/'):
            assert soup(site/f'{name}.html').select_one('.nav-page-next a')['href'] == f'{after}.html'
            assert soup(site/f'{after}.html').select_one('.nav-page-previous a')['href'] == f'{name}.html'

@each_page
def test_loads_with_no_error_and_asks_nobody_else(seen, name):
    for screen in 'desktop', 'phone':
        found = seen(name, screen)
        assert (found['errors'], found['failed'], found['foreign']) == ([], [], [])

@each_page
def test_maths_is_typeset(seen, name):
    found = seen(name, 'desktop')
    assert (found['plain'], found['wrong']) == ([], [])
    assert not re.search(r'\$\$|\\\(|\\\[|\\frac|\\tilde', found['text'])

def test_the_derivation_is_full_of_maths(seen): assert seen('05_target', 'desktop')['maths'] > 50

@each_page
def test_nothing_keeps_one_from_reading(seen, name):
    for screen in 'desktop', 'phone': assert seen(name, screen)['barriers'] == []

@each_page
def test_fits_a_phone_in_the_dark(seen, name):
    found = seen(name, 'phone')
    assert found['dark'] and found['width'] <= 390 and found['cut'] == []

@each_page
def test_code_and_equations_are_read_without_pushing_them_aside(seen, name):
    for screen in 'desktop', 'phone': assert seen(name, screen)['pushed'] == []
    assert seen(name, 'phone')['silent'] == [], 'a table or output is cut off and does not say so'

@each_page
def test_is_light_to_carry_and_holds_no_leftovers(seen, site, name):
    text = without_pictures((site/f'{name}.html').read_text())
    assert seen(name, 'desktop')['weight'] <= 1_500_000, 'with all that it loads'
    leftovers = 'interactive(children= /home/ /tmp/ /root site-packages Traceback cell-output-stderr'.split()
    assert [o for o in leftovers if o in text] == []

def test_links_lead_somewhere(site):
    broken, count = [], 0
    for file in site.rglob('*.html'):
        for link in addresses(file):
            url = urlsplit(link)
            if url.scheme or url.netloc: continue
            target = (file.parent/unquote(url.path)).resolve() if url.path else file
            if target.is_dir(): target = target/'index.html'
            has_place = not url.fragment or target.suffix != '.html' or unquote(url.fragment) in ids(target)
            count += 1
            if not (target.is_file() and has_place): broken.append(f'{file.name}: {link}')
    assert broken == [] and count > 1000


def watched(context, address):
    "A page that must not complain, nor ask another host, whatever is done to it"
    page, wrong = context.new_page(), []
    def note(o): # an address that is wrong on purpose is no fault
        if o.type in ('error', 'warning') and '404' not in o.text: wrong.append(o.text)
    page.on('console', note)
    page.on('pageerror', lambda o: wrong.append(str(o)))
    page.on('request', lambda o: None if o.url.startswith((address, 'data:', 'blob:')) else wrong.append(o.url))
    yield page
    page.close()
    assert wrong == []

@pytest.fixture
def page(screens, address): yield from watched(screens['desktop'], address)

@pytest.fixture
def on_phone(screens, address): yield from watched(screens['phone'], address)

has_explorer = [o for o in notebooks if 'class=\\"explorer\\"' in (root/'nbs'/f'{o}.ipynb').read_text()]
with_explorer = pytest.mark.parametrize('name', has_explorer)

def test_explorers_are_where_a_picture_should_move(site):
    assert {o.stem for o in site.glob('*.html') if soup(o).select('.explorer')} == set(has_explorer)
    assert set(has_explorer) >= {'01_schedule', '04_sampling', '05_target', '06_weights', '10_results', '35_explorer'}

positions = """box => [...box.querySelectorAll('label')].map(o => o.querySelector('span').textContent + ' = '
    + (o.querySelector('output')?.value ?? o.querySelector('select').selectedOptions[0].label)).join(', ')"""

@with_explorer
def test_sliders_change_their_picture(page, address, name):
    page.goto(f'{address}{name}.html')
    for box in page.locator('.explorer').all():
        picture = box.locator('img')
        def shown():
            alt = picture.get_attribute('alt')
            assert box.evaluate(positions) in alt, 'the words are not those of the picture'
            assert not re.search(r'[$\\{}^]', alt), 'or not words'
            return picture.evaluate('o => o.src'), alt
        shown()
        for slider in box.locator('input[type=range]').all():
            height, width = (slider.bounding_box()[k] for k in ('height', 'width'))
            ends = []
            for x in 1, width - 1:
                slider.click(position=dict(x=x, y=height/2))
                ends.append(shown())
            assert ends[0][0] != ends[1][0] and ends[0][1] != ends[1][1], 'the mouse does not move it'
            walk = []
            for key in ['Home', *['ArrowRight']*int(slider.get_attribute('max'))]:
                slider.press(key)
                walk.append(shown())
            assert slider.input_value() == slider.get_attribute('max')
            assert len({src for src, _ in walk}) > 1, 'the keys do not move it'
            assert len({alt for _, alt in walk}) == len(walk), 'two positions in the same words'
        for choice in box.locator('select').all():
            walk = []
            for value in range(choice.locator('option').count()):
                choice.select_option(str(value))
                walk.append(shown())
            assert len({src for src, _ in walk}) > 1 and len({alt for _, alt in walk}) == len(walk)
        assert picture.evaluate('o => o.complete && o.naturalWidth > 100')

@with_explorer
def test_an_explorer_without_scripts_stands_still_and_says_so(browser, page, address, name):
    page.goto(f'{address}{name}.html')
    assert not page.locator('.explorer noscript p').count()
    context = browser.new_context(**desktop, java_script_enabled=False)
    still = context.new_page()
    still.goto(f'{address}{name}.html')
    for moves, stands in zip(page.locator('.explorer').all(), still.locator('.explorer').all(), strict=True):
        line = stands.locator('noscript p')
        assert line.is_visible() and line.inner_text().startswith('The sliders need JavaScript')
        first, picture = moves.locator('img'), stands.locator('img')
        for what in 'src', 'alt': assert picture.get_attribute(what) == first.get_attribute(what), 'not the first frame'
        assert picture.is_visible()
    context.close()

def ask(page, words):
    "Type into the search box; answers what is found"
    page.locator('.search input').fill(words)
    page.locator('.search-results.show').wait_for()
    return page.locator('.search-result').all()

def is_on_top(page, selector, x, y):
    "Whether what is seen at a point of the screen belongs to `selector`"
    return page.evaluate('([o, x, y]) => document.elementFromPoint(x, y).closest(o) != null', [selector, x, y])

@pytest.mark.parametrize('words, leads_to', [
    ('x̃', 'glossary'), ('x̃', '05_target'), ('x~', 'glossary'), ('α₁', '01_schedule'), ('t', 'glossary'),
    ('cite', 'index'), ('distillation_target', 'api/target'), ('truncated SNR', '06_weights'),
    ('how do I resume', '34_cli'), ('my own model', '32_io'), ('distilation', '08_distillation')])
def test_search_finds(page, address, words, leads_to):
    page.goto(f'{address}03_denoiser.html')
    results = ask(page, words)
    assert any(f'{leads_to}.html' in o.get_attribute('href') for o in results[:8])
    assert page.locator('.search-results mark').count() or any(words in o.inner_text() for o in results)
    at = page.locator('.search-results').bounding_box()
    assert is_on_top(page, '.search-results', at['x'] + at['width'] - 4, at['y'] + 8), 'the results are cut off'
    results[0].click()
    page.wait_for_load_state()
    assert page.locator('main h1').count() == 1 and page.url.startswith(address) and '03_denoiser' not in page.url

def test_search_by_keys(page, address, axe):
    page.goto(f'{address}api/weights.html')
    page.keyboard.press('/')
    field, results = page.locator('.search input'), page.locator('.search-results')
    assert field.evaluate('o => o === document.activeElement') and field.get_attribute('aria-expanded') == 'false'
    ask(page, 'SNR')
    assert field.get_attribute('aria-expanded') == 'true' and 'result' in page.inner_text('.search-status')
    assert found_barriers(page, axe) == []
    for key, at in ('ArrowDown', 0), ('ArrowDown', 1), ('ArrowUp', 0):
        page.keyboard.press(key)
        chosen = page.locator('.search-result.active').get_attribute('id')
        assert field.get_attribute('aria-activedescendant') == chosen == f'search-result-{at}'
    page.keyboard.press('Escape')
    assert not results.is_visible() and field.input_value() == '' and field.get_attribute('aria-expanded') == 'false'
    field.fill('zzzzzz')
    page.locator('.search-status', has_text='No results for “zzzzzz”').wait_for()
    field.fill('pairing_error')
    page.keyboard.press('Enter') # at once
    page.wait_for_url('**/api/metrics.html#pairing_error')

def test_menu_of_a_phone(on_phone, address, axe):
    page = on_phone
    page.goto(f'{address}05_target.html')
    menu, button = page.locator('#quarto-sidebar'), page.locator('.quarto-btn-toggle')
    assert button.get_attribute('aria-expanded') == 'false' and not menu.is_visible()
    for _ in range(6): page.keyboard.press('Tab')
    assert page.evaluate("!document.activeElement.closest('#quarto-sidebar')"), 'a closed menu takes the focus'
    button.click()
    last = menu.locator('a[href]').last
    assert button.get_attribute('aria-expanded') == 'true' and found_barriers(page, axe) == []
    last.scroll_into_view_if_needed()
    page.wait_for_timeout(300) # it slides in
    at = last.bounding_box()
    assert at['y'] + at['height'] <= 800 and is_on_top(page, '#quarto-sidebar', at['x'] + 5, at['y'] + 5)
    page.keyboard.press('Escape')
    assert button.get_attribute('aria-expanded') == 'false' and button.evaluate('o => o === document.activeElement')
    button.click()
    assert ask(page, 'x̃')
    last.click()
    page.wait_for_url('**/changelog.html')

def test_first_key_skips_to_the_text(page, address):
    page.goto(f'{address}05_target.html')
    page.keyboard.press('Tab')
    assert page.evaluate('document.activeElement.textContent') == 'Skip to the text'
    page.keyboard.press('Enter')
    page.wait_for_url('**#quarto-document-content')

def test_sections_fold_by_keys(page, address):
    page.goto(f'{address}05_target.html')
    button = page.get_by_role('button', name='Results')
    button.press('Enter')
    page.get_by_role('link', name='What to choose').first.wait_for(state='hidden')
    assert button.get_attribute('aria-expanded') == 'false'

def test_what_goes_on_is_scrolled_by_keys(on_phone, address):
    on_phone.goto(f'{address}13_choices.html')
    box = on_phone.locator('.sd-table.goes-on').first
    box.focus()
    for _ in range(5): on_phone.keyboard.press('ArrowRight')
    on_phone.wait_for_function("document.querySelector('.sd-table.goes-on').scrollLeft > 20")
    assert box.get_attribute('aria-label')
    assert not on_phone.locator('[tabindex="0"]:is(pre, .sd-table):not(.goes-on)').count(), 'nothing to scroll'

def test_words_in_tables_stand_below_one_another_on_a_phone(on_phone, address):
    on_phone.goto(f'{address}glossary.html')
    on_phone.locator('.sd-table').first.wait_for()
    stands = "o => getComputedStyle(o).display === 'block' && o.getBoundingClientRect().left < 40"
    assert on_phone.evaluate(f"[...document.querySelectorAll('main td')].every({stands})")
    assert not on_phone.locator('.goes-on').count()

def test_without_a_server_it_says_so(browser, site):
    page = browser.new_page()
    page.goto((site/'live.html').as_uri())
    assert 'python -m http.server' in page.inner_text('#live-status')
    page.locator('.search input').fill('weights')
    page.wait_for_function("document.querySelector('.search-status').textContent.includes('python -m http.server')")
    page.locator('.sidebar-title a').click()
    page.wait_for_url('**/index.html')
    page.close()

def test_on_paper_there_is_the_text_alone(page, address):
    page.goto(f'{address}05_target.html')
    page.emulate_media(media='print')
    assert not page.locator('#quarto-sidebar, #TOC, .page-navigation, .explorer input').locator('visible=true').count()
    page.emulate_media(media='screen')

def test_light_and_dark_are_switched_and_remembered(page, address):
    def background(): return page.evaluate('getComputedStyle(document.body).backgroundColor')
    page.goto(f'{address}index.html')
    light, switch = background(), page.get_by_role('button', name='Dark mode')
    assert switch.get_attribute('aria-pressed') == 'false'
    switch.press('Enter')
    page.wait_for_function('light => getComputedStyle(document.body).backgroundColor != light', arg=light)
    dark = background()
    assert switch.get_attribute('aria-pressed') == 'true'
    page.goto(f'{address}00_method.html')
    assert background() == dark != light
    switch.click()
    page.wait_for_function('dark => getComputedStyle(document.body).backgroundColor != dark', arg=dark)
    assert background() == light

def test_names_in_the_course_lead_to_the_reference_and_back(page, address):
    page.goto(f'{address}07_teacher.html')
    page.locator('main a[href^="api/"]').first.click()
    page.wait_for_url('**/api/*')
    page.goto(f'{address}api/target.html')
    page.locator('h2:has-text("distillation_target") + p a').click()
    page.wait_for_url('**/05_target.html#cell-*')
    assert 'def distillation_target(' in page.locator(f'#{urlsplit(page.url).fragment}').inner_text()

@each_module
def test_sources_lead_to_the_code(site, name):
    links = soup(site/'api'/f'{name}.html').select('.source-link')
    assert links
    for link in links:
        file, _, cell = link['href'].removeprefix('../').partition('#')
        code, what = soup(site/file).find(id=cell).get_text(), link.find_parent('section')['id'].rpartition('.')[2]
        assert re.search(rf'(def|class) {what}\b|^{what}(:.*)? =', code, re.M), f'{what} is not in {file}#{cell}'

def public(name):
    "The module of this name and what its page describes: names and, of a class, Class.method"
    module = importlib.import_module(f'{package}.{name}')
    found = {o: getattr(module, o) for o in module.__all__}
    for o in [o for o in found.values() if isinstance(o, type)]:
        own = {n: getattr(o, n) for n in vars(o) if n[0] != '_'}
        found |= {f'{o.__name__}.{n}': m for n, m in own.items() if callable(m) and m.__doc__}
    given = {n: o for n, o in vars(Learner).items() if getattr(o, '__module__', '') == module.__name__}
    return module, found | {f'Learner.{n}': o for n, o in given.items()}

@each_module
def test_reference_describes_every_public_name(site, name):
    file, (_, names) = site/'api'/f'{name}.html', public(name)
    assert names.keys() <= ids(file)
    for what, o in names.items(): # what it raises stands below what it takes
        paragraphs = [p for p in (getattr(o, '__doc__', '') or '').split('\n\n')[1:] if p.strip().startswith('Raises')]
        if not callable(o) or not paragraphs: continue
        section = soup(file).find(id=what)
        last = [p for p in section.find_all('p') if p.find_parent('section') is section][-1]
        assert last.get_text().startswith('Raises')

def test_reference_offers_the_learners_methods(site):
    described = set().union(*(ids(o) for o in site.glob('api/*.html')))
    assert {'Learner.fit_anneal', 'Learner.distill', 'Learner.sample', 'Learner.show_samples'} <= described

def test_reference_says_what_to_import(site):
    exec(f'from {package}.all import *', together := {})
    _, apart = soup(site/'api'/'index.html').select_one('main > p').get_text().split('import *', 1)
    for name in modules:
        module, _ = public(name)
        assert (set(module.__all__) <= together.keys()) == (name not in re.findall(r'\w+', apart)), name
        exec(f'from {module.__name__} import *', alone := {})
        assert set(module.__all__) <= alone.keys()

@each_module
def test_reference_says_what_every_argument_is(site, name):
    page = soup(site/'api'/f'{name}.html')
    rows = [[o.get_text() for o in row.select('td')] for row in page.select('main tr:has(td)')]
    assert rows and [o[0] for o in rows if not o[3]] == []
    repeated = [b for a, b in zip(rows, rows[1:]) if b[0] == 'returns' and a[3] == b[3]]
    assert repeated == [], 'what is returned is said in the words of the argument before it'

def test_answers_hold_the_code_that_checks_them(page, address):
    page.goto(f'{address}01_schedule.html')
    for box in page.locator('.callout:has-text("Answer")').all():
        code = box.locator('.cell pre').first
        assert not code.is_visible()
        box.locator('.callout-header').click()
        code.wait_for(state='visible')

@each_notebook
def test_folded_code_says_what_it_is(site, name):
    assert 'Code' not in [o.get_text() for o in soup(site/f'{name}.html').select('summary')]

@each_notebook
def test_notebook_can_be_taken_home(site, name):
    offer, nb = soup(site/f'{name}.html').select_one('.download a'), nbformat.read(root/'nbs'/f'{name}.ipynb', 4)
    assert (offer is not None) == any(o.cell_type == 'code' for o in nb.cells)
    if offer: assert (site/offer['href']).read_bytes() == (root/'nbs'/f'{name}.ipynb').read_bytes()

@pytest.mark.parametrize('name', ['00_method', '01_schedule'])
def test_notebook_runs_where_it_was_taken(site, tmp_path, name):
    nb = nbformat.read(shutil.copy(site/f'{name}.ipynb', tmp_path), 4)
    NotebookClient(nb, timeout=200, kernel_name='python3', resources={'metadata': {'path': str(tmp_path)}}).execute()
    assert [o for c in nb.cells if c.cell_type == 'code' for o in c.outputs if o.get('name') == 'stderr'] == []

def test_plain_copies_for_machines(site):
    listed = re.findall(r'\]\((\S+)\.llms\.md\)', (site/'llms.txt').read_text())
    menu = soup(site/'index.html').select('.sidebar-menu-container a[href]')
    assert listed == [o['href'].removesuffix('.html') for o in menu]
    for name in listed:
        text = (site/f'{name}.llms.md').read_text()
        assert len(text) < 100_000 and without_pictures(text) == text and text.startswith('# ')
        assert ('*Explorer' in text) == bool(soup(site/f'{name}.html').select('.explorer'))
        prose = re.sub('^```.*?^```', '', text, flags=re.M | re.S)
        assert not re.search(r'\{[#.]\w|<script|<link|<img', prose)
        for link in re.findall(r'\]\(([^)\s#]+)', prose):
            if urlsplit(link).scheme: continue
            assert (site/f'{name}.llms.md').parent.joinpath(unquote(link)).resolve().is_file(), f'{name}: {link}'

def test_pictures_have_words(site):
    for file in site.rglob('*.html'):
        words = [o.get('alt', '') for o in soup(file).select('img')]
        assert len(words) == len(set(words)), f'{file.name}: two pictures in the same words'
        for o in words:
            says = len(o) >= 20 and not re.match('Look|Read|The claim|Holds', o)
            assert says, f'{file.name}: {o} does not say what is seen'

def test_wrong_address_gets_a_page_at_any_depth(page, address):
    for wrong in 'nothing.html', 'nothing/at/all/here.html':
        assert page.goto(address + wrong).status == 404
        page.wait_for_load_state('networkidle')
        style = page.evaluate('getComputedStyle(document.querySelector("#quarto-content")).display')
        assert style == 'grid', 'it is missing'
        page.locator('main a', has_text='start here').click()
        assert page.url == f'{address}index.html'
