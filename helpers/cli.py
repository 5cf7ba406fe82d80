"""The verbs of ``python -m helpers``: what each one takes, and who does it."""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from helpers import bootstrap
from helpers.embedded import options as server_options
from helpers.errors import CourseError
from helpers.messages import text

PROGRAM = "python -m helpers"


def main(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: the command line after ``python -m helpers``.

    Returns:
        The exit code: 0 when all went well, 1 when something is to be mended, 2 for a command
        that does not exist.
    """
    _speak_utf8()
    _leave_cleanly_when_terminated()
    options = _parser().parse_args(arguments)
    try:
        return _dispatch(options, arguments)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1


def _dispatch(options: argparse.Namespace, arguments: list[str]) -> int:
    if options.command == "doctor":
        return _doctor(arguments)
    python = bootstrap.ensure()
    if not _is_this_process(python):
        return bootstrap.hand_over(python, arguments)
    if not bootstrap.runs_inside():
        bootstrap.share_course_with_children()
        print(text("cli.current_environment", prefix=sys.prefix), flush=True)
    return _VERBS[options.command](options)


def _is_this_process(python: Path) -> bool:
    # Not by the file: the .venv's interpreter is often a link to the one that made it.
    return bootstrap.runs_inside() or python == Path(sys.executable)


def _doctor(arguments: list[str]) -> int:
    """Examine the environment that the other verbs would use, installing nothing."""
    python = None if bootstrap.runs_inside() else bootstrap.ready_python()
    if python and not bootstrap.uses_current_environment_quietly():
        return bootstrap.hand_over(python, arguments)
    from helpers import doctor

    return doctor.main()


def _lab(options: argparse.Namespace) -> int:
    from helpers import lab

    return lab.main(open_browser=not options.no_browser, port=options.port)


def _run(options: argparse.Namespace) -> int:
    from helpers import runner

    return runner.main(options.numbers, in_place=options.in_place, output=options.output)


def _test(options: argparse.Namespace) -> int:
    from helpers import checks

    return checks.main(options.pytest, full=options.full)


def _serve(options: argparse.Namespace) -> int:
    from helpers.embedded import server

    if options.for_class and not options.no_build:
        _build_for_class()
    return server.run(options)


def _build_for_class() -> None:
    """Build everything first: forty notebooks must not wait for it, nor need the internet."""
    from helpers.embedded.catalog import repositories
    from helpers.runner import build_models

    try:
        build_models(repository.id for repository in repositories())
    except CourseError as error:
        raise CourseError(f"{error} {text('server.not_all_built')}") from error


def _models(options: argparse.Namespace) -> int:
    if options.check:
        from helpers import registry_check

        return registry_check.main()
    from helpers import checks

    return checks.models(fetch=options.fetch)


def _links(options: argparse.Namespace) -> int:
    from helpers import links

    return links.main(options.repo, check=options.check)


def _slides(options: argparse.Namespace) -> int:
    from helpers import slides

    return slides.main(options.numbers, output=options.output, mark=options.mark)


def _clean(options: argparse.Namespace) -> int:
    from helpers import clean

    return clean.main(options.numbers, output=options.output, force=options.force)


def _durations(options: argparse.Namespace) -> int:
    from helpers import durations

    return durations.main(options.numbers, check=options.check)


def _class_report(options: argparse.Namespace) -> int:
    from helpers import class_report

    return class_report.main(options.folder, options.output)


def _objectives(options: argparse.Namespace) -> int:
    from helpers import objectives

    return objectives.main(check=options.check)


def _carry(options: argparse.Namespace) -> int:
    from helpers import carry

    return carry.main(options.folder, libraries=not options.no_libraries)


_VERBS = {
    "class-report": _class_report,
    "lab": _lab,
    "run": _run,
    "test": _test,
    "serve": _serve,
    "links": _links,
    "models": _models,
    "slides": _slides,
    "clean": _clean,
    "carry": _carry,
    "durations": _durations,
    "objectives": _objectives,
}


# --- the command line in Portuguese -----------------------------------------------------------


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=96)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        ours = text("cli.usage") + " " if prefix is None else prefix
        super().add_usage(usage, actions, groups, ours)


class _Parser(argparse.ArgumentParser):
    """argparse whose own words are the learner's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(add_help=False, allow_abbrev=False, formatter_class=_Formatter, **options)
        self._positionals.title = text("cli.arguments_title")
        self._optionals.title = text("cli.options_title")
        self.add_argument("-h", "--help", action="help", help=text("cli.help_option"))

    def error(self, message: str) -> NoReturn:
        """Say in one sentence that the command was not understood; exit code 2."""
        # Only our own checks speak Portuguese; argparse's English reasons are left out.
        reason = message.partition(": ")[2] if "“" in message else ""
        detail = f": {reason}" if reason else ""
        print(text("cli.wrong_command", detail=detail, program=self.prog), file=sys.stderr)
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=PROGRAM, description=text("cli.about"), epilog=text("cli.epilog"))
    verbs = parser.add_subparsers(
        dest="command", required=True, title=text("cli.commands_title"), metavar=""
    )

    def verb(name: str, summary: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:])

    lab = verb("lab", text("cli.help_lab"))
    lab.add_argument("--no-browser", action="store_true", help=text("cli.help_no_browser"))
    lab.add_argument(
        "--port", type=server_options.port, metavar="N", help=text("cli.help_port_lab")
    )

    run = verb("run", text("cli.help_run"))
    run.add_argument("numbers", nargs="*", metavar="NN", help=text("cli.help_numbers"))
    run.add_argument("--in-place", action="store_true", help=text("cli.help_in_place"))
    run.add_argument("--output", type=Path, metavar="DIR", help=text("cli.help_output"))

    test = verb("test", text("cli.help_test"))
    test.add_argument("--full", action="store_true", help=text("cli.help_full"))
    test.add_argument("pytest", nargs="*", metavar="-- ...", help=text("cli.help_pytest"))

    verb("doctor", text("cli.help_doctor"))

    serve = verb("serve", text("cli.help_serve"))
    serve.add_argument("--no-build", action="store_true", help=text("server.help_no_build"))
    server_options.add_server_arguments(serve)

    links = verb("links", text("cli.help_links"))
    links.add_argument("--repo", metavar="DONO/NOME", help=text("cli.help_repo"))
    links.add_argument("--check", action="store_true", help=text("cli.help_links_check"))

    slides = verb("slides", text("cli.help_slides"))
    slides.add_argument("numbers", nargs="*", metavar="NN", help=text("cli.help_numbers"))
    slides.add_argument("--output", type=Path, metavar="DIR", help=text("cli.help_slides_output"))
    slides.add_argument("--mark", action="store_true", help=text("cli.help_slides_mark"))

    clean = verb("clean", text("cli.help_clean"))
    clean.add_argument("numbers", nargs="*", metavar="NN", help=text("cli.help_numbers"))
    clean.add_argument("--output", type=Path, metavar="DIR", help=text("cli.help_clean_output"))
    clean.add_argument("--force", action="store_true", help=text("cli.help_clean_force"))

    carry = verb("carry", text("cli.help_carry"))
    carry.add_argument("folder", type=Path, metavar="DIR", help=text("cli.help_carry_folder"))
    carry.add_argument(
        "--no-libraries", action="store_true", help=text("cli.help_carry_no_libraries")
    )

    durations = verb("durations", text("cli.help_durations"))
    durations.add_argument("numbers", nargs="*", metavar="NN", help=text("cli.help_numbers"))
    durations.add_argument("--check", action="store_true", help=text("cli.help_durations_check"))

    reports = verb("class-report", text("cli.help_class_report"))
    reports.add_argument("folder", type=Path, metavar="PASTA", help=text("cli.help_class_folder"))
    reports.add_argument("--output", type=Path, metavar="DIR", help=text("cli.help_class_output"))

    objectives = verb("objectives", text("cli.help_objectives"))
    objectives.add_argument("--check", action="store_true", help=text("cli.help_objectives_check"))

    models = verb("models", text("cli.help_models"))
    models.add_argument("--fetch", action="store_true", help=text("cli.help_fetch"))
    models.add_argument("--check", action="store_true", help=text("cli.help_models_check"))
    return parser


def _speak_utf8() -> None:
    """Never fail on an accent: some consoles still have another encoding."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _leave_cleanly_when_terminated() -> None:
    """Turn SIGTERM and a closed terminal into an exit that stops the children first."""

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), leave)
