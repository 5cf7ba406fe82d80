"""docs/objetivos.md: what it says, that no objective is left out, and that it is up to date."""

from helpers import objectives
from helpers.bootstrap import ROOT
from helpers.objectives import Objective


def test_the_document_is_up_to_date_and_has_no_hole():
    content, holes = objectives.rendered(ROOT)
    assert holes == []
    kept = (ROOT / objectives.DOCUMENT).read_text(encoding="utf-8")
    assert content == kept, "run: python -m helpers objectives"


def test_each_exercise_and_each_question_of_the_course_stands_in_it():
    from helpers.exercises import exercises_of
    from helpers.quizzes import quiz

    content = (ROOT / objectives.DOCUMENT).read_text(encoding="utf-8")
    numbers = [path.name[:2] for path in sorted((ROOT / "notebooks" / "pt").glob("[0-9]*.ipynb"))]
    for number in numbers:
        for exercise in exercises_of(number):
            assert content.count(f"{exercise.id} (") == 1, exercise.id
        for place in range(1, len(quiz(number).questions) + 1):
            assert content.count(f"{number}.quiz.{place}") == 1, (number, place)


def test_an_objective_that_nothing_checks_is_a_hole(monkeypatch, capsys):
    monkeypatch.setattr(
        objectives, "objectives", lambda *_: [Objective(1, "voar sem asas", (), ())]
    )
    assert objectives.main(check=True, root=ROOT) == 1
    assert "voar sem asas" in capsys.readouterr().out


def test_checking_says_that_the_document_is_stale_and_leaves_it(tmp_path, capsys):
    (tmp_path / "docs").mkdir()
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks", target_is_directory=True)
    stale = tmp_path / objectives.DOCUMENT
    stale.write_text("# Outro\n", encoding="utf-8")
    assert objectives.main(check=True, root=tmp_path) == 1
    assert stale.read_text("utf-8") == "# Outro\n"
    assert "python -m helpers objectives" in capsys.readouterr().out
    assert objectives.main(root=tmp_path) == 0
    assert objectives.main(check=True, root=tmp_path) == 0
