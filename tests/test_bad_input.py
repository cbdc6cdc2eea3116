"What a person can get wrong: a clear error before any work starts, and no loss to an earlier run"
import dataclasses
import json
import math
import pickle
import shutil
import numpy as np
import pytest
import torch
from PIL import Image
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from progressive_distillation.all import *
from progressive_distillation.explorer import Explorer
from conftest import contents, same, shell, short, small_learner, small_net, weights

tiny = dict(epochs=1, stage_epochs=1, start=2, teacher_steps=2, size=16)
noise = torch.randn(4, 1, 8, 8)
def denoiser(model=None, **kwargs): return Denoiser(model or small_net(), **kwargs)

def make_images(folder, n=6):
    folder.mkdir(parents=True)
    for i in range(n): Image.effect_noise((20, 24), 20 + 30*i).save(folder/f'{i}.png')
    return folder

def missing(folder): pass
def empty(folder): folder.mkdir()
def only_text(folder):
    folder.mkdir()
    (folder/'notes.txt').write_text('no image')
def a_file(folder): folder.write_text('not a folder')
def corrupt(folder): (make_images(folder)/'broken.png').write_bytes(b'\x89PNG and then nothing')
def cut_off(folder):
    Image.effect_noise((64, 64), 50).save(make_images(folder)/'broken.jpg')
    (folder/'broken.jpg').write_bytes((folder/'broken.jpg').read_bytes()[:600])
def nan(folder):
    image = Image.fromarray(np.full((8, 8), np.nan, dtype=np.float32))
    image.save(make_images(folder)/'broken.tif')
folders = [
    (missing, FileNotFoundError, 'no folder'),
    (empty, ValueError, 'no image'),
    (only_text, ValueError, 'no image'),
    (a_file, NotADirectoryError, 'is a file'),
    (corrupt, ValueError, r'1 of 7 images.*\n.*broken\.png'),
    (cut_off, ValueError, r'1 of 7 images.*\n.*broken\.jpg'),
    (nan, ValueError, r'1 of 7 images.*\n.*broken\.tif.*NaN')]

@pytest.mark.parametrize('make, error, words', folders, ids=lambda o: getattr(o, '__name__', ''))
def test_folder(make, error, words, tmp_path):
    make(tmp_path/'images')
    def distill(data, size): pd_distill(data, out=str(tmp_path/'out'), **tiny)
    for call in load_images, image_dls, distill:
        with pytest.raises(error, match=words): call(str(tmp_path/'images'), 16)
    assert not (tmp_path/'out').exists()

@pytest.mark.parametrize('n', [1, 2])
def test_too_few_images(n, tmp_path):
    data = str(make_images(tmp_path/'images', n))
    with pytest.raises(ValueError, match='images'): pd_distill(data, out=str(tmp_path/'out'), **tiny)
    assert not (tmp_path/'out').exists()

settings = {
    'start=32 or 64': dict(start=48),
    'start must be end times': dict(start=1, end=2),
    'end must be': dict(end=0),
    'unknown pred': dict(pred='z'),
    'pred eps': dict(pred='eps'),
    'unknown weight': dict(weight='snr+2'),
    'unknown model': dict(model='mlp'),
    'size must be .* least 4': dict(size=3),
    'samples must be .* least 2': dict(samples=1),
    'unknown clip': dict(clip='no')}
@pytest.mark.parametrize('words', settings)
def test_settings(words):
    with pytest.raises(ValueError, match=words): Settings(**settings[words]).check()

@pytest.mark.parametrize('name', [o.name for o in dataclasses.fields(Settings) if o.type in (int, float)])
def test_a_setting_that_is_no_number_in_range(name):
    for bad in math.nan, math.inf, -1, '8':
        with pytest.raises(ValueError, match=f'{name} must'): Settings(**{name: bad}).check()

unfit = {
    'multiple of patch': dict(model='patchnet', size=17),
    'needs classes': dict(conditional=True),
    'device': dict(device='abacus'),
    'not a run folder': dict(resume=True)}
@pytest.mark.parametrize('words', unfit)
def test_settings_that_do_not_fit(words, tmp_path):
    data, out = str(make_images(tmp_path/'images')), str(tmp_path/'out')
    error = FileNotFoundError if 'resume' in unfit[words] else ValueError
    with pytest.raises(error, match=words): pd_distill(data, out=out, **{**tiny, **unfit[words]})
    assert not (tmp_path/'out').exists()

def bare_learner():
    learn = small_learner()
    learn.model = small_net()
    return learn

def target_at(t, steps, teacher=None): return distillation_target(teacher or denoiser(), noise, t, steps)
no_schedule = 'PatchNet has no schedule: wrap your network'
nans, judge = noise * torch.nan, FeatureNet(1, 8, 2)
unlabelled = tensor_dls(noise.clamp(-1, 1), valid_pct=0)

# What is called, and words of the error, by topic and name
schedules = {
    't negative': (lambda: CosineNoiseSchedule().alpha(torch.tensor([-.1])), r'\[0, 1\].*-0.1'),
    't NaN': (lambda: BetaSchedule.linear().sigma(torch.tensor([torch.nan])), r'\[0, 1\].*nan'),
    't timestep': (lambda: BetaSchedule.linear().snr(torch.tensor(999)), 'divide discrete timesteps'),
    't of the line': (lambda: FlowSchedule().alpha(torch.tensor([1.2])), r'\[0, 1\].*1.2'),
    'not a product': (lambda: BetaSchedule([.1, .2, .3]), 'cumulative product'),
    'truncation': (lambda: CosineNoiseSchedule(20, -20), 'logsnr_min must be below'),
    'one beta': (lambda: BetaSchedule.linear(1), 'steps must be .* at least 2, got 1'),
    'beta 2': (lambda: BetaSchedule.linear(beta_end=2.), r'beta_end must lie in \[0, 1\], got 2'),
    'no signal lost': (lambda: BetaSchedule.linear(5, 0., 0., zero_terminal_snr=True), 'zero_terminal_snr'),
}
denoisers = {
    'schedule by name': (lambda: denoiser(schedule='cosine'), "NoiseSchedule.*'cosine'"),
    'pred': (lambda: denoiser(pred='vv'), "'vv': use one of x, eps, v, x_eps, u"),
    'steps 0': (lambda: denoiser(steps=0), 'steps must be .* at least 1, got 0'),
    "steps '4'": (lambda: denoiser(steps='4'), "steps must be .* at least 1, got '4'"),
    'whole dtype': (lambda: denoiser(compute_dtype=torch.int8), 'floating-point'),
    'dtype by name': (lambda: denoiser(compute_dtype='bfloat16'), "floating-point.*'bfloat16'"),
    't of a model': (lambda: denoiser()(noise, torch.tensor([0., .5, 1., 1.001])), r'\[0, 1\].*1.001'),
    'saved network': (lambda: save_denoiser(small_net(), 'nowhere'), 'PatchNet: wrap your network'),
}
sampling = {
    'steps 0': (lambda: ddim_sample(denoiser(), noise, 0), 'steps must be .* at least 1, got 0'),
    'steps -1': (lambda: ddim_sample(denoiser(), noise, -1), 'steps must be'),
    'steps 1.5': (lambda: ddim_sample(denoiser(), noise, 1.5), 'steps must be'),
    'no steps': (lambda: ddim_sample(denoiser(), noise), 'steps is needed'),
    'bare network': (lambda: ddim_sample(small_net(), noise, 4), no_schedule),
    'no noise': (lambda: make_noise(0, (1, 8, 8)), 'n must be .* at least 1, got 0'),
    'no blur': (lambda: ExactDenoiser(noise, CosineNoiseSchedule(), width=-1), 'width must be .*-1'),
    'no data': (lambda: ExactDenoiser(noise[:0], CosineNoiseSchedule()), 'at least one image'),
}
targets = {
    'steps 0': (lambda: target_at(1., 0), 'steps must be'),
    't too early': (lambda: target_at(.1, 8), r'\[1/steps, 1\]'),
    't 1.5': (lambda: target_at(1.5, 8), r'\[0, 1\].*1.5'),
    'bare teacher': (lambda: target_at(1., 4, small_net()), no_schedule),
    'bare callback': (lambda: DistillationCallback(small_net(), 4), no_schedule),
    'callback steps 0': (lambda: DistillationCallback(denoiser(), 0), 'steps must be'),
    'lookahead': (lambda: DistillationCallback(denoiser(), 4, lookahead=5), r'lookahead must lie in \[0, 1\], got 5'),
    'weight': (lambda: DistillationCallback(denoiser(), 4, weight='big'), "'big': use one of truncated_snr"),
}
distilling = {
    'start': (lambda: small_learner().distill(48, 1), 'start=48 and end=1: try start=32 or 64'),
    'end 0': (lambda: small_learner().distill(64, 0), 'end must be .* at least 1, got 0'),
    'start of student': (lambda: small_learner(denoiser(steps=8)).distill(16, 1), 'distilled for 8 steps'),
    'epochs': (lambda: small_learner().distill(4, 1, epochs=0), 'epochs must be'),
    'ema': (lambda: small_learner().distill(4, 1, ema=1.5), r'must lie in \[0, 1\)'),
    'lookahead': (lambda: small_learner().distill(4, 1, lookahead=-.1), r'lookahead must lie in \[0, 1\]'),
    'bare learner': (lambda: bare_learner().distill(4, 1), no_schedule),
    'bare stage': (lambda: bare_learner().distill_stage(4), no_schedule),
}
learners = {
    'wrong channels': (lambda: small_learner(small_net(out_channels=3)), r'\(64, 1, 8, 8\).*got \(64, 3, 8, 8\)'),
    'one of two': (lambda: small_learner(pred='x_eps'), r'\(64, 2, 8, 8\).*x_eps'),
    'wrong size': (lambda: small_learner(small_net(size=16)), r'shape \(1, 16, 16\), got \(1, 8, 8\)'),
    'UNet channels': (lambda: small_learner(UNet(3, widths=(8, 8))), '3 channels'),
    'any network': (lambda: small_learner(torch.nn.Linear(5, 5)), 'cannot take images of shape'),
    'weight': (lambda: small_learner(weight='none'), "'none': use one of truncated_snr, snr, snr.1, constant"),
    'no labels': (lambda: diffusion_learner(unlabelled, small_net(), conditional=True), 'needs labels'),
}
networks = {
    'UNet size': (lambda: UNet(widths=(8, 8, 8))(torch.zeros(1, 1, 30, 30), torch.ones(1)), 'multiples of 4'),
    'UNet of signals': (lambda: UNet()(torch.zeros(4, 1, 8), torch.ones(4)), r'\(B, 1, H, W\), got \(4, 1, 8\)'),
    'rectangle': (lambda: small_net()(torch.zeros(4, 1, 8, 12), torch.ones(4)), r'got \(1, 8, 12\).*a UNet'),
    'points': (lambda: small_net()(torch.zeros(4, 2), torch.ones(4)), r'images.*got \(2,\)'),
    'clocks': (lambda: TimeEmbedding(8, frequencies=0), 'frequencies must be'),
    'embedding': (lambda: TimeEmbedding(0), 'width must be'),
    'no channels': (lambda: UNet(channels=0), 'channels must be'),
    'widths': (lambda: UNet(widths=(8, 0)), r'widths\[1\] must be'),
    'U-Net depth': (lambda: UNet(depth=-1), 'depth must be .* at least 0, got -1'),
    'classes': (lambda: small_net(classes=-1), 'classes must be .* at least 0'),
    'no width': (lambda: small_net(width=0), 'width must be'),
}
data = {
    'scale': (lambda: tensor_dls(torch.rand(9, 1, 8, 8) * 255), r'\[-1, 1\]'),
    'labels': (lambda: tensor_dls(noise, torch.zeros(3)), 'one label an image'),
    'no images': (lambda: tensor_dls(torch.zeros(0, 1, 8, 8)), 'no images'),
    'one number each': (lambda: tensor_dls(torch.zeros(20)), r'shape \(n, …\).*got \(20,\)'),
    'endless latents': (lambda: tensor_dls(torch.full((20, 2), torch.inf), value_range=None), 'NaN or infinite'),
    'no range': (lambda: tensor_dls(torch.zeros(20, 2), value_range=(1, -1)), r'value_range must be.*\(1, -1\)'),
    'test files': (lambda: tensor_dls(torch.zeros(20, 1, 8, 8)).test_dl(['a.png']), 'images as a tensor'),
    'batch size': (lambda: TensorDataLoader(noise, bs=0), 'bs must be'),
    'draws points': (lambda: show_grid(torch.zeros(4, 2)), r'only images.*got \(4, 2\)'),
    'draws latents': (lambda: tensor_dls(torch.zeros(20, 4, 8, 8)).show_batch(), 'only images.*decode latents'),
    'draws nothing': (lambda: Explorer(lambda n: None, n=[1, 2]).page(), 'draw must return the figure'),
}
judging = {
    'tiny judge': (lambda: FeatureNet(1, 2, 10), 'size must be .* at least 4, got 2'),
    'epochs': (lambda: fit_judge(noise.repeat(3, 1, 1, 1), epochs=0), 'epochs must be'),
    'four images': (lambda: fit_judge(noise), 'at least 5 images'),
    'halves': (lambda: fid_of_halves(noise[:3], judge.body), 'at least 4 images, got 3'),
    'one halving': (lambda: fid_of_halves(noise, judge.body, repeats=1), 'repeats must be'),
    'subsets': (lambda: kid(noise, noise, judge.body, subset_size=1), 'subset_size must be'),
    'one sample': (lambda: kid(noise, noise[:1], judge.body), 'at least 2 images .* got 4 real and 1'),
    'sure of NaN': (lambda: confidence(judge, nans), '4 of 4 .* NaN'),
    'near to NaN': (lambda: nearest_images(nans, noise), '4 of 4 .* NaN'),
    'pair of NaN': (lambda: pairing_error(denoiser(steps=1), denoiser(), nans, 4), '4 of 4 .* NaN'),
}
tables = dict(schedules=schedules, denoisers=denoisers, sampling=sampling, targets=targets, distilling=distilling,
    learners=learners, networks=networks, data=data, judging=judging)
calls = {f'{table}: {name}': row for table, rows in tables.items() for name, row in rows.items()}

@pytest.mark.parametrize('call, words', calls.values(), ids=calls)
def test_call(call, words):
    with pytest.raises(ValueError, match=words): call()

def test_images_from_0_to_1_are_warned_of(recwarn):
    tensor_dls(noise.clamp(-1, 1))
    tensor_dls(torch.rand(9, 2), value_range=None)
    assert not recwarn
    with pytest.warns(UserWarning, match=r'in \[0, 1\]'): tensor_dls(torch.rand(9, 1, 8, 8))

@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_data_that_is_no_number(bad):
    x = torch.zeros(40, 1, 8, 8)
    x[39, 0, 3, 3] = bad
    with pytest.raises(ValueError, match='39.* NaN or infinite|NaN or infinite.* 39'): tensor_dls(x)
    def loaders(x): return DataLoaders(*(DataLoader(list(zip(x)), bs=8, num_workers=0) for _ in range(2)))
    with pytest.raises(ValueError, match='images hold NaN'): diffusion_learner(loaders(x.flip(0)), small_net())
    learn = diffusion_learner(loaders(x), small_net()) # what comes later is found when it comes
    with pytest.raises(ValueError, match='holds NaN or infinite'): learn.fit_anneal(1)
    assert all(o.isfinite().all() for o in learn.model.parameters())

class Canary:
    "A pickle that runs code when it is opened"
    def __init__(self, file): self.file = file
    def __reduce__(self): return open, (str(self.file), 'w')

def truncate(folder, canary):
    whole = (folder/'model.safetensors').read_bytes()
    (folder/'model.safetensors').write_bytes(whole[:-100])
def swap(folder, canary):
    other = save_denoiser(denoiser(), folder.with_name('other'))
    shutil.copy(other/'model.safetensors', folder)
def edit(model={}, **changes):
    def change(folder, canary):
        config = json.loads((folder/'config.json').read_text())
        config |= dict(changes, model={**config['model'], **model})
        (folder/'config.json').write_text(json.dumps(config))
    return change
def text(folder, canary): (folder/'config.json').write_text('{"pred": ')
def checkpoint(folder, canary): torch.save(Canary(canary), folder/'model.pt')
def raw_pickle(folder, canary): (folder/'weights').write_bytes(pickle.dumps(Canary(canary)))
def disguised(folder, canary): torch.save(Canary(canary), folder/'model.safetensors')
def disguised_raw(folder, canary): (folder/'model.safetensors').write_bytes(pickle.dumps(Canary(canary)))
def no_config(folder, canary): (folder/'config.json').unlink()
damages = {
    'truncated': (truncate, 'damaged or does not belong'),
    'of another model': (swap, 'damaged or does not belong'),
    'wider in JSON': (edit(dict(width=16)), 'does not fit'),
    'unknown argument': (edit(dict(colour=1)), 'config.json'),
    'patch 0': (edit(dict(patch=0)), 'config.json'),
    'steps 0': (edit(steps=0), 'steps'),
    'format 3': (edit(format=3), 'reads formats 1 and 2'),
    'format 2': (edit(format=2), 'lacks value_range'),
    'range': (edit(format=2, value_range=[1, 0]), 'value_range in .*config.json must be'),
    'unknown network': (edit(dict(name='GAN')), 'UNet, PatchNet'),
    'unknown pred': (edit(pred='w'), 'use one of x, eps'),
    'cut JSON': (text, 'not valid JSON'),
    'no JSON': (no_config, 'holds no config.json'),
    'checkpoint': (checkpoint, 'pickle'),
    'raw pickle': (raw_pickle, 'pickle'),
    'disguised': (disguised, 'pickle'),
    'disguised raw': (disguised_raw, 'damaged')}
@pytest.mark.parametrize('damage, words', damages.values(), ids=damages)
def test_saved_denoiser(damage, words, tmp_path):
    folder, canary = save_denoiser(denoiser(), tmp_path/'saved'), tmp_path/'canary'
    damage(folder, canary)
    error = FileNotFoundError if damage is no_config else ValueError
    with pytest.raises(error, match=words): load_denoiser(folder)
    assert not canary.exists()

def test_a_network_that_does_not_fit_stays_as_it_is(tmp_path):
    folder, other = save_denoiser(denoiser(), tmp_path/'saved'), small_net(depth=2)
    before = weights(other)
    with pytest.raises(ValueError, match='does not fit the network given as model='): load_denoiser(folder, other)
    assert same(weights(other), before)

def test_saving_overwrites_nothing(tmp_path):
    save_denoiser(denoiser(), tmp_path/'saved')
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match='exists already'): save_denoiser(denoiser(), tmp_path/'saved')
    assert contents(tmp_path) == before

mistakes = { # what is called in a folder of runs, and words of the error
    'existing run': (lambda: pd_distill(out='run'), 'exists already'),
    'other settings': (lambda: pd_distill(out='run', resume=True, lr=.5, seed=3), r'lr 0.5 \(.* 0.002\), seed 3'),
    'default settings': (lambda: pd_distill('digits', 'run', start=32, resume=True), r'start 32 \(.* 8\)'),
    'none in its place': (lambda: pd_distill(out='averaged', ema=None, resume=True), r'ema None \(.* 0.9\)'),
    'no run': (lambda: pd_eval('nowhere'), 'not a run folder'),
    'torn settings': (lambda: pd_eval('torn'), 'run.json is not valid JSON'),
    'no settings': (lambda: pd_eval('bare'), 'lacks data, size'),
    'some settings': (lambda: pd_distill(out='older', resume=True), 'lacks lookahead, bs, lr: write in'),
    'damaged results': (lambda: pd_eval('cut'), 'pd_eval --again'),
    'other images': (lambda: Run('grown').finish(), r'\[1, 8, 8\].* \[1, 9, 9\]'),
    'no teacher': (lambda: pd_sample('untaught', steps=8), 'no teacher yet'),
    'no steps': (lambda: pd_sample('run', steps=0), 'steps must be'),
    'no images': (lambda: pd_sample('run', N=0), 'n must be'),
    'existing picture': (lambda: pd_sample('run', out='run/samples.png'), 'exists already'),
    'no picture': (lambda: pd_sample('run', out='run/a.xyz'), 'must end in .png'),
    'read-only picture': (lambda: pd_sample('run', out='run/a.psd'), 'must end in .png'),
}
missing_files, there_already = {'no run', 'no teacher'}, {'existing run', 'existing picture'}
def error_of(name):
    if name in missing_files: return FileNotFoundError
    return FileExistsError if name in there_already else ValueError

def runs(run, folder):
    "Copies of a run, whole and damaged"
    for name in 'run averaged torn bare older cut grown broken untaught'.split(): shutil.copytree(run, folder/name)
    kept = json.loads((run/'run.json').read_text())
    older = {k: v for k, v in kept.items() if k not in ('lookahead', 'bs', 'lr', 'bf16')} # it need not have the last
    changed = dict(averaged=dict(kept, ema=0.9), grown=dict(kept, shape=[1, 9, 9]), older=older, bare={})
    for name, settings in changed.items(): (folder/name/'run.json').write_text(json.dumps(settings))
    (folder/'torn'/'run.json').write_text('{"data": ')
    (folder/'cut'/'results.json').write_text('{}')
    (folder/'broken'/'student-01'/'model.safetensors').write_bytes(b'')
    shutil.rmtree(folder/'untaught'/'teacher')
    return contents(folder)

def test_mistakes_with_a_run(run, tmp_path, monkeypatch):
    "Each is named, and every file stays as it was"
    before = runs(run, tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, (call, words) in mistakes.items():
        with pytest.raises(error_of(name), match=words): call()
    assert contents(tmp_path) == before

at_the_shell = {'pd_distill --out run --resume --bf16': 'bf16 True (the run has False)', 'pd_sample broken': 'damaged'}
@pytest.mark.parametrize('line, words', at_the_shell.items())
def test_a_mistake_at_the_shell(line, words, run, tmp_path):
    "Status 1 and one line"
    before = runs(run, tmp_path)
    done = shell(*line.split(), cwd=tmp_path)
    assert done.returncode == 1 and words in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert contents(tmp_path) == before

def test_loss_that_is_no_number_keeps_the_last_good_weights(tmp_path):
    out, kept = tmp_path/'out', tmp_path/'out'/'student-04-last-good'
    done = shell('pd_distill', *short, '--stage-lr', '1e30', '--out', out)
    assert done.returncode != 0 and 'Traceback' not in done.stderr
    assert 'in stage 1 of 3 (4 steps) at update' in done.stderr and str(kept) in done.stderr
    assert all(o.isfinite().all() for o in load_denoiser(kept).parameters())
    assert load_denoiser(out/'teacher').steps is None and not (out/'student-04').exists()
