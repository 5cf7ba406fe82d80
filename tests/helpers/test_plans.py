"""The plans of TEACHING.md: minutes that add up, taken from the notebooks' headers."""

import re

import pytest

from helpers import plans
from helpers.bootstrap import ROOT
from helpers.errors import CourseError
from helpers.links import Heading
from helpers.plans import Lesson

LESSONS = plans.lessons(ROOT)
TEXT = (ROOT / plans.DOCUMENT).read_text(encoding="utf-8")


def block(name):
    return re.search(rf"<!-- {name}: .*? -->\n(.*?)<!-- /{name} -->", TEXT, flags=re.DOTALL)[1]


def rows(name):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in block(name).splitlines()[2:]
    ]


def test_the_tables_are_up_to_date():
    assert plans.rendered(ROOT) == TEXT, "run: python -m helpers durations"


@pytest.mark.parametrize("name", ["plano-4", "plano-8"])
def test_each_lesson_s_minutes_add_up_and_are_those_of_the_headers(name):
    for number, what, used, slack, home in rows(name):
        parts = [int(minutes) for minutes in re.findall(r"\((\d+) min\)", what)]
        assert sum(parts) == int(used) <= plans.LESSON_MINUTES, number
        assert int(used) + int(slack) == plans.LESSON_MINUTES
        for notebook, minutes in re.findall(r"\[(\d\d) [^]]*\]\([^)]*\) \((\d+) min\)", what):
            header = int(LESSONS[notebook].heading.duration.split()[0])
            challenges = re.findall(rf"{notebook}\.\d", home)
            assert int(minutes) + 6 * len(challenges) == header


def test_the_plans_have_as_many_lessons_as_they_say():
    assert len(rows("plano-4")) == 4 and len(rows("plano-8")) == 8


def test_the_workshop_s_clock_agrees_with_its_minutes():
    times = [[*map(int, time.split("h"))] for time, _, _ in rows("oficina")]
    starts = [hours * 60 + minutes for hours, minutes in times]
    minutes = [int(row[2]) for row in rows("oficina")]
    for (start, end), used in zip(zip(starts, starts[1:], strict=False), minutes, strict=False):
        assert end - start == used
    assert starts[-1] - starts[0] == sum(minutes[:-1]) == minutes[-1]
    assert starts[-1] <= 18 * 60, "nobody stays after six"


def test_the_durations_table_is_that_of_the_headers():
    found = {row[0][1:3]: row for row in rows("duracoes") if row[0].startswith("[")}
    assert found.keys() == LESSONS.keys()
    for number, row in found.items():
        total, in_class, at_home = map(int, row[-3:])
        assert total == LESSONS[number].minutes == in_class + at_home
        parts = sum(map(int, row[1:5])) + int(row[5].removesuffix(" s")) / 60
        assert abs(parts - total) <= 5, number  # rounded to five, of parts rounded to one


def test_a_lesson_that_does_not_fit_is_refused():
    about = Heading("x.ipynb", "99", "Longo", "Promessa.", "60 minutos", "nada")
    with pytest.raises(CourseError, match="aula 1 do plano pede 60"):
        plans.plan_table([["99"]], {"99": Lesson(about, 60, 0)})


def test_every_exercise_it_speaks_of_exists():
    from helpers.exercises import exercise

    for number in set(re.findall(r"^\| (\d\d\.\d) \|", TEXT, flags=re.MULTILINE)):
        assert exercise(number).title


def test_every_command_it_names_exists():
    from helpers import cli

    verbs = set(re.findall(r"python -m helpers ([\w-]+)", TEXT))
    assert {"slides", "clean", "carry", "serve", "class-report", "durations"} <= verbs
    for verb in verbs:
        with pytest.raises(SystemExit) as stopped:
            cli._parser().parse_args([verb, "--help"])
        assert stopped.value.code == 0
