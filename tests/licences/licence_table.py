"""Make docs/licencas.md: the licence of everything that the course holds, builds or installs.

Run ``python tests/licences/licence_table.py`` in the tested environment (constraints.txt) after
adding a dependency, a model, a dataset or a picture. What packages say of themselves is written in
many ways: it becomes SPDX here, and a licence that is not known to be free is an error.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from helpers import models  # noqa: E402 - found through the line above
from helpers.bootstrap import requirement_lines  # noqa: E402
from helpers.embedded.catalog import Repository, catalog, repositories  # noqa: E402

DOCUMENT = ROOT / "docs" / "licencas.md"
EMBEDDED = ROOT / "helpers" / "embedded"
# A dependency of PyTorch, and what the course's own package is built with; `pip freeze` hides it.
NOT_IN_CONSTRAINTS = {"setuptools": "MIT"}

# Licences under which a course may be made, taught and given away.
FREE = {
    "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC-BY-2.0",
    "CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "CNRI-Python", "ISC", "LLVM-exception",
    "LGPL-2.1-or-later", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib",
}  # fmt: skip
# What older packages write in the field `License`, by its beginning, and in their classifiers.
BEGINNINGS = {
    "apache": "Apache-2.0",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "isc": "ISC",
    "mit license": "MIT",
    "psfl": "PSF-2.0",
}
CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
PICTURES = {"CC0 1.0", "CC BY 2.0", "domínio público", "sem restrições conhecidas"}
KINDS = {"model": "modelo", "dataset": "dados", "space": "Space"}

INTRODUCTION = """\
# Licenças

Com que licença vem cada coisa que o curso traz, monta ou instala. São todas livres: dá para usar em
aula, copiar e adaptar, inclusive em curso pago, cumprindo o que cada licença pede. A única exceção
está no fim da página.

Esta página é escrita por `python tests/licences/licence_table.py`, a partir do catálogo e do que
cada pacote diz de si; não a edite à mão.

## O curso

| O que | Licença |
| --- | --- |
| código (`helpers/`, `tests/`, as células dos notebooks...) | [Apache-2.0](../LICENSE) |
| textos e figuras (a prosa dos notebooks, `docs/imagens/`, README) | [CC BY 4.0](../LICENSE-TEXT) |

O repositório não traz nenhuma fonte tipográfica: páginas e slides usam as do seu computador.
"""
NVIDIA = """\
## A exceção

No Linux, o PyTorch do PyPI instala também as bibliotecas CUDA da NVIDIA (pacotes `nvidia-*` e
`cuda-*`), gratuitas, mas não livres, sob o contrato da NVIDIA. O curso não as distribui e não
precisa delas: sem GPU, a versão `+cpu` do PyTorch vem sem elas."""


class Unknown(Exception):
    """A licence that nobody has judged yet."""


def checked(expression: str, owner: str) -> str:
    """Return a licence expression, if all of it is free.

    Raises:
        Unknown: if a part of it is none of the licences in `FREE`.
    """
    for part in re.findall(r"[^\s()]+", expression):
        if part not in {"AND", "OR", "WITH"} and part not in FREE:
            raise Unknown(f"{owner}: {part!r} (in {expression!r}) is no licence of FREE")
    return expression


def of_package(name: str) -> str:
    """Return the licence of an installed package, in SPDX.

    Raises:
        Unknown: if the package does not say it, or says one that is not free.
    """
    said = metadata.metadata(name)
    expression = said.get("License-Expression")
    if expression:
        return checked(expression, name)
    field = (said.get("License") or "").strip()
    try:
        return checked(field or "unknown", name)
    except Unknown:
        pass
    for beginning, licence in BEGINNINGS.items():
        if field.lower().startswith(beginning):
            return licence
    prefix = "License :: OSI Approved :: "
    classifiers = [c.removeprefix(prefix) for c in said.get_all("Classifier") or []]
    known = sorted({CLASSIFIERS[c] for c in classifiers if c in CLASSIFIERS})
    if not known:
        raise Unknown(f"{name} says {field[:60]!r}")
    return " AND ".join(known)


def of_repository(repository: Repository) -> str:
    """Return the licence of an embedded model, dataset or Space, in SPDX."""
    if repository.licence != "other":
        return checked(spdx(repository.licence), repository.id)
    if repository.needs:
        parts = {of_repository(catalog().repository(needed)) for needed in repository.needs}
        return checked(" AND ".join(sorted(parts)), repository.id)
    if repository.id == "curso/imagens":
        return "uma por imagem (abaixo)"
    raise Unknown(f"{repository.id}: 'other'")


def spdx(identifier: str) -> str:
    """Return an identifier as SPDX writes it; the Hub writes it in small letters."""
    return next((name for name in FREE if name.lower() == identifier.lower()), identifier)


def package_names() -> dict[str, str]:
    """Return each installed package's use: a part of the course, or `indireta`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    direct = {"notebooks": project["dependencies"], "lab": extras["lab"], "testes": extras["test"]}
    uses = {canonical(_name(line)): use for use, lines in direct.items() for line in lines}
    names = [_name(line) for line in requirement_lines(ROOT / "constraints.txt")]
    every = sorted([*names, *NOT_IN_CONSTRAINTS], key=canonical)
    return {name: uses.get(canonical(name), "indireta") for name in every}


def canonical(name: str) -> str:
    """Return a package's name as the index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def render() -> str:
    """Return the document.

    Raises:
        Unknown: if a licence is not known to be free.
    """
    packages = (
        f"| [{name}](https://pypi.org/project/{canonical(name)}/) | {use} | {of_package(name)} |"
        for name, use in package_names().items()
    )
    sections = [
        INTRODUCTION,
        *_section("Modelos, dados e Spaces embutidos", "Nome | O que é | Licença", _embedded()),
        *_section("As fotos de `curso/imagens`", "Imagem | Autor | Licença", _pictures()),
        *_section("De onde os modelos e os dados são tirados", "Pacote | Licença", _sources()),
        *_section("Modelos do Hub que o curso escolhe", "Modelo | Licença", _hub()),
        *_section("Bibliotecas de Python", "Pacote | Para quê | Licença", packages),
        NVIDIA,
    ]
    return "\n".join(sections) + "\n"


def _section(title: str, header: str, rows: Iterator[str]) -> list[str]:
    columns = header.count("|") + 1
    return [f"## {title}", "", f"| {header} |", "|" + " --- |" * columns, *rows, ""]


def _embedded() -> Iterator[str]:
    for repository in repositories():
        card = repository.card.relative_to(ROOT).as_posix()
        kind = KINDS[repository.kind]
        yield f"| [`{repository.id}`](../{card}) | {kind} | {of_repository(repository)} |"


def _pictures() -> Iterator[str]:
    path = EMBEDDED / "datasets" / "imagens" / "pictures.toml"
    for picture in tomllib.loads(path.read_text("utf-8"))["picture"]:
        if picture["licence"] not in PICTURES:
            raise Unknown(f"{picture['file']}: {picture['licence']!r}")
        yield f"| {picture['name']} | {picture['author']} | {picture['licence']} |"


def _sources() -> Iterator[str]:
    for package in catalog().packages.values():
        licence = checked(spdx(package.licence), package.name)
        yield f"| [{package.name}]({package.homepage}) | {licence} |"
    reveal = tomllib.loads((ROOT / "helpers/decks/reveal.toml").read_text("utf-8"))["package"]
    licence = checked(spdx(reveal["licence"]), reveal["name"])
    taken = f"o [reveal.js]({reveal['homepage']}), dos slides, sob MIT"
    yield f"| {reveal['name']}, do qual se tira {taken} | {licence} |"


def _hub() -> Iterator[str]:
    chosen = {
        choice.hub_id: checked(spdx(choice.licence), choice.hub_id)
        for task in models.tasks()
        for choice in models.choices(task)
    }
    for hub_id, licence in sorted(chosen.items(), key=lambda item: item[0].lower()):
        yield f"| [{hub_id}](https://huggingface.co/{hub_id}) | {licence} |"


def _name(line: str) -> str:
    return re.split(r"[<>=!~ \[]", line)[0]


def main() -> None:
    """Write the document."""
    DOCUMENT.write_text(render(), encoding="utf-8", newline="\n")
    print(DOCUMENT.relative_to(ROOT).as_posix())


if __name__ == "__main__":
    main()
