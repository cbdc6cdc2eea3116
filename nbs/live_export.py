"Writes what the page 'Sample in your browser' needs: the teacher and two students as ONNX, the numbers of every walk, and images to compare with"
from json import dumps
from pathlib import Path
import torch
from fastcore.script import call_parse
from progressive_distillation.all import ddim_coefficients, ddim_sample, export_onnx, load_denoiser, make_noise

offered = 256, 64, 32, 16, 8, 4, 2, 1


def walk(schedule, steps):
    "Time and DDIM's two numbers for each step, from noise to image"
    times = torch.arange(steps, -1, -1, dtype=torch.float64) / steps
    return torch.stack([times[:-1], *ddim_coefficients(times[:-1], times[1:], schedule)], 1).tolist()


@call_parse
def main(
    run:str, # folder of a finished pd_distill with students of 4 steps and 1
    out:str, # folder to write into
):
    "Write teacher.onnx, student-04.onnx, student-01.onnx and live.json"
    run, out = Path(run), Path(out)
    networks = {name: load_denoiser(run/name) for name in ('teacher', 'student-04', 'student-01')}
    shape = tuple(networks['teacher'].model.config.get(k, d) for k, d in dict(channels=1, size=8).items())
    shape = shape[0], shape[1], shape[1]
    for name, denoiser in networks.items():
        (out/f'{name}.onnx').unlink(missing_ok=True)
        export_onnx(denoiser, out/f'{name}.onnx', shape)
    noise = make_noise(4, shape, seed=0)
    reference = [dict(name=name, steps=steps, images=ddim_sample(networks[name], noise, steps).flatten().tolist()) for name, steps in (('teacher', 256), ('teacher', 16), ('student-04', 4), ('student-01', 1))]
    (out/'live.json').write_text(dumps(dict(networks=list(networks), shape=shape, walks={n: walk(networks['teacher'].schedule, n) for n in offered}, noise=noise.flatten().tolist(), reference=reference)))
    print(f"{len(networks)} networks, {sum(o.stat().st_size for o in out.glob('*.onnx'))/1e6:.1f} MB, in {out}")
