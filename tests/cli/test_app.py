import errno
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import typer
from pydantic import Field

from csdm_cli import __version__, commands
from csdm_cli.cli.options import section_options
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.names import KernelName, Parallel, Tracking
from csdm_cli.runs.runtime import Device, Runtime
from csdm_cli.settings import sections
from csdm_cli.settings.fields import Positive

COMMANDS = (
    "make-lt",
    "pretrain",
    "distill",
    "evaluate",
    "cross-arch",
    "compare",
    "methods",
    "profile",
    "report",
    "show",
    "verify",
    "export",
    "ledger",
)
SECTIONS = {
    "make-lt": sections.MakeLt,
    "pretrain": sections.Pretrain,
    "distill": sections.Distill,
    "evaluate": sections.Evaluate,
    "cross-arch": sections.CrossArch,
    "compare": sections.Compare,
    "profile": sections.ProfileRun,
}
HEAVY = ("torch", "torchvision", "mlflow", "pandas", "dvc", "numpy", "sklearn", "matplotlib", "pyarrow")


@pytest.fixture
def called(monkeypatch):
    """Replaces the command modules; holds what the last ``run`` received."""
    received = {}

    def run(*arguments, **named):
        received.update(named, arguments=arguments)

    for name in COMMANDS:
        module = SimpleNamespace(run=run, show=run, verify=run, export=run, Foreign=lambda *given: given)
        monkeypatch.setattr(commands, name.replace("-", "_"), module, raising=False)
    return received


@pytest.fixture
def failing(monkeypatch):
    """Makes ``csdm pretrain`` raise the given error."""

    def fail_with(error):
        def run(*arguments, **named):
            raise error

        monkeypatch.setattr(commands, "pretrain", SimpleNamespace(run=run), raising=False)

    return fail_with


def test_help_and_completion_import_nothing_heavy():
    """In a fresh process: the help of the app and of every command, and a completion."""
    script = f"""
import os, sys
from typer.testing import CliRunner
from csdm_cli.cli.app import app
for arguments in [[], *([name] for name in {COMMANDS})]:
    result = CliRunner().invoke(app, [*arguments, "--help"])
    assert result.exit_code == 0 and "Usage" in result.stdout, result.output
result = CliRunner().invoke(app, ["distill", "--ipc", "0"])
assert result.exit_code == 2, result.output
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("command", SECTIONS)
def test_every_setting_is_an_option_with_its_help_and_default(csdm, command):
    text = " ".join(csdm(command, "--help").stdout.replace("│", " ").split())
    for name, field in SECTIONS[command].model_fields.items():
        if (command, name) != ("make-lt", "dataset"):
            assert f"--{name.replace('_', '-')} " in text
            assert field.description.split(" (default")[0].split("[")[0] in text
            if field.default is not None and not isinstance(field.default, (list, dict)):
                shown = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
                assert f"[default: {shown}]" in text


def test_kernel_names_are_completed():
    environment = os.environ | {
        "_CSDM_COMPLETE": "complete_bash",
        "COMP_WORDS": "csdm distill --kernel ra",
        "COMP_CWORD": "3",
    }
    script = "from csdm_cli.cli.app import app; app(prog_name='csdm')"
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["rational-quadratic"]


def test_version(csdm):
    assert csdm("--version").stdout == f"csdm {__version__}\n"


def test_without_options_a_command_gets_the_defaults(csdm, called):
    result = csdm("distill")
    assert result.exit_code == 0, result.output
    settings, runtime = called["arguments"]
    assert settings == sections.Distill()
    assert called["given"] == frozenset()
    assert called["data"] is None and called["resume"] is True and called["checkpoint_every"] == 60
    assert runtime == Runtime(tracking=Tracking.none)  # the tests' own $CSDM_TRACKING
    assert "settings: defaults" in result.stderr and result.stdout == ""


def test_options_override_the_file_and_the_file_the_defaults(csdm, called, tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("distill: {ipc: 3, lr: 0.5}\nevaluate: {steps: 7}\n")
    result = csdm("distill", "--params", file, "--ipc", 50, "--kernel", "laplace")
    settings, _ = called["arguments"]
    assert (settings.ipc, settings.lr, settings.kernel, settings.draws) == (
        50,
        0.5,
        KernelName.laplace,
        sections.Distill().draws,
    )
    assert called["given"] == {"ipc", "kernel"}
    assert called["params"].distill is settings and called["params"].evaluate.steps == 7
    assert f"settings: defaults < {file} < command line (ipc, kernel)" in result.stderr


def test_the_environment_names_the_file(csdm, called, tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("distill: {ipc: 4}")
    monkeypatch.setenv("CSDM_PARAMS", str(tmp_path / "mine.yaml"))
    csdm("distill")
    assert called["arguments"][0].ipc == 4


def test_an_unread_params_file_is_pointed_out(csdm, called, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("distill: {ipc: 4}")
    result = csdm("distill")
    assert called["arguments"][0].ipc == 10
    assert "--params params.yaml" in result.stderr


def test_quiet_drops_the_note(csdm, called):
    result = csdm("distill", "--quiet")
    assert result.stderr == "" and called["arguments"][1].quiet


def test_lists_and_switches(csdm, called):
    csdm("cross-arch", "--networks", "vgg11, resnet18", "--no-controls")
    assert called["arguments"][0].networks == ["vgg11", "resnet18"]
    assert called["arguments"][0].controls is False
    csdm("profile", "--ipcs", "1,2")
    assert called["arguments"][0].ipcs == [1, 2]


def test_make_lt_takes_the_dataset_by_position(csdm, called, tmp_path):
    (tmp_path / "p.yaml").write_text("make_lt: {dataset: svhn}")
    csdm("make-lt", "digits", "--params", tmp_path / "p.yaml", "--counts", "5,3", "--profile", "explicit")
    assert called["arguments"][0].dataset == "digits" and called["arguments"][0].counts == [5, 3]
    csdm("make-lt", "--params", tmp_path / "p.yaml")
    assert called["arguments"][0].dataset == "svhn"


def test_run_options(csdm, called):
    csdm(
        "pretrain", "somewhere", "--device", "cpu", "--threads", 2, "--deterministic", "--tracking", "mlflow", "--json"
    )
    assert called["arguments"][1] == Runtime(Device.cpu, 2, True, Tracking.mlflow, True, False)
    assert str(called["folder"]) == "somewhere"
    csdm("evaluate", "--parallel", "in-turn")
    assert called["arguments"][1].parallel is Parallel.in_turn


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "a", "b"],
        ["show", "a", "--png", "b.png"],
        ["verify", "a"],
        ["export", "a", "--to", "npz"],
        ["evaluate", "a", "--images", "x.npz", "--labels-file", "y.npz", "--normalised"],
    ],
)
def test_commands_reach_their_modules(csdm, called, arguments):
    assert csdm(*arguments).exit_code == 0
    assert called


def test_evaluate_knows_what_was_chosen(csdm, called, tmp_path):
    """The artifact's own recipe fills in what neither the file nor the command line sets."""
    (tmp_path / "p.yaml").write_text("evaluate: {steps: 300}")
    csdm("evaluate", "--params", tmp_path / "p.yaml", "--lr", "0.5")
    assert called["chosen"] == {"steps", "lr"} and called["foreign"] is None


def test_all_wrong_options_are_named_at_once(csdm, called):
    result = csdm("distill", "--ipc", 0, "--alpha-head", 1, "--lr", "fast")
    assert result.exit_code == 2 and result.stdout == "" and not called
    for fragment in (
        '--ipc: got "0", expected an integer >= 1',
        '--alpha-head: got "1", expected a number > 0 and < 1',
        '--lr: got "fast", expected a number > 0',
    ):
        assert fragment in result.stderr


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["distill", "--kernel", "rfb"], "rational-quadratic"),
        (["distil"], "distill"),
        (["distill", "--kernl", "rbf"], "--kernel"),
        (["make-lt", "mnist3"], "cifar10"),
        (["make-lt", "--counts", "3,x", "--profile", "explicit"], "--counts (item 2)"),
        (["make-lt", "--counts", "3,4", "--profile", "step"], "counts need profile explicit"),
        (
            ["make-lt", "digits", "--imbalance", "3", "--profile", "balanced"],
            "--imbalance has no effect on profile balanced",
        ),
        (["make-lt", "tests", "--data-dir", "docs"], "two folders of images: name one"),
        (["distill", "--params", "no-such-file.yaml"], "no-such-file.yaml"),
        (["pretrain", "--threads", "0"], "--threads"),
        (["export", "a"], "--to"),
        (["report"], "DIR"),
        (["evaluate", "a", "--normalised"], "--images"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what_is_right(csdm, called, arguments, fragment):
    result = csdm(*arguments)
    assert result.exit_code == 2 and result.stdout == "" and not called
    assert fragment in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "fragment"),
    [
        (CsdmError("the file is damaged"), 1, "error: the file is damaged"),
        (UsageError("no such network"), 2, "error: no such network"),
        (OSError(errno.ENOSPC, "No space left on device", "out.bin"), 1, "the disk is full (out.bin)"),
        (PermissionError(errno.EACCES, "Permission denied", "out.bin"), 1, "out.bin: Permission denied"),
        (MemoryError(), 1, "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."), 1, "out of memory"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), 1, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_expected_failures_are_one_line(csdm, failing, error, code, fragment):
    failing(error)
    result = csdm("pretrain", "--quiet")
    assert result.exit_code == code
    assert fragment in result.stderr and len(result.stderr.splitlines()) == 1 and result.stdout == ""


def test_our_own_faults_are_not_hidden(csdm, failing):
    failing(RuntimeError("shapes do not match"))
    result = csdm("pretrain", "--quiet")
    assert isinstance(result.exception, RuntimeError) and result.exit_code == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_signals_run_the_cleaning_up(number, code):
    script = """
import sys, time
from types import SimpleNamespace
from csdm_cli import cli, commands
def run(*arguments, **named):
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaned", flush=True)
commands.pretrain = SimpleNamespace(run=run)
sys.argv = ["csdm", "pretrain"]
cli.main()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert output == "cleaned\n" and process.returncode == code and "Traceback" not in errors


@pytest.mark.skipif(sys.platform == "win32", reason="signals end processes the Unix way")
@pytest.mark.parametrize("module", ["csdm_cli.signals", "csdm_cli.cli.app"])
def test_an_interrupt_while_csdm_is_imported_is_no_traceback(module):
    """The first module that the command asks for, and the last; before them only ``signal`` is imported."""
    script = f"""
import os, signal, sys
import enum
before = {{*sys.modules}}
class Interrupting:
    def find_spec(name, path, target=None):
        if name == {module!r}:
            print(*sorted({{*sys.modules}} - before), flush=True)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting)
sys.argv = ["csdm", "methods"]
from csdm_cli.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    if module == "csdm_cli.signals":
        assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
        assert done.stdout == "csdm_cli csdm_cli.__main__\n"
    else:
        assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_output_survives_a_terminal_without_unicode():
    script = "import sys; sys.argv = ['csdm', 'distill', '--help']; from csdm_cli.cli.app import main; main()"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "--kernel" in done.stdout


def test_section_options_follow_the_model():
    """The decorator knows nothing of csdm's own sections."""

    class Section(sections.Section):
        how_many: Positive = Field(3, description="how many")
        loud: bool = Field(False, description="say it loudly")

    received = {}

    @section_options(Section)
    def command(*, overrides: dict) -> None:
        received.update(overrides)

    app = typer.Typer()
    app.command()(command)
    from typer.testing import CliRunner

    assert CliRunner().invoke(app, ["--how-many", "5"]).exit_code == 0
    assert received == {"how_many": "5"}
    assert CliRunner().invoke(app, ["--loud"]).exit_code == 0
    assert received["loud"] is True


def test_make_lt_on_real_digits(csdm, tmp_path):
    """The whole command: head and tail as asked, one JSON object and nothing else on stdout."""
    out = tmp_path / "set"
    result = csdm("make-lt", "digits", "--imbalance", 10, "--n-max", 50, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    counts = made["counts"]
    assert (counts[0], counts[-1], len(counts)) == (50, 5, 10) and made["images"] == sum(counts)
    again = csdm("make-lt", "digits", "--imbalance", 10, "--n-max", 50, "--out", tmp_path / "again")
    assert again.exit_code == 0 and "50" in again.stdout
    names = sorted(file.name for file in out.iterdir())
    assert all((out / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)
