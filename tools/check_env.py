"""Compare the environment this runs in with a constraints file.

Usage: python tools/check_env.py [--mixed] requirements/STACK.txt

Without an option: exit 1, naming each package, if one that the file pins is
installed in another version, if one of the file's mm packages is missing, or
if mmvision_ext itself is. With ``--mixed``: exit 1 if packages of the other
stack are installed beside those of the file. Needs nothing installed.
"""
from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

# What shares an import name, primary stack first.
TWINS = {
    'onedl-mmengine': ('mmengine', 'mmengine-lite'),
    'onedl-mmcv': ('mmcv', 'mmcv-lite'),
    'onedl-mmdetection': ('mmdet',),
    'onedl-mmsegmentation': ('mmsegmentation',),
    'onedl-mmpretrain': ('mmpretrain',),
    'onedl-mim': ('openmim',),
}
PIN = re.compile(
    r"(?P<name>[\w.-]+)==(?P<version>[^;\s]+)"
    r"(; python_version (?P<sign><|>=) '3\.(?P<minor>\d+)')?$")


def read_pins(path: Path) -> dict[str, str]:
    """Read the pins that hold for the running Python.

    Args:
        path (Path): A constraints file of ``name==version`` lines, each
            possibly with a marker ``; python_version < '3.11'`` or ``>=``.

    Returns:
        dict[str, str]: Version by normalised name.

    Raises:
        ValueError: If a line is of another form.
    """
    pins = {}
    for line in path.read_text('utf-8').splitlines():
        if not line or line.startswith('#'):
            continue
        match = PIN.match(line)
        if match is None:
            raise ValueError(f'{path}: cannot read the pin {line!r}')
        older = sys.version_info[1] < int(match['minor'] or 0)
        if match['sign'] and older != (match['sign'] == '<'):
            continue
        pins[match['name'].lower()] = match['version']
    return pins


def installed() -> dict[str, str]:
    """List what is installed.

    Returns:
        dict[str, str]: Version by normalised name.
    """
    return {
        re.sub(r'[-_.]+', '-', dist.metadata['Name']).lower(): dist.version
        for dist in metadata.distributions() if dist.metadata['Name']
    }


def find_mixed(pins: dict[str, str], present: dict[str, str]) -> list[str]:
    """Find packages of the stack that the pins are not of.

    Args:
        pins (dict[str, str]): The pins of the wanted stack.
        present (dict[str, str]): What is installed.

    Returns:
        list[str]: A sentence a package.
    """
    other = [name for primary, second in TWINS.items()
             for name in ((primary, ) if primary not in pins else second)]
    return [f'{name} {present[name]} belongs to the other stack'
            for name in other if name in present and name not in pins]


def find_faults(pins: dict[str, str], present: dict[str, str]) -> list[str]:
    """Find where the environment departs from the pins.

    Args:
        pins (dict[str, str]): The pins of the wanted stack.
        present (dict[str, str]): What is installed.

    Returns:
        list[str]: A sentence a fault.
    """
    faults = find_mixed(pins, present)
    for name, version in pins.items():
        found = present.get(name)
        # A local part (2.11.0+cpu) names a build, not another version.
        if found is not None and found.split('+')[0] != version:
            faults.append(f'{name} is {found}, expected {version}')
    twins = {name for primary, second in TWINS.items()
             for name in (primary, *second)}
    required = (twins & pins.keys()) | {'torch', 'torchvision'}
    faults += [f'{name} {pins[name]} is missing'
               for name in sorted(required - present.keys())]
    if 'mmvision-ext' not in present:
        faults.append('mmvision_ext is not installed')
    return faults


def main(argv: list[str]) -> int:
    """Run the check.

    Args:
        argv (list[str]): The arguments, without the program's name.

    Returns:
        int: The exit status, 1 where there is a fault.
    """
    mixed = argv[:1] == ['--mixed']
    pins = read_pins(Path(argv[-1]))
    check = find_mixed if mixed else find_faults
    faults = check(pins, installed())
    for fault in faults:
        print(f'  {fault}')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
