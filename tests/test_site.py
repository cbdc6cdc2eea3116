"The built site in a real browser: what loads, what is typeset, what moves, what is found, and who can read it"
import importlib, importlib.util, re, shutil
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit
import nbformat, pytest
from nbclient import NotebookClient
from conftest import no_site, root

if no_site: pytest.skip(no_site, allow_module_level=True)
notebooks = sorted(o.stem for o in (root/'nbs').glob('*.ipynb'))
modules = sorted(o.stem for o in (root/'progressive_distillation').glob('*.py') if o.stem not in ('__init__', 'all', '_modidx'))
pages = [*notebooks, *sorted(o.stem for o in (root/'nbs').glob('*.md')), 'api/index', *(f'api/{o}' for o in modules)]
each_page = pytest.mark.parametrize('name', pages)
desktop, phone = dict(color_scheme='light', viewport=dict(width=1280, height=900)), dict(color_scheme='dark', viewport=dict(width=390, height=800))


@pytest.fixture(scope='module')
def axe():
    "The script that looks for barriers, from the packages that the site is built with"
    spec = importlib.util.spec_from_file_location('site_build', root/'site'/'build.py')
    spec.loader.exec_module(build := importlib.util.module_from_spec(spec))
    build.install_packages()
    return build.npm_folder/'axe-core'/'axe.min.js'

def found_barriers(page, axe, rules=None):
    "What keeps someone from reading the page as it is now, of any seriousness"
    page.add_script_tag(path=axe)
    return page.evaluate("rules => axe.run({exclude: ['.katex']}, {resultTypes: ['violations'], ...(rules && {runOnly: rules})}).then(o => o.violations.map(v => v.id + ': ' + v.nodes.slice(0, 3).map(n => n.target + ' ' + n.failureSummary).join(' | ')))", rules)

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
        found = page.evaluate('''() => ({width: document.documentElement.scrollWidth, dark: document.documentElement.classList.contains('quarto-dark'), 
            cut: [...document.querySelectorAll('main *')].filter(o => o.getBoundingClientRect().right > innerWidth + 1).filter(o => {
                for (let box = o.parentElement; box.tagName !== 'MAIN'; box = box.parentElement) if (/auto|scroll|hidden/.test(getComputedStyle(box).overflowX)) return false;
                return true }).map(o => o.outerHTML.slice(0, 80)),
            pushed: [...document.querySelectorAll('pre, .math.display')].filter(o => o.scrollWidth > o.clientWidth + 1 && !o.querySelector('.columns')).map(o => o.textContent.slice(0, 80)), maths: document.querySelectorAll('.math').length,
            silent: [...document.querySelectorAll('.sd-table, .cell-output pre')].filter(o => o.scrollWidth > o.clientWidth + 1 && !o.classList.contains('goes-on')).map(o => o.textContent.slice(0, 80)),
            plain: [...document.querySelectorAll('.math')].filter(o => !o.querySelector('.katex')).map(o => o.textContent), wrong: [...document.querySelectorAll('.katex-error')].map(o => o.title),
            text: (o => { o.querySelectorAll('pre, code, script, .katex').forEach(e => e.remove()); return o.textContent })(document.querySelector('main').cloneNode(true))})''')
        barriers = found_barriers(page, axe)
        dark = not found['dark']
        page.emulate_media(color_scheme='dark' if dark else 'light')
        page.wait_for_function("dark => document.documentElement.classList.contains('quarto-dark') === dark", arg=dark)
        barriers += found_barriers(page, axe, ['color-contrast'])
        page.close()
        weight = sum((site/unquote(urlsplit(o).path).removeprefix(urlsplit(address).path)).stat().st_size for o in {o.split('#')[0] for o in urls if o.startswith(address)})
        looks[name, screen] = dict(found, errors=errors, failed=failed, barriers=barriers, weight=weight, foreign=[o for o in urls if not o.startswith((address, 'data:', 'blob:'))])
        return looks[name, screen]
    return look

def without_pictures(text): return re.sub(r'base64,[A-Za-z0-9+/=]{100,}', '', text)

class Links(HTMLParser):
    "Every address on a page, and every place on it that one can point at"
    def __init__(self, text):
        super().__init__()
        self.links, self.places = [], set()
        self.feed(text)
    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.places |= {attrs.get('id'), attrs.get('name')}
        self.links += [attrs[k] for k in ('href', 'src') if attrs.get(k) and not attrs[k].startswith('data:')]


def test_every_page_is_built_and_within_reach(site):
    built = {str(o.relative_to(site).with_suffix('')) for o in site.rglob('*.html')}
    menu = re.search('<nav id="quarto-sidebar".*?</nav>', (site/'index.html').read_text(), re.S)[0]
    assert built == set(pages)
    links = [o.removesuffix('.html') for o in Links(menu).links if o.endswith('.html')][1:] # the first is the title's
    assert set(links) == set(pages) - {'404'} and len(links) == len(set(links))
    assert re.findall('menu-text">(Course|Library|Results|Contribute)<', menu) == ['Course', 'Library', 'Results', 'Contribute']
    order = [o for o in links if o != 'glossary' and not o.startswith('api/')]
    assert order[:-3] == ['index', *sorted(o for o in notebooks if o < '11'), '32_io', '34_cli', *sorted(o for o in notebooks if '11' <= o < '12'), 'live']
    for name, after in zip(order, order[1:]): # one page leads to the next, and back
        assert f'<a href="{after}.html" class="pagination-link" rel="next">' in (site/f'{name}.html').read_text()
        assert f'<a href="{name}.html" class="pagination-link" rel="prev">' in (site/f'{after}.html').read_text()

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
    assert [o for o in ('interactive(children=', '/home/', '/tmp/', '/root', 'site-packages', 'Traceback', 'cell-output-stderr') if o in text] == []

def test_links_lead_somewhere(site):
    parsed = {o: Links(o.read_text()) for o in site.rglob('*.html')}
    broken, count = [], 0
    for file, page in parsed.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc: continue
            target = (file.parent/unquote(url.path)).resolve() if url.path else file
            if target.is_dir(): target = target/'index.html'
            ok = target.is_file() and (not url.fragment or target not in parsed or unquote(url.fragment) in parsed[target].places)
            count += 1
            if not ok: broken.append(f'{file.name}: {link}')
    assert broken == [] and count > 1000


def watched(context, address):
    "A page that must not complain, nor ask another host, whatever is done to it"
    page, wrong = context.new_page(), []
    page.on('console', lambda o: wrong.append(o.text) if o.type in ('error', 'warning') and '404' not in o.text else None)
    page.on('pageerror', lambda o: wrong.append(str(o)))
    page.on('request', lambda o: None if o.url.startswith((address, 'data:', 'blob:')) else wrong.append(o.url))
    yield page
    page.close()
    assert wrong == []

@pytest.fixture
def page(screens, address): yield from watched(screens['desktop'], address)

@pytest.fixture
def on_phone(screens, address): yield from watched(screens['phone'], address)

def test_explorers_are_where_a_picture_should_move(site):
    assert {o.stem for o in site.glob('*.html') if '<div class="explorer">' in o.read_text()} >= {'05_target', '01_schedule', '06_weights', '04_sampling', '10_results', '35_explorer'}

with_explorer = pytest.mark.parametrize('name', [o for o in notebooks if 'class=\\"explorer\\"' in (root/'nbs'/f'{o}.ipynb').read_text()])

@with_explorer
def test_sliders_change_their_picture(page, address, name):
    page.goto(f'{address}{name}.html')
    for box in page.locator('.explorer').all():
        picture = box.locator('img')
        def positions(): return box.evaluate("o => [...o.querySelectorAll('label')].map(l => l.querySelector('span').textContent + ' = ' + (l.querySelector('output')?.value ?? l.querySelector('select').selectedOptions[0].label)).join(', ')")
        def shown():
            alt = picture.get_attribute('alt')
            assert positions() in alt and not re.search(r'[$\\{}^]', alt), 'the words are not those of the picture, or not words'
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
            assert slider.input_value() == slider.get_attribute('max') and len({src for src, _ in walk}) > 1, 'the keys do not move it'
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
        for what in 'src', 'alt': assert stands.locator('img').get_attribute(what) == moves.locator('img').get_attribute(what), 'not the first frame'
        assert stands.locator('img').is_visible()
    context.close()

def ask(page, words):
    "Type into the search box; answers what is found"
    page.locator('.search input').fill(words)
    page.locator('.search-results.show').wait_for()
    return page.locator('.search-result').all()

@pytest.mark.parametrize('words, leads_to', [('x̃', 'glossary.html'), ('x̃', '05_target.html'), ('x~', 'glossary.html'), ('α₁', '01_schedule.html'), ('t', 'glossary.html'), ('DistillationCallback', 'api/learner.html'), ('truncated SNR', '06_weights.html'),
    ('how do I resume', '34_cli.html'), ('cite', 'index.html'), ('my own model', '32_io.html'), ('distilation', '08_distillation.html')])
def test_search_finds(page, address, words, leads_to):
    page.goto(f'{address}03_denoiser.html')
    results = ask(page, words)
    assert any(leads_to in o.get_attribute('href') for o in results[:8])
    assert page.locator('.search-results mark').count() or any(words in o.inner_text() for o in results)
    at = page.locator('.search-results').bounding_box()
    assert page.evaluate("([x, y]) => document.elementFromPoint(x, y).closest('.search-results') != null", [at['x'] + at['width'] - 4, at['y'] + 8]), 'the results are cut off'
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
        assert field.get_attribute('aria-activedescendant') == f'search-result-{at}' and page.locator('.search-result.active').get_attribute('id') == f'search-result-{at}'
    page.keyboard.press('Escape')
    assert not results.is_visible() and field.input_value() == '' and field.get_attribute('aria-expanded') == 'false'
    field.fill('zzzzzz')
    page.wait_for_function("document.querySelector('.search-status').textContent === 'No results for “zzzzzz”'")
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
    assert at['y'] + at['height'] <= 800 and page.evaluate("([x, y]) => document.elementFromPoint(x, y).closest('#quarto-sidebar') != null", [at['x'] + 5, at['y'] + 5])
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
    button = page.get_by_role('button', name='Pages of Results')
    button.press('Enter')
    page.get_by_role('link', name='What to choose').first.wait_for(state='hidden')
    assert button.get_attribute('aria-expanded') == 'false'

def test_what_goes_on_is_scrolled_by_keys(on_phone, address):
    on_phone.goto(f'{address}13_choices.html')
    box = on_phone.locator('.sd-table.goes-on').first
    box.focus()
    for _ in range(5): on_phone.keyboard.press('ArrowRight')
    on_phone.wait_for_function("document.querySelector('.sd-table.goes-on').scrollLeft > 20")
    assert box.get_attribute('aria-label') and not on_phone.locator('[tabindex="0"]:is(pre, .sd-table, .math):not(.goes-on, .math)').count()

def test_words_in_tables_stand_below_one_another_on_a_phone(on_phone, address):
    on_phone.goto(f'{address}glossary.html')
    on_phone.locator('.sd-table').first.wait_for()
    assert on_phone.evaluate("[...document.querySelectorAll('main td')].every(o => getComputedStyle(o).display === 'block' && o.getBoundingClientRect().left < 40)")
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
    page.wait_for_url('**/01_target.html#cell-*')
    assert 'def distillation_target(' in page.locator(f'#{urlsplit(page.url).fragment}').inner_text()

@pytest.mark.parametrize('name', modules)
def test_sources_lead_to_the_code(site, name):
    links = re.findall(r'<section id="([\w.]+)"[^>]*>\s*<h[23][^>]*>.*?</h[23]>\s*<p><a href="\.\./(\w+\.html)#(cell-\d+)" class="source-link"', (site/'api'/f'{name}.html').read_text(), re.S)
    assert len(links) == (site/'api'/f'{name}.html').read_text().count('class="source-link"') > 0
    for what, file, cell in links:
        code = re.sub('<[^>]*>', '', re.search(f'<div id="{cell}".*?(?=<div id="cell-|$)', (site/file).read_text(), re.S)[0])
        assert re.search(rf"(def|class) {what.split('.')[-1]}\b|^{what} =", code, re.M), f'{what} is not in {file}#{cell}'

@pytest.mark.parametrize('name', modules)
def test_reference_describes_every_public_name(site, name):
    module = importlib.import_module(f'progressive_distillation.{name}')
    described = Links((site/'api'/f'{name}.html').read_text()).places
    assert set(module.__all__) <= described
    for o in map(vars(module).get, module.__all__):
        if isinstance(o, type): assert {f'{o.__name__}.{n}' for n in vars(o) if n[0] != '_' and callable(getattr(o, n)) and getattr(o, n).__doc__} <= described
    assert name != 'learner' or {'Learner.distill', 'Learner.sample', 'Learner.show_samples'} <= described

@pytest.mark.parametrize('name', modules)
def test_reference_says_what_every_argument_is(site, name):
    rows = [re.findall('<td[^>]*>(.*?)</td>', o) for o in re.findall('<tr>(.*?)</tr>', (site/'api'/f'{name}.html').read_text(), re.S)]
    rows = [o for o in rows if len(o) == 4]
    assert rows and [o[0] for o in rows if not o[3]] == []
    assert [b for a, b in zip(rows, rows[1:]) if b[0] == 'returns' and a[3] == b[3]] == [], 'what is returned is said in the words of the argument before it'

def test_answers_hold_the_code_that_checks_them(page, address):
    page.goto(f'{address}01_schedule.html')
    for box in page.locator('.callout:has-text("Answer")').all():
        code = box.locator('.cell pre').first
        assert not code.is_visible()
        box.locator('.callout-header').click()
        code.wait_for(state='visible')

@pytest.mark.parametrize('name', notebooks)
def test_folded_code_says_what_it_is(site, name): assert '<summary>Code</summary>' not in (site/f'{name}.html').read_text()

@pytest.mark.parametrize('name', notebooks)
def test_notebook_can_be_taken_home(site, name):
    offer = re.search(f'<a href="{name}.ipynb" download>.*?</p>', (site/f'{name}.html').read_text())
    nb = nbformat.read(root/'nbs'/f'{name}.ipynb', 4)
    assert (offer is not None) == any(o.cell_type == 'code' for o in nb.cells)
    if not offer: return
    assert (site/f'{name}.ipynb').read_bytes() == (root/'nbs'/f'{name}.ipynb').read_bytes()
    nbformat.validate(nb)
    assert ('in the folder <code>nbs</code>' in offer[0]) == (name in ('index', 'glossary', '12_solvers', '13_choices', '14_cost')), 'these read files of the repository'

@pytest.mark.parametrize('name', ['00_method', '01_schedule'])
def test_notebook_runs_where_it_was_taken(site, tmp_path, name):
    nb = nbformat.read(shutil.copy(site/f'{name}.ipynb', tmp_path), 4)
    NotebookClient(nb, timeout=200, kernel_name='python3', resources={'metadata': {'path': str(tmp_path)}}).execute()
    assert [o for c in nb.cells if c.cell_type == 'code' for o in c.outputs if o.get('name') == 'stderr'] == []

def test_plain_copies_for_machines(site):
    listed = re.findall(r'\]\((\S+)\.llms\.md\)', (site/'llms.txt').read_text())
    assert set(listed) == set(pages) - {'404'} and len(listed) == len(set(listed)) and listed.index('09_metrics') + 1 == listed.index('32_io')
    for name in listed:
        text = (site/f'{name}.llms.md').read_text()
        assert len(text) < 100_000 and without_pictures(text) == text and text.startswith('# ')
        assert ('*Explorer' in text) == ('class="explorer"' in (site/f'{name}.html').read_text())
        prose = re.sub('^```.*?^```', '', text, flags=re.M | re.S)
        assert not re.search(r'\{[#.]\w|<script|<link|<img', prose)
        for link in re.findall(r'\]\(([^)\s]+)\)', prose):
            if not urlsplit(link).scheme: assert (site/f'{name}.llms.md').parent.joinpath(unquote(link)).resolve().is_file(), f'{name}: {link}'

def test_pictures_have_words(site):
    for file in site.rglob('*.html'):
        words = re.findall('<img [^>]*alt="([^"]*)"', file.read_text())
        assert len(words) == len(re.findall('<img ', file.read_text())) and len(words) == len(set(words)), f'{file.name}: two pictures in the same words, or none'
        for o in words: assert len(o) >= 20 and not re.match('Look|Read|The claim|Holds', o), f'{file.name}: {o} does not say what is seen'

def test_wrong_address_gets_a_page_at_any_depth(page, address):
    for wrong in 'nothing.html', 'nothing/at/all/here.html':
        assert page.goto(address + wrong).status == 404
        page.wait_for_load_state('networkidle')
        assert page.evaluate('getComputedStyle(document.querySelector("#quarto-content")).display') == 'grid', 'its style is missing'
        page.locator('main a', has_text='start here').click()
        assert page.url == f'{address}index.html'
