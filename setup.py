"Reads every field of `settings.ini` that `pyproject.toml` calls dynamic"
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup

config = ConfigParser()
config.read(Path(__file__).with_name("settings.ini"), encoding="utf-8")
cfg = config["DEFAULT"]
lib, course, dev = cfg["lib_name"], cfg["course_requirements"].split(), cfg["dev_requirements"].split()
setup(
    version=cfg["version"], description=cfg["description"], author=cfg["author"], license=cfg["license"],
    keywords=cfg["keywords"].split(), python_requires=f">={cfg['min_python']}",
    install_requires=cfg["requirements"].split(), extras_require={"course": course, "dev": course + dev},
    long_description=Path("README.md").read_text(encoding="utf-8"), long_description_content_type="text/markdown",
    entry_points={"console_scripts": cfg["console_scripts"].split(), "nbdev": [f"{lib}={lib}._modidx:d"]},
)
