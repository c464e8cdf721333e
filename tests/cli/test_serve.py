"""`lulc serve`: what is refused before it serves, and that it ends as asked."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.serve.run import _remove_orphans
from tests.support.product_samples import pixels, write


def run(*arguments):
    return CliRunner().invoke(cli, ["serve", *map(str, arguments)])


def test_a_port_in_use(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        result = run("--view-only", "--port", other.getsockname()[1], "--work-dir", tmp_path)
    assert result.exit_code == 2
    assert "another --port" in result.output
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_address(tmp_path):
    result = run("--view-only", "--host", "no such host", "--work-dir", tmp_path)
    assert result.exit_code == 2
    assert "is no address" in result.output


@pytest.mark.parametrize(("name", "words"), [("nothing.tif", "there is no"), ("text.tif", "not a readable GeoTIFF")])
def test_what_is_no_map(tmp_path, name, words):
    (tmp_path / "text.tif").write_text("no map")
    result = run("--map", tmp_path / name, "--port", 0, "--work-dir", tmp_path)
    assert result.exit_code == 3
    assert words in result.output
    assert [entry.name for entry in tmp_path.iterdir()] == ["text.tif"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    result = run("--view-only", "--port", 0, "--work-dir", tmp_path / "file" / "folder")
    assert result.exit_code == 5
    assert "--work-dir" in result.output


def started(folder, *arguments):
    command = [sys.executable, "-m", "lulc", "serve", "--port", "0", "--work-dir", str(folder), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("option", ["--model", "--patch-model"])
@pytest.mark.process
def test_a_model_that_is_none_is_one_line(tmp_path, option):
    process = started(tmp_path, option, tmp_path / "nothing")
    out, error = process.communicate(timeout=120)
    assert process.returncode == 4, error
    assert out == ""
    assert error.splitlines()[-1].startswith("lulc: ")
    assert "Traceback" not in error
    assert len(error.splitlines()) == 1, error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.process
@pytest.mark.kill
def test_it_ends_as_asked_and_leaves_nothing(tmp_path, number):
    write(tmp_path / "map.tif", pixels(100, 100))
    work = tmp_path / "work"
    work.mkdir()
    process = started(work, "--view-only", "--map", tmp_path / "map.tif")
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    assert len(list(work.iterdir())) == 1
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 0, error
    assert error == ""
    assert list(work.iterdir()) == []


@pytest.mark.process
@pytest.mark.kill
def test_folders_of_killed_servers_are_removed_and_no_others(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    write(tmp_path / "map.tif", pixels(100, 100))
    process = started(work, "--view-only", "--map", tmp_path / "map.tif")
    process.stdout.readline()
    (running,) = work.iterdir()
    for name in ("lulc-serve-dead", "lulc-serve-strange", "other"):
        (work / name).mkdir()
    (work / "lulc-serve-dead" / "lock").touch()
    _remove_orphans(work)
    assert {entry.name for entry in work.iterdir()} == {running.name, "lulc-serve-strange", "other"}
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    _remove_orphans(work)
    assert {entry.name for entry in work.iterdir()} == {"lulc-serve-strange", "other"}


def test_other_addresses_are_warned_of(tmp_path):
    result = run("--host", "0.0.0.0", "--map", tmp_path / "nothing.tif")  # noqa: S104
    assert "asks for no password" in result.output


def test_limits_are_given_under_other_names():
    command = cli.get_command(None, "serve")
    flags = {parameter.name: parameter.opts[0] for parameter in command.params}
    names = ("upload_bytes", "values", "job_bytes", "job_seconds", "keep_minutes")
    assert [flags[name] for name in names] == ["--max-upload", "--max-values", "--max-memory", "--max-time", "--keep"]
    defaults = [parameter.default for parameter in command.params if parameter.name in names]
    assert defaults == ["2G", "2G", "8G", 3600.0, 60.0]
    assert "uploads" not in flags


def test_too_little_memory_is_refused():
    result = run("--view-only", "--max-memory", "1G")
    assert result.exit_code == 2
    assert "--max-memory 1G is too little" in result.output


def test_the_page_is_opened_when_asked_for(monkeypatch):
    opened = []
    monkeypatch.setattr("click.launch", opened.append)
    monkeypatch.setattr("lulc.serve.run.serve", lambda _settings, ready, _work: ready("http://127.0.0.1:1/"))
    assert run("--view-only", "--open").output == "http://127.0.0.1:1/ (Ctrl-C ends it)\n"
    assert run("--view-only").exit_code == 0
    assert opened == ["http://127.0.0.1:1/"]


def test_a_link_under_the_name_of_a_servers_folder_is_not_followed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "lock").touch()
    (tmp_path / "lulc-serve-x").symlink_to(tmp_path / "mine")
    _remove_orphans(tmp_path)
    assert (tmp_path / "mine" / "lock").exists()
