"""What every notebook of the course must keep to: one small function a rule.

A rule receives a `Lesson` and returns its problems as sentences; an empty list is a pass.
`test_rules.py` tries each rule on a made-up notebook, `test_lint.py` applies them to the course's.
"""

import json
import re
import statistics
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat

from tests.notebooks import contrast

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks" / "pt"
MAX_FILE_BYTES = 300 * 1024
MAX_CELL_LINES = 25
MAX_MEDIAN_LINES = 5
MAX_LINE_CHARACTERS = 100
MIN_ALT_CHARACTERS = 15
OBJECTIVES_LINE = "**Ao final, você saberá:**"
WIDGET = "application/vnd.jupyter.widget-view+json"

Cell = Any


@dataclass(frozen=True)
class Lesson:
    """A notebook to be judged: where it is, what is in it, and its size in bytes."""

    path: Path
    node: Any
    size: int

    @classmethod
    def read(cls, path: Path) -> "Lesson":
        return cls(path, nbformat.read(path, as_version=4), path.stat().st_size)

    @property
    def cells(self) -> list[Cell]:
        return list(self.node.cells)

    @property
    def code(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.cell_type == "code"]

    @property
    def markdown(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.cell_type == "markdown"]

    @property
    def outputs(self) -> Iterator[tuple[Cell, Any]]:
        return ((cell, output) for cell in self.code for output in cell.get("outputs", []))


def notebook_paths() -> list[Path]:
    """List the course's notebooks, in order."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def where(lesson: Lesson, cell: Cell) -> str:
    """Name a cell so that its author finds it: its place and its first line."""
    place = next(index for index, other in enumerate(lesson.cells) if other is cell)
    first_line = (cell.source.splitlines() or [""])[0]
    return f"cell {place} ({first_line[:60]!r})"


def prose(markdown: str) -> str:
    """Return Markdown without fenced and inline code, link targets, addresses and HTML tags."""
    text = re.sub(r"^ *(```|~~~).*?^ *\1 *$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    text = re.sub(r"https?://\S+", "", text)
    return re.sub(r"<[^>\n]*>", "", text)


def without_fences(markdown: str) -> str:
    """Return Markdown without fenced code, where a `#` starts a comment and not a heading."""
    return re.sub(r"^ *(```|~~~).*?^ *\1 *$", "", markdown, flags=re.DOTALL | re.MULTILINE)


def headings(lesson: Lesson) -> list[tuple[int, str]]:
    """List (level, title) of all headings, in order."""
    return [
        (len(marks), title.strip())
        for cell in lesson.markdown
        for marks, title in re.findall(
            r"^(#{1,6}) +(.+?) *#*$", without_fences(cell.source), flags=re.MULTILINE
        )
    ]


def objectives(lesson: Lesson) -> list[str]:
    """Read the numbered objectives from the first cell; empty where there are none."""
    _, found, after = lesson.cells[0].source.partition(OBJECTIVES_LINE)
    if not found:
        return []
    numbered = re.findall(r"^(\d+)\. +(.+)$", after, flags=re.MULTILINE)
    return [text for position, (number, text) in enumerate(numbered, 1) if int(number) == position]


def output_texts(output: Any) -> list[str]:
    """Return everything textual in an output: streams, errors and each textual MIME type."""
    parts = [output.get("text", ""), output.get("evalue", ""), *output.get("traceback", [])]
    for kind, content in output.get("data", {}).items():
        if not kind.startswith("image/") or kind == "image/svg+xml":
            parts.append(content if isinstance(content, str) else json.dumps(content))
    return [part for part in parts if part]


@cache
def repository_is_set() -> bool:
    """Say whether pyproject.toml already names the public repository."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project.get("urls", {}).get("Repository", "")
    return bool(address) and "OWNER" not in address


# --- the opening -----------------------------------------------------------------------------


def starts_with_title_and_promise(lesson: Lesson) -> list[str]:
    """The first cell is an H1 and, under it, one sentence that says what the learner gets."""
    if not lesson.cells or lesson.cells[0].cell_type != "markdown":
        return ["the first cell is not Markdown"]
    blocks = [block.strip() for block in lesson.cells[0].source.split("\n\n") if block.strip()]
    if not re.fullmatch(r"# +\S.*", blocks[0]):
        return ["the first cell does not start with an H1 on a line of its own"]
    promise = blocks[1] if len(blocks) > 1 else ""
    if not promise or promise[0] in "|#*[!<-" or promise[-1] not in ".!?":
        return ["there is no sentence of promise right under the H1"]
    if len(re.findall(r"[.!?](?=\s|$)", promise)) > 1:
        return ["the promise under the H1 is more than one sentence"]
    return []


def has_colab_link(lesson: Lesson) -> list[str]:
    """A Colab badge to this very file, or a note while the repository has no address."""
    opening = lesson.cells[0].source.partition("|")[0]
    badge = re.search(r"https://colab\.research\.google\.com/github/(\S+?)\)", opening)
    if badge:
        if not badge[1].endswith(f"/notebooks/{lesson.path.parent.name}/{lesson.path.name}"):
            return [f"the Colab badge opens another file: {badge[1]}"]
        return []
    if repository_is_set():
        return ["there is no Colab badge between the promise and the table"]
    if not re.search(r"ainda (sem|não tem) link", opening):
        return ["there is neither a Colab badge nor the note that it has no link yet"]
    return []


def has_header_table(lesson: Lesson) -> list[str]:
    """The first cell has the table, and the numbered objectives under it."""
    source = lesson.cells[0].source
    rows = re.findall(r"^\| *([^|]*?) *\| *([^|\n]*\S) *\| *$", source, flags=re.MULTILINE)
    filled = [name for name, _ in rows]
    problems = [
        f"the header table has no row {wanted!r}"
        for wanted in ("Objetivos", "Duração", "Precisa de", "Antes")
        if not any(name.strip("*").startswith(wanted) for name in filled)
    ]
    if OBJECTIVES_LINE not in source:
        problems.append(f"the line {OBJECTIVES_LINE} is missing under the table")
    elif len(objectives(lesson)) < 2:
        problems.append("there are fewer than two numbered objectives (1., 2., ...)")
    return problems


def starts_with_setup(lesson: Lesson) -> list[str]:
    """The first code cell is the setup cell, and says why its output is not compared."""
    if not lesson.code:
        return ["there is no code cell"]
    cell = lesson.code[0]
    problems = []
    if not cell.source.startswith("try:\n    import helpers\nexcept ModuleNotFoundError:"):
        problems.append("the first code cell is not the setup cell")
    if not cell.source.endswith("\ncourse = helpers.setup()"):
        problems.append("the setup cell does not end with course = helpers.setup()")
    if "nbval-ignore-output" not in cell.metadata.get("tags", []):
        problems.append("the setup cell has no tag nbval-ignore-output")
    return problems


def same_setup(lessons: Sequence[Lesson]) -> list[str]:
    """The setup cell is the same, byte for byte, in all notebooks."""
    with_code = [lesson for lesson in lessons if lesson.code]
    return [
        f"{lesson.path.name}: the setup cell differs from that of {with_code[0].path.name}"
        for lesson in with_code[1:]
        if lesson.code[0].source != with_code[0].code[0].source
    ]


# --- structure -------------------------------------------------------------------------------


def headings_step_by_one(lesson: Lesson) -> list[str]:
    """There is one H1, and no heading skips a level."""
    found = headings(lesson)
    problems = []
    titles = [title for level, title in found if level == 1]
    if len(titles) != 1:
        problems.append(f"there are {len(titles)} H1 headings: {titles}")
    problems += [
        f"{title!r} (H{level}) comes after {before!r} (H{above})"
        for (above, before), (level, title) in pairwise(found)
        if level > above + 1
    ]
    return problems


def ends_with_summary_and_next_step(lesson: Lesson) -> list[str]:
    """The last two sections are the summary and the next step."""
    last_two = [title for level, title in headings(lesson) if level == 2][-2:]
    if len(last_two) == 2 and last_two[0] == "Resumo" and last_two[1].startswith("Próximo passo"):
        return []
    return [f"the last two sections are not 'Resumo' and 'Próximo passo', but {last_two}"]


QUIZ_HEADING = "Confira o que ficou"


def has_its_quiz(lesson: Lesson) -> list[str]:
    """The section before the summary has one code cell, which shows this notebook's own quiz."""
    titles = [title for level, title in headings(lesson) if level == 2]
    if QUIZ_HEADING not in titles[-3:-2]:
        return [f"the section before the summary is not {QUIZ_HEADING!r}"]
    begin = next(
        place for place, cell in enumerate(lesson.cells) if f"## {QUIZ_HEADING}" in cell.source
    )
    shown = [cell.source for cell in lesson.cells[begin:] if cell.cell_type == "code"]
    wanted = f'helpers.quiz("{lesson.path.name[:2]}")'
    calls = [cell.source for cell in lesson.code if "helpers.quiz(" in cell.source]
    if shown == [wanted] and calls == [wanted]:
        return []
    return [
        f"{QUIZ_HEADING!r} must hold {wanted} alone, and no other cell may show a quiz: {shown}"
    ]


def cells_have_ids(lesson: Lesson) -> list[str]:
    """Each cell has an id of its own, so that a diff follows it."""
    ids = [cell.get("id") for cell in lesson.cells]
    problems = [f"{where(lesson, cell)} has no id" for cell in lesson.cells if not cell.get("id")]
    if len(set(filter(None, ids))) != len(list(filter(None, ids))):
        problems.append("two cells have the same id")
    return problems


def code_cells_are_short(lesson: Lesson) -> list[str]:
    """At most 25 lines a cell and 100 characters a line; the median is 1 to 5 lines."""
    problems = []
    lengths = []
    for cell in lesson.code:
        lines = cell.source.splitlines()
        lengths.append(len(lines))
        if not cell.source.strip():
            problems.append(f"{where(lesson, cell)} is empty")
        if len(lines) > MAX_CELL_LINES:
            problems.append(f"{where(lesson, cell)} has {len(lines)} lines")
        problems += [
            f"{where(lesson, cell)} has a line of {len(line)} characters: {line[:40]!r}"
            for line in lines
            if len(line) > MAX_LINE_CHARACTERS
        ]
    if lengths and not 1 <= statistics.median(lengths) <= MAX_MEDIAN_LINES:
        problems.append(f"the median code cell has {statistics.median(lengths)} lines")
    return problems


# --- what a code cell may say ----------------------------------------------------------------


def installs_replace_nothing(lesson: Lesson) -> list[str]:
    """No `pip install -U` and no pinned version: on Colab nothing is replaced."""
    problems = []
    for cell in lesson.code:
        for line in cell.source.splitlines():
            if not re.search(r"\bpip3? install\b", line):
                continue
            if re.search(r"\s(-U|--upgrade|--force-reinstall)\b", line):
                problems.append(f"{where(lesson, cell)} upgrades what is installed: {line!r}")
            if re.search(r"[=~]=|<=?\s*\d", line):
                problems.append(f"{where(lesson, cell)} pins a version: {line!r}")
    return problems


DEPRECATED = {
    "a pipeline that left transformers": (
        r"""pipeline\(\s*(?:task\s*=\s*)?["']"""
        r"""(?:question-answering|translation\w*|summarization|text2text-generation)["']"""
    ),
    "the host that no longer exists": r"api-inference\.huggingface\.co",
    "torch_dtype (now dtype)": r"\btorch_dtype\s*=",
    "use_auth_token (now token)": r"\buse_auth_token\b",
    "a TensorFlow or Flax class": r"""(?<!["'])\b(?:TF|Flax)[A-Z][a-z]\w*""",
    "wait_for_model": r"wait[_-]for[_-]model",
    "8 or 4 bits without a BitsAndBytesConfig": r"from_pretrained\([^()]*\bload_in_[48]bit",
    "huggingface-cli (now hf)": r"\bhuggingface-cli\b",
    "the evaluate package, which is no dependency": r"(?m)^\s*(?:import|from)\s+evaluate\b",
    # Names that no library of the course holds any more, the oldest version included.
    "a name that left the libraries": (
        r"\b(?:cached_download|InferenceApi|HfFolder|ModelFilter|DatasetFilter|set_access_token"
        r"|load_metric|list_metrics|AutoModelWithLMHead|as_target_tokenizer|evaluation_strategy"
        r"|return_all_scores|grouped_entities|TRANSFORMERS_CACHE|HF_HUB_ENABLE_HF_TRANSFER)\b"
        r"|\bhuggingface_hub(?:\.| import .*?\b)Repository\b|\bTrainer\([^()]*\btokenizer\s*="
    ),
}
HISTORY_MARK = "# história"


def nothing_is_deprecated(lesson: Lesson) -> list[str]:
    """No name that left the libraries, except on lines marked as history."""
    code = [(cell, cell.source) for cell in lesson.code]
    code += [(cell, source) for cell in lesson.markdown for source in fences(cell.source)]
    return [
        f"{where(lesson, cell)} uses {name}" for cell, source in code for name in deprecated(source)
    ]


def deprecated(source: str) -> list[str]:
    """Name what a piece of code uses that left the libraries."""
    living = "\n".join(line for line in source.splitlines() if HISTORY_MARK not in line)
    return [name for name, pattern in DEPRECATED.items() if re.search(pattern, living)]


def fences(markdown: str) -> list[str]:
    """Return the code that stands in a page's fences."""
    fence = re.compile(r"^ *(```|~~~)[^\n]*\n(.*?)^ *\1 *$", flags=re.DOTALL | re.MULTILINE)
    return [match[2] for match in fence.finditer(markdown)]


# --- stored outputs --------------------------------------------------------------------------


def was_run_in_order(lesson: Lesson) -> list[str]:
    """Execution counts are 1..n: the outputs come from one run from top to bottom."""
    counts = [cell.execution_count for cell in lesson.code]
    if counts == list(range(1, len(counts) + 1)):
        return []
    return [f"execution counts are not 1..{len(counts)}: {counts}"]


def outputs_have_no_error(lesson: Lesson) -> list[str]:
    """No stored error, unless the cell is tagged raises-exception."""
    return [
        f"{where(lesson, cell)} has a stored error: {output.ename}"
        for cell, output in lesson.outputs
        if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", [])
    ]


def widgets_have_a_twin(lesson: Lesson) -> list[str]:
    """No widget state (GitHub refuses to render it), and a text twin for each widget."""
    problems = []
    if "widgets" in lesson.node.metadata:
        problems.append("the notebook stores widget state")
    for cell, output in lesson.outputs:
        data = output.get("data", {})
        twin = data.get("text/plain", "")
        if WIDGET in data and (not twin or re.match(r"\w+\(", twin)):
            problems.append(f"{where(lesson, cell)} shows a widget without a text twin")
    return problems


def file_is_small(lesson: Lesson) -> list[str]:
    """The file is at most 300 KB."""
    if lesson.size <= MAX_FILE_BYTES:
        return []
    return [f"the file has {lesson.size / 1024:.0f} KB; the limit is {MAX_FILE_BYTES // 1024} KB"]


SECRET = re.compile(
    r"hf_[A-Za-z0-9]{20,}|bearer\s+[A-Za-z0-9._~+/-]{20,}"  # Hugging Face, and any HTTP header
    r"|\bsk-[A-Za-z0-9_-]{20,}|\bgh[pousr]_[A-Za-z0-9]{36}|\bAKIA[A-Z0-9]{16}\b|\bAIza[\w-]{35}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY",
    re.IGNORECASE,
)


def no_secret_is_shown(lesson: Lesson) -> list[str]:
    """No token in sources, attachments or outputs."""
    return [
        f"{where(lesson, cell)} shows what looks like a token"
        for cell in lesson.cells
        if SECRET.search(cell.source)
        or any(SECRET.search(text) for out in cell.get("outputs", []) for text in output_texts(out))
    ]


HOME_PATH = re.compile(r"/root/|/home/|/Users/|[A-Za-z]:\\+Users", re.IGNORECASE)


def no_home_path_is_shown(lesson: Lesson) -> list[str]:
    """No path of the machine on which the notebook was run."""
    return [
        f"{where(lesson, cell)} shows a path of this machine"
        for cell, output in lesson.outputs
        if any(HOME_PATH.search(text) for text in output_texts(output))
    ]


MIN_REASON_CHARACTERS = 10
IGNORING_TAGS = {"nbval-ignore-output", "nbval-skip"}


def ignored_outputs_say_why(lesson: Lesson) -> list[str]:
    """A cell whose output is not compared carries its reason.

    nbval only obeys a comment that is the marker alone on its line, so the reason goes into the
    cell's metadata (`reason`) or into a comment on the next line.
    """
    problems = []
    for cell in lesson.code:
        marker = re.search(
            r"^ *# *NBVAL_(?:IGNORE_OUTPUT|SKIP)(?P<rest>.*)(?:\n *# *(?P<reason>.*))?",
            cell.source,
            flags=re.MULTILINE,
        )
        tagged = IGNORING_TAGS & set(cell.metadata.get("tags", []))
        if marker and marker["rest"].strip():
            problems.append(f"{where(lesson, cell)}: nbval ignores a marker with text after it")
        if not (marker or tagged):
            continue
        reason = cell.metadata.get("reason") or (marker["reason"] if marker else "") or ""
        if not isinstance(reason, str) or len(reason.strip()) < MIN_REASON_CHARACTERS:
            problems.append(f"{where(lesson, cell)} does not say why its output is ignored")
    return problems


def picture_outputs_have_words(lesson: Lesson) -> list[str]:
    """An output that is a picture has a text twin that says more than its size."""
    problems = []
    for cell, output in lesson.outputs:
        data = output.get("data", {})
        if not any(kind.startswith("image/") for kind in data):
            continue
        twin = data.get("text/plain", "").strip()
        if len(twin) < MIN_ALT_CHARACTERS or twin.startswith("<"):
            problems.append(f"{where(lesson, cell)} shows a picture without words")
    return problems


def outputs_have_contrast(lesson: Lesson) -> list[str]:
    """Letters, lines and bars stand out from what is behind them, in colour and in grey."""
    problems = []
    for cell, output in lesson.outputs:
        data = output.get("data", {})
        found = contrast.html_problems(data.get("text/html", ""))
        if "image/svg+xml" in data:
            found += contrast.svg_problems(data["image/svg+xml"])
        if "image/png" in data:
            found += contrast.picture_problems(data["image/png"])
        problems += [f"{where(lesson, cell)}: {problem}" for problem in found]
    return problems


def charts_are_the_courses(lesson: Lesson) -> list[str]:
    """Charts are drawn by `helpers`, in the one style whose contrast and text are tested."""
    return [
        f"{where(lesson, cell)} draws with pyplot or seaborn, not with helpers"
        for cell in lesson.code
        if re.search(r"\bpyplot\b|\bseaborn\b|\.plot\(|\.hist\(", cell.source)
    ]


# --- images, links and language --------------------------------------------------------------


def images_have_alt_text(lesson: Lesson) -> list[str]:
    """Each image, in Markdown or HTML, says in words what it shows; a badge, what it opens."""
    problems = []
    for place, html in _markdown_and_html(lesson):
        alts = re.findall(r"(?<!\[)!\[([^\]]*)\]\(", html)
        badges = re.findall(r"\[!\[([^\]]*)\]\(", html)
        problems += [f"{place} has a badge without words" for alt in badges if not alt.strip()]
        for tag in re.findall(r"<img\b[^>]*>", html, flags=re.IGNORECASE):
            alt = re.search(r"""\balt\s*=\s*(["'])(.*?)\1""", tag, flags=re.DOTALL)
            alts.append(alt[2] if alt else "")
        problems += [f"{place} has an image whose alt text is {alt!r}" for alt in alts if _bad(alt)]
    return problems


def _bad(alt: str) -> bool:
    alt = alt.strip()
    is_file_name = re.search(r"\.(png|jpe?g|svg|gif|webp)$", alt, flags=re.IGNORECASE)
    return len(alt) < MIN_ALT_CHARACTERS or " " not in alt or is_file_name is not None


def _markdown_and_html(lesson: Lesson) -> Iterator[tuple[str, str]]:
    for cell in lesson.markdown:
        yield where(lesson, cell), re.sub(r"`[^`\n]*`", "", without_fences(cell.source))
    for cell, output in lesson.outputs:
        yield where(lesson, cell), output.get("data", {}).get("text/html", "")


def links_lead_somewhere(lesson: Lesson) -> list[str]:
    """Each relative link or image points to a file that exists, and to a heading that it has."""
    problems = []
    for cell in lesson.markdown:
        source = re.sub(r"`[^`\n]*`", "", without_fences(cell.source))
        targets = re.findall(r"\]\(<?([^)\s>]+)>?(?: +\"[^\"]*\")?\)", source)
        targets += re.findall(r"""\b(?:href|src)\s*=\s*["']([^"']+)["']""", source)
        for target in targets:
            name, _, anchor = unquote(target).partition("#")
            if re.match(r"[a-z][a-z0-9+.-]*:", name):
                continue
            linked = lesson.path.parent / name if name else None
            if linked and not linked.exists():
                problems.append(f"{where(lesson, cell)} links to {target}, which does not exist")
            elif anchor and anchor.lower() not in _anchors(lesson, linked):
                problems.append(f"{where(lesson, cell)} links to {target}, a heading that is not")
    return problems


def _anchors(lesson: Lesson, linked: Path | None) -> set[str]:
    """The names of the headings of this notebook, or of a linked notebook or page."""
    if linked is None:
        titles = [title for _, title in headings(lesson)]
    elif linked.suffix == ".ipynb":
        titles = [title for _, title in headings(Lesson.read(linked))]
    else:
        titles = re.findall(r"^#+ +(.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
    names = {title.lower().replace(" ", "-") for title in titles}  # JupyterLab's
    return names | {re.sub(r"[^\w-]", "", name) for name in names}  # GitHub's


def tables_have_headers(lesson: Lesson) -> list[str]:
    """Each table names its columns or its rows: cells that a screen reader says with the value."""
    problems = []
    for cell in lesson.markdown:
        for row in re.findall(r"^(\|.*\|) *\n\|[ :|-]+\| *$", cell.source, flags=re.MULTILINE):
            names = [name.strip() for name in row.strip("|").split("|")]
            if not all(names[1:]):  # the corner over the rows' names may be empty
                problems.append(f"{where(lesson, cell)} has a table with a nameless column: {row}")
    for place, html in _markdown_and_html(lesson):
        for table in re.findall(r"<table\b.*?</table>", html, flags=re.DOTALL):
            if not re.search(r"""<th\b[^>]*\bscope=["'](?:col|row)["']""", table):
                problems.append(f"{place} has a table without <th scope=...>")
    return problems


EMOJI = re.compile("[\u2600-\u27bf\u2b50\u2b55\U0001f000-\U0001faff]")
_COLOUR = r"(?:vermelh[ao]|verde|azul|azuis|amarel[ao]|laranja|rox[ao]|cinza|rosa)s?"
_SHOWN = (
    "barra|linha|curva|coluna|fatia|ponto|área|faixa|trecho|palavra|texto|letra|célula|caixa|quadro"
)
COLOUR = re.compile(
    rf"\b(?:em|de cor|na cor|pintad[ao]s? de) {_COLOUR}\b|\b(?:{_SHOWN})s? {_COLOUR}\b",
    re.IGNORECASE,
)


def nothing_is_said_by_colour_or_emoji(lesson: Lesson) -> list[str]:
    """The text never points at a colour, and no emoji stands for a word."""
    return [
        f"{where(lesson, cell)} says with a {kind}: {match[0]!r}"
        for cell in lesson.markdown
        for kind, pattern in (("colour", COLOUR), ("emoji", EMOJI))
        for match in pattern.finditer(prose(cell.source))
    ]


UNACCENTED = {
    "ate": "até",
    "atencao": "atenção",
    "analise": "análise",
    "codigo": "código",
    "conclusao": "conclusão",
    "entao": "então",
    "exercicio": "exercício",
    "exercicios": "exercícios",
    "funcao": "função",
    "informacao": "informação",
    "licao": "lição",
    "maquina": "máquina",
    "memoria": "memória",
    "nao": "não",
    "numero": "número",
    "numeros": "números",
    "pagina": "página",
    "portugues": "português",
    "possivel": "possível",
    "proprio": "próprio",
    "propria": "própria",
    "proximo": "próximo",
    "proxima": "próxima",
    "rapido": "rápido",
    "sao": "são",
    "sera": "será",
    "serao": "serão",
    "solucao": "solução",
    "tambem": "também",
    "traducao": "tradução",
    "tres": "três",
    "ultimo": "último",
    "unica": "única",
    "unico": "único",
    "usuario": "usuário",
    "variavel": "variável",
    "video": "vídeo",
    "videos": "vídeos",
    "voce": "você",
    "voces": "vocês",
}
_UNACCENTED = re.compile(rf"\b({'|'.join(UNACCENTED)})\b|\be'(?=\s)", re.IGNORECASE)


def accents_are_right(lesson: Lesson) -> list[str]:
    """Common words are not left without their accents in prose."""
    return [
        f"{where(lesson, cell)} has {match[0]!r}, not {UNACCENTED.get(match[0].lower(), 'é')!r}"
        for cell in lesson.markdown
        for match in _UNACCENTED.finditer(prose(cell.source))
    ]


RULES = (
    starts_with_title_and_promise,
    has_colab_link,
    has_header_table,
    starts_with_setup,
    headings_step_by_one,
    ends_with_summary_and_next_step,
    has_its_quiz,
    cells_have_ids,
    code_cells_are_short,
    installs_replace_nothing,
    nothing_is_deprecated,
    was_run_in_order,
    outputs_have_no_error,
    widgets_have_a_twin,
    file_is_small,
    no_secret_is_shown,
    no_home_path_is_shown,
    ignored_outputs_say_why,
    picture_outputs_have_words,
    outputs_have_contrast,
    charts_are_the_courses,
    images_have_alt_text,
    links_lead_somewhere,
    tables_have_headers,
    nothing_is_said_by_colour_or_emoji,
    accents_are_right,
)
