"The networks in the reader's browser: what they draw, how fast, and whether they agree with Python"
import json
import numpy as np, pytest
from conftest import no_site

if no_site: pytest.skip(no_site, allow_module_level=True)


@pytest.fixture(scope='module')
def page(browser, address):
    page = browser.new_page()
    page.goto(f'{address}live.html')
    yield page
    page.close()


def picture(page, who):
    "The shades of grey of the teacher's or the student's picture, row by row"
    return page.evaluate("""id => {
        const o = document.getElementById(id), { data } = o.getContext('2d').getImageData(0, 0, o.width, o.height);
        return [...data].filter((_, i) => i % 4 === 0);
    }""", f'live-{who}-picture')

def wait_until_done(page):
    idle = "document.getElementById('live-sample').getAttribute('aria-disabled') === 'false'"
    page.wait_for_function(idle, timeout=120_000)

def press(page, button='sample'):
    "Press the button and wait for the verdict; answers both pictures"
    page.click(f'#live-{button}')
    wait_until_done(page)
    assert 'times as long' in page.inner_text('#live-status')
    return [picture(page, who) for who in ('teacher', 'student')]

def expected(page, name, steps, count, seed):
    "The picture of the samples that the test below compares with Python's: rows of images with grey lines between"
    draw = '([name, steps, length, seed]) => liveSample(name, steps, liveNoise(length, seed))'
    images = np.array(page.evaluate(draw, [name, steps, count*64, seed])).reshape(count, 8, 8)
    side = round(count**0.5)
    paper = np.full((side*9 + 1, side*9 + 1), 128)
    for i, image in enumerate(images):
        row, column = i//side*9 + 1, i%side*9 + 1
        grey = np.floor(127.5*(image.clip(-1, 1) + 1) + 0.5) # halves go up, as in JavaScript
        paper[row:row + 8, column:column + 8] = grey
    return paper.ravel().tolist()

def test_nothing_is_loaded_before_the_button(browser, address):
    page, asked = browser.new_page(), []
    page.on('request', lambda o: asked.append(o.url))
    page.goto(f'{address}live.html')
    page.wait_for_load_state('networkidle')
    page.close()
    assert not [o for o in asked if o.endswith(('.wasm', '.onnx'))]

def test_the_noise_is_shown_first(page):
    pictures = [picture(page, who) for who in ('teacher', 'student')]
    said = page.get_attribute('#live-student-picture', 'aria-label')
    assert pictures[0] == pictures[1] and said == 'the noise that the student starts from'
    page.fill('#live-seed', '7')
    page.dispatch_event('#live-seed', 'change')
    assert picture(page, 'teacher') != pictures[0]

@pytest.mark.parametrize('steps, student, count, seed', [(256, 1, 16, 1), (8, 4, 64, 2)])
def test_the_button_draws_the_samples(page, steps, student, count, seed):
    chosen = dict(steps=steps, student=student, count=count)
    for name, value in chosen.items(): page.select_option(f'#live-{name}', str(value))
    page.fill('#live-seed', str(seed))
    found = press(page)
    walks = ('teacher', steps), (f'student-{student:02}', student)
    assert found == [expected(page, name, n, count, seed) for name, n in walks]
    assert press(page) == found, 'the same noise number gave other pictures'
    for who, n in ('teacher', steps), ('student', student):
        words = page.inner_text(f'#live-{who}-words')
        assert words.startswith(f"{who}, {n} step{'s'*(n > 1)}: ") and f' ms for {count} digits' in words

def test_what_is_chosen_stays_while_it_runs(page):
    page.select_option('#live-steps', '256')
    page.evaluate("""() => {
        const status = document.getElementById('live-status');
        window.said = [];
        new MutationObserver(() => said.push(status.textContent)).observe(status, {childList: true});
    }""")
    page.focus('#live-sample')
    page.keyboard.press('Enter')
    assert all(page.locator(f'#live-{o}').is_disabled() for o in ('steps', 'student', 'count', 'seed'))
    page.click('#live-new') # not now
    wait_until_done(page)
    assert page.evaluate("document.activeElement.id") in ('live-sample', 'live-new')
    assert len(page.evaluate('said')) < 12, 'a screen reader is told every step'
    assert all(page.locator(f'#live-{o}').is_enabled() for o in ('steps', 'student', 'count', 'seed'))
    assert 'noise so far' not in page.inner_text('.live-pictures')

def test_new_noise_is_new(page):
    before = press(page), page.input_value('#live-seed')
    after = press(page, 'new'), page.input_value('#live-seed')
    assert all(a != b for a, b in zip(before[0], after[0])) and before[1] != after[1]

@pytest.mark.parametrize('wrong', ['', '-1', '1.5', '1000000'])
def test_a_noise_number_that_is_none_is_refused(page, wrong):
    page.fill('#live-seed', '3')
    before = press(page)
    page.fill('#live-seed', wrong)
    page.click('#live-sample')
    said = f"The noise number must be a whole number from 0 to 999,999, got {wrong or 'none'}."
    assert page.inner_text('#live-status') == said
    assert [picture(page, who) for who in ('teacher', 'student')] == before

def test_the_page_agrees_with_python(page, site):
    live = json.loads((site/'live'/'live.json').read_text())
    compared = {(o['name'], o['steps']) for o in live['reference']}
    assert compared >= {('teacher', 256), ('student-04', 4), ('student-01', 1)}
    for o in live['reference']:
        walk = [o['name'], o['steps'], live['noise']]
        here = page.evaluate('([name, steps, noise]) => liveSample(name, steps, noise)', walk)
        assert max(abs(a - b) for a, b in zip(here, o['images'], strict=True)) < 1e-4

def test_a_missing_network_is_named(browser, address):
    page = browser.new_page()
    page.route('**/*.onnx', lambda route: route.fulfill(status=404))
    page.goto(f'{address}live.html')
    page.click('#live-sample')
    page.locator('#live-status', has_text='did not work').wait_for(timeout=60_000)
    assert 'teacher.onnx is missing (404): build the site with "make site"' in page.inner_text('#live-status')
    page.close()
