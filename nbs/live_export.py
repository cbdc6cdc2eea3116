"Writes what the page 'Sample in your browser' needs: networks as ONNX, numbers of each walk, images to compare with"
from json import dumps
from pathlib import Path
import torch
from fastcore.script import call_parse
from progressive_distillation.all import ddim_sample, export_onnx, load_denoiser, make_noise, Settings
from progressive_distillation.sampling import Walk

offered = 256, 64, 32, 16, 8, 4, 2, 1


@call_parse
def main(
    run:str, # folder of a finished pd_distill with students of 4 steps and 1
    out:str, # folder to write into
):
    "Write teacher.onnx, student-04.onnx, student-01.onnx and live.json"
    run, out, shape = Path(run), Path(out), Settings.read(run).shape
    networks = {name: load_denoiser(run/name) for name in ('teacher', 'student-04', 'student-01')}
    walks = {}
    for n in offered:
        walk = Walk.along(networks['teacher'].schedule, torch.linspace(1, 0, n + 1, dtype=torch.float64))
        walks[n] = torch.stack([walk.t, walk.c_x, walk.c_z], 1).tolist()
    for name, denoiser in networks.items():
        (out/f'{name}.onnx').unlink(missing_ok=True)
        export_onnx(denoiser, out/f'{name}.onnx', shape)
    noise = make_noise(4, shape, seed=0)
    reference = []
    for name, steps in ('teacher', 256), ('teacher', 16), ('student-04', 4), ('student-01', 1):
        images = ddim_sample(networks[name], noise, steps).flatten().tolist()
        reference.append(dict(name=name, steps=steps, images=images))
    live = dict(networks=list(networks), shape=shape, walks=walks, noise=noise.flatten().tolist(), reference=reference)
    (out/'live.json').write_text(dumps(live))
    print(f"{len(networks)} networks, {sum(o.stat().st_size for o in out.glob('*.onnx'))/1e6:.1f} MB, in {out}")
