"""The server behind the routes, without its sockets: jobs that are kept, scenes beneath maps, children that end."""

import asyncio
import os
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from lulc.errors import InputError
from lulc.serve.children import _WAITING, Assistant, Child
from lulc.serve.jobs import Job, Jobs
from lulc.serve.maps import overlapping, version_of
from lulc.serve.refusal import Refusal
from lulc.serve.server import _MOST_EXPLANATIONS, Server
from lulc.serve.settings import Limits, Settings
from tests.support.product_samples import pixels, write


@pytest.fixture
def product(tmp_path):
    write(tmp_path / "map.tif", pixels(300, 400))
    return tmp_path / "map.tif"


class Ending(Child):
    """A child that ends as soon as it is asked."""

    how = "exit 3"

    async def _running(self):
        return await asyncio.create_subprocess_exec("sh", "-c", self.how, stdin=PIPE, stdout=PIPE)


@pytest.mark.process
@pytest.mark.parametrize(("how", "said"), [("exit 3", "exit code 3"), ("kill -SEGV $$", "SIGSEGV")])
def test_a_child_that_ends_is_the_uploads_fault(tmp_path, monkeypatch, how, said):
    monkeypatch.setattr(Ending, "how", how)
    with pytest.raises(Refusal, match="the process that read it ended") as caught:
        asyncio.run(Ending(2 * 10**9, 9, tmp_path).ask("inspect", {}, 30))
    assert caught.value.status == 422
    assert said in caught.value.problem
    assert "needs more than 2 GB" in caught.value.remedy


def test_requests_that_wait_are_bounded(tmp_path):
    async def asked():
        assistant = Assistant(Limits(), tmp_path)
        assistant._waiting = _WAITING
        await assistant.ask("inspect", {}, 1)

    with pytest.raises(Refusal, match="the server is busy") as caught:
        asyncio.run(asked())
    assert caught.value.status == 503


def finished(jobs, name, touched):
    folder = jobs.new_folder()
    return Job(id=folder.name, kind="scene", name=name, folder=folder, state="done", touched=touched)


def test_of_too_many_jobs_the_one_that_nobody_looks_at_goes(tmp_path):
    forgotten = []

    async def kept():
        jobs = Jobs(tmp_path, Limits(keep_most=2), lambda job: forgotten.append(job.name))
        for name, touched in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
            jobs.keep(finished(jobs, name, touched))

    asyncio.run(kept())
    assert forgotten == ["b"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_job_that_fails_as_nobody_foresaw_ends(tmp_path, monkeypatch, caplog):
    async def broken(*_):
        raise ValueError("nobody foresaw this")

    async def ran():
        jobs = Jobs(tmp_path, Limits(), lambda _: None)
        job = Job(id="x", kind="scene", name="scene.tif", folder=jobs.new_folder())
        await jobs._run(job, "scene", {})
        return job

    monkeypatch.setattr(Child, "ask", broken)
    job = asyncio.run(ran())
    assert (job.state, job.error.status, job.error.problem) == ("failed", 500, "lulc failed")
    assert not job.folder.exists()
    assert "nobody foresaw this" in caplog.text


def test_jobs_that_cannot_be_explained(tmp_path):
    async def refused(**changes):
        server = Server(Settings(view_only=True), tmp_path)
        job = finished(server.jobs, "scene.tif", 0.0)
        for name, value in changes.items():
            setattr(job, name, value)
        with pytest.raises(Refusal) as caught:
            await server.explain(job, None, None)
        await server.stop()  # it was never started
        return caught.value.status, caught.value.problem

    assert asyncio.run(refused(state="running")) == (409, "scene.tif is not classified")
    assert asyncio.run(refused(kind="report")) == (409, "scene.tif is not classified")
    many = asyncio.run(refused(explanations=_MOST_EXPLANATIONS))
    assert many == (413, f"scene.tif has {_MOST_EXPLANATIONS} explanations already")


def test_scenes_are_drawn_beneath_the_maps_that_they_meet(product, tmp_path, monkeypatch, caplog):
    bases = [tmp_path / "bad.tif", tmp_path / "scene.tif"]
    for path in bases:
        path.touch()

    async def drawn(_self, task, arguments, _seconds):
        assert task == "base"
        if arguments["name"].endswith("bad.tif"):
            raise Refusal(422, "bad.tif is no scene", "leave it out")
        os.link(product, Path(arguments["folder"]) / "base.tif")

    async def shown():
        (tmp_path / "work").mkdir()
        server = Server(Settings(view_only=True, maps=(product,), bases=tuple(bases)), tmp_path / "work")
        await server.start()
        await server._drawing
        (known,) = server.maps.listed()
        bases_of = [server.map(known["id"]).base for _ in range(2)]
        await server.stop()
        return bases_of

    monkeypatch.setattr(Child, "ask", drawn)
    first, second = asyncio.run(shown())
    assert first == second
    assert first.name == "base.tif"
    assert "not shown beneath the maps: bad.tif is no scene; leave it out" in caplog.text


def test_a_scene_that_is_not_there_is_refused_at_start(tmp_path):
    with pytest.raises(InputError, match=r"there is no .*gone\.tif; check the path after --base"):
        Server(Settings(bases=(tmp_path / "gone.tif",)), tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        ((0, 0, 2, 2), (1, 1, 3, 3), True),
        ((0, 0, 2, 2), (2, 0, 3, 2), False),
        ((0, 0, 2, 2), (0, 3, 2, 4), False),
        (None, (0, 0, 1, 1), False),
        ((0, 0, 1, 1), None, False),
    ],
)
def test_ground_in_common(first, second, meet):
    assert overlapping(first, second) is meet


def test_a_file_that_has_gone_has_no_version(tmp_path):
    with pytest.raises(InputError, match=r"gone\.tif cannot be read: .*; was it moved"):
        version_of(tmp_path / "gone.tif")
