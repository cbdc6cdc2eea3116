"Make your diffusion model sample in 8, 4, 2 or 1 steps"
import warnings
from importlib.metadata import version

__version__ = version("progressive_distillation")
# fastai's, at import; nothing a reader can do
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
