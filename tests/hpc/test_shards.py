"""Shards on one machine: any of them may be killed, and the merged map equals that of one run byte for byte."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.errors import ConfigError, InputError, ShardError, StorageError, UsageError
from lulc.hpc.plan import make_plan, notes_folder, read_plan, write_plan
from lulc.hpc.shards import _merge, merge_planned, merge_scenes, run_planned, shard_statuses
from lulc.io.cog.work_folder import take_folder, work_folder
from lulc.io.product.parts import part_folder, parts_folder
from lulc.tasks.classify.classify import classify
from lulc.tasks.classify.scene_list import listed_scenes, scene_name
from tests.support.command import start
from tests.support.rewritten import rewriting
from tests.support.shard_samples import WINDOW, sha256
from tests.support.whole_runs import messages, write_scene


def states(path):
    plan = read_plan(path)
    return [(status.state, status.done) for status in shard_statuses(plan, path, plan.shards, {})]


def all_run(path):
    plan = read_plan(path)
    for shard in plan.shards:
        run_planned(plan, path, shard.index)
    return plan


def begin(path, shard, chunks=1):
    """A process that runs a shard and has stored so many chunks."""
    process = start("hpc", "run", path, shard)
    folder = read_plan(path).shard(shard).folder
    deadline = time.monotonic() + 120
    while len(list(folder.glob("chunk*.tiles"))) < chunks and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, process.stderr
    return process, folder


def test_shards_and_their_merge_make_the_same_bytes_as_one_run(region):
    path, out, expected = region
    plan = read_plan(path)
    assert [shard.chunks for shard in plan.shards] == [range(3), range(3, 6)]
    assert states(path) == [("waiting", 0)] * 2
    for index in (1, 0):
        assert run_planned(plan, path, index).resumed == 0
    assert states(path) == [("done", 3)] * 2
    assert not out.exists()
    assert merge_planned(plan, path, 0) == out
    assert sha256(out) == expected
    assert states(path) == [("merged", 3)] * 2
    assert not parts_folder(out).exists()
    assert not out.with_name("scene.tif.lulc").exists()
    assert run_planned(plan, path, 0) is None
    assert merge_planned(plan, path, 0) == out


def test_a_finished_shard_does_nothing_when_it_is_run_again(region):
    path, _, _ = region
    plan = read_plan(path)
    run_planned(plan, path, 0)
    again = run_planned(plan, path, 0)
    assert (again.resumed, again.megapixels) == (3, 0)


@pytest.mark.process
@pytest.mark.kill
def test_a_shard_is_killed_and_goes_on(region):
    path, out, expected = region
    process, folder = begin(path, 0)
    process.kill()
    process.wait()
    stored = {chunk: chunk.stat().st_mtime_ns for chunk in folder.glob("chunk*.tiles")}
    assert states(path)[0] == ("interrupted", len(stored))
    plan = read_plan(path)
    assert run_planned(plan, path, 0).resumed == len(stored)
    assert {chunk: chunk.stat().st_mtime_ns for chunk in stored} == stored
    run_planned(plan, path, 1)
    assert sha256(merge_planned(plan, path, 0)) == expected
    assert out.exists()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
@pytest.mark.process
@pytest.mark.kill
def test_a_signal_ends_a_shard_with_75_and_a_reason(region, number):
    path, _, _ = region
    process, _ = begin(path, 0)
    for _ in range(2):  # once to the job, once passed on by its script
        process.send_signal(number)
    assert process.wait(timeout=60) == 75
    stderr = process.stderr
    assert len(messages(stderr)) == 1, stderr
    plan = read_plan(path)
    status = shard_statuses(plan, path, plan.shards, {})[0]
    assert (status.state, status.reason.partition(";")[0]) == ("interrupted", f"stopped by {number.name}")


@pytest.mark.process
@pytest.mark.kill
def test_a_running_shard_is_seen_and_not_run_twice(region):
    path, _, _ = region
    process, _ = begin(path, 0)
    assert states(path)[0][0] == "running"
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(StorageError, match="another process"):
        run_planned(read_plan(path), path, 0)
    process.kill()
    process.wait()


def test_a_merge_names_the_shards_that_are_missing_and_leaves_nothing(region):
    path, out, _ = region
    plan = read_plan(path)
    run_planned(plan, path, 1)
    with pytest.raises(ShardError, match=r"shard 0 \(waiting, 0 of 3 chunks: not started\)") as refused:
        merge_planned(plan, path, 0)
    assert "shard 1" not in str(refused.value)
    assert sorted(entry.name for entry in out.parent.iterdir()) == ["scene.tif.parts"]


def test_a_damaged_chunk_is_found_by_the_merge_and_made_again(region):
    path, out, expected = region
    plan = all_run(path)
    chunk = part_folder(out, 1) / "chunk-000004.tiles"
    content = bytearray(chunk.read_bytes())
    content[-50] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(ShardError, match=r"shard 1 \(failed, 3 of 3 chunks: chunk 4 of .* is damaged\)"):
        merge_planned(plan, path, 0)
    assert not out.with_name("scene.tif.lulc").exists()
    assert run_planned(plan, path, 1).resumed == 2
    assert sha256(merge_planned(plan, path, 0)) == expected


def test_parts_of_another_job_are_refused(region, ready, settings):
    path, out, _ = region
    all_run(path)
    other = make_plan([(ready[0],)], out.parent, settings.model_copy(update={"activations": "none"}), 3)
    write_plan(other, path, overwrite=True)
    with pytest.raises(ShardError, match="holds chunks of another job"):
        merge_planned(other, path, 0)
    assert not out.exists()


def test_parts_of_the_same_job_count_however_they_were_cut(region, ready, settings):
    path, out, expected = region
    run_planned(read_plan(path), path, 0)
    finer = make_plan([(ready[0],)], out.parent, settings, 1)
    write_plan(finer, path, overwrite=True)
    for index in (3, 4, 5):
        run_planned(finer, path, index)
    assert sha256(merge_planned(finer, path, 0)) == expected
    assert not parts_folder(out).exists()


def test_a_changed_scene_is_refused_by_its_shards(region):
    path, _, _ = region
    plan = read_plan(path)
    file = plan.scenes[0].inputs[0]
    os.utime(file, (1, 1))  # touched alone it is the same scene
    run_planned(plan, path, 1)
    with rasterio.open(file, "r+") as scene:
        scene.write(scene.read() + 1)
    with pytest.raises(InputError, match="changed since the plan was made: input; make the plan again"):
        run_planned(plan, path, 0)
    note = (notes_folder(path) / "shard-0000.error").read_text()
    assert note.startswith("3 ")
    assert note.count("\n") == 1


def status_of(path, *options):
    ended = CliRunner().invoke(cli, ["hpc", "status", str(path), *options])
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_the_status_shows_a_failed_merge_until_it_is_repeated(region):
    path, out, expected = region
    plan = all_run(path)
    assert json.loads(status_of(path, "--json"))["merges"] == [
        {"scene": 0, "output": str(out), "state": "waiting", "reason": "", "log": ""}
    ]
    out.write_bytes(b"somebody else's")
    with pytest.raises(StorageError, match="exists"):
        merge_planned(plan, path, 0)
    (line,) = [line for line in status_of(path).splitlines() if line.startswith("merge")]
    assert line.startswith(f"merge 0     failed      {out.name}  {out} exists")
    out.unlink()
    assert sha256(merge_planned(plan, path, 0)) == expected
    assert "failed" not in status_of(path)
    assert not list(notes_folder(path).glob("scene-*.error"))


def test_the_status_names_the_log_of_a_merge_that_ended_without_a_word(region):
    path, _, _ = region
    all_run(path)
    notes = notes_folder(path)
    (notes / "logs").mkdir(parents=True)
    line = {"kind": "merges", "job": "17", "first": 0, "numbers": [0]}
    (notes / "jobs.jsonl").write_text(json.dumps(line) + "\n" + '{"kind": "mer')  # the last line was cut by a kill
    assert json.loads(status_of(path, "--json"))["merges"][0]["state"] == "waiting"
    log = notes / "logs" / "merge-17_0.log"
    log.write_text("slurmstepd: error: Detected 1 oom_kill event\n")
    (line,) = [line for line in status_of(path).splitlines() if line.startswith("merge")]
    assert "failed" in line
    assert "ended without a message" in line
    assert line.endswith(f"; its log is {log}")


def test_blended_shards_infer_the_row_above_again(settings, tmp_path):
    scene = write_scene(tmp_path / "scene.tif", 1600, 300)
    blended = settings.model_copy(update={"window": 192, "halo": 32, "blend": 16})
    classify([scene], tmp_path / "whole.tif", blended)
    (tmp_path / "maps").mkdir()
    path = tmp_path / "plan.json"
    write_plan(make_plan([(scene,)], tmp_path / "maps", blended, 1), path)
    assert sha256(merge_planned(all_run(path), path, 0)) == sha256(tmp_path / "whole.tif")


def test_a_scene_without_data_is_refused_by_the_merge_when_data_are_asked_for(settings, tmp_path):
    settings = settings.model_copy(update={"require_data": True})
    scene = write_scene(tmp_path / "scene.tif", 600, 100, pixels=np.zeros((4, 600, 100), np.uint16))
    (tmp_path / "maps").mkdir()
    path = tmp_path / "plan.json"
    write_plan(make_plan([(scene,)], tmp_path / "maps", settings, 1), path)
    plan = all_run(path)
    with pytest.raises(InputError, match="no valid pixel"):
        merge_planned(plan, path, 0)


def test_a_merge_killed_after_publishing_is_repeated(region, monkeypatch):
    path, out, expected = region
    plan = all_run(path)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", _fail_on("scene-0000.merging", Path.replace))
        with pytest.raises(KeyboardInterrupt):
            merge_planned(plan, path, 0)
    assert out.exists()
    merge_planned(plan, path, 0)
    assert sha256(out) == expected
    assert states(path) == [("merged", 3)] * 2


def test_a_merge_that_failed_gives_no_leave_to_overwrite(region):
    path, out, _ = region
    plan = all_run(path)
    (part_folder(out, 1) / "chunk-000004.tiles").write_bytes(b"damaged")
    with pytest.raises(ShardError, match="is damaged"):
        merge_planned(plan, path, 0)
    assert not (notes_folder(path) / "scene-0000.merging").exists()


@pytest.mark.parametrize("other", ["text", "map"])
def test_a_killed_merge_gives_leave_to_overwrite_its_own_product_alone(region, settings, tmp_path, other):
    path, out, expected = region
    plan = all_run(path)
    begun = notes_folder(path) / "scene-0000.merging"
    begun.write_text(f"{plan.scenes[0].fingerprint}\n")
    lock = take_folder(work_folder(out))
    with pytest.raises(StorageError, match="another process"):
        merge_planned(plan, path, 0)
    os.close(lock)
    assert begun.exists()  # it is that of the merge at work
    out.write_text("mine")
    if other == "map":
        scene = write_scene(tmp_path / "scene.tif", 300, 200)
        classify([scene], out, settings.model_copy(update={"overwrite": True}))
    before = out.read_bytes()
    with pytest.raises(StorageError, match="exists"):
        merge_planned(plan, path, 0)
    assert (out.read_bytes(), begun.exists()) == (before, False)
    out.unlink()
    assert sha256(merge_planned(plan, path, 0)) == expected


def _fail_on(name, original):
    def replace(self, target):
        if self.name == name:
            raise KeyboardInterrupt
        return original(self, target)

    return replace


def test_scenes_that_are_complete_are_merged_all_the_same(ready, settings, tmp_path):
    scenes = [write_scene(tmp_path / f"{name}.tif", 300, 200, seed=seed) for seed, name in enumerate("ab")]
    (tmp_path / "maps").mkdir()
    path = tmp_path / "plan.json"
    plan = make_plan([(scene,) for scene in scenes], tmp_path / "maps", settings)
    write_plan(plan, path)
    run_planned(plan, path, 1)
    published = []
    with pytest.raises(ShardError, match=r"a\.tif cannot be merged: 1 shards are missing"):
        published.extend(merge_scenes(plan, path, None))
    assert (tmp_path / "maps" / "b.tif").exists()
    with pytest.raises(UsageError, match="there is no scene 2"):
        list(merge_scenes(plan, path, [2]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is not a plan"),
        ("{", "is not a plan"),
        ('{"options": {"windo": 300}}', "did you mean 'window'"),
        ("{}", "missing"),
    ],
)
def test_what_is_no_plan_is_refused(tmp_path, text, message):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_plan(path)


@pytest.mark.parametrize("output", ["", "/", ".."])
def test_a_product_without_a_name_is_refused(region, output):
    path, out, _ = region
    path.write_text(path.read_text().replace(f'"{out}"', f'"{output}"'))
    for command in (("run", path, 0), ("status", path), ("merge", path)):
        done = CliRunner().invoke(cli, ["hpc", *map(str, command)])
        assert (done.exit_code, done.output.count("\n")) == (4, 1), done.output
        assert f"{path}: scenes.0.output = {output!r}: it names no file" in done.output


def test_equal_names_of_scenes_are_refused(ready, settings, tmp_path):
    with pytest.raises(UsageError, match="is given for two outputs"):
        make_plan([(ready[0],), (ready[0],)], tmp_path, settings)
    with pytest.raises(StorageError, match="there is no folder"):
        make_plan([(ready[0],)], tmp_path / "absent", settings)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/S2A_T31.SAFE.zip", "S2A_T31"),
        ("S2A_T31.SAFE/", "S2A_T31"),
        ("b/x.y.tif", "x.y"),
        ("https:/host/a/T31.json", "T31"),
    ],
)
def test_names_of_scenes(path, name):
    assert scene_name(Path(path)) == name


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_plan_for_gpus_is_made_without_one(ready, settings, tmp_path):
    gpu = settings.model_copy(update={"device": "cuda", "precision": "auto"})
    with pytest.raises(UsageError, match="cannot be asked for its precision"):
        make_plan([(ready[0],)], tmp_path, gpu)
    plan = make_plan([(ready[0],)], tmp_path, gpu.model_copy(update={"precision": "bf16"}))
    write_plan(plan, tmp_path / "plan.json")
    assert (plan.options.device, plan.options.precision) == ("cuda", "bf16")
    with pytest.raises(UsageError, match="cannot be used"):
        run_planned(plan, tmp_path / "plan.json", 0)


def test_the_commands(ready, bundle, tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "list.txt").write_text(f"{ready[0]}\n")
    path, out = tmp_path / "plan.json", tmp_path / "maps"
    runner = CliRunner()

    def call(*arguments):
        done = runner.invoke(cli, [str(argument) for argument in arguments])
        return done.exit_code, done.output

    options = ("--model", bundle, "--window", WINDOW, "--precision", "fp32", "--threads", 1, "--shard-chunks", 3)
    assert call("hpc", "plan", path, "--out", out)[0] == 2
    code, text = call("hpc", "plan", "--list", tmp_path / "list.txt", path, "--out", out, *options, "--json")
    assert (code, json.loads(text)["shards"]) == (0, 2)
    said = f"{path}: 1 scenes, 2 shards of at most 3 chunks, cpu fp32, 1 threads\n"
    assert call("hpc", "plan", ready[0], path, "--out", out, *options, "--device", "cpu", "--overwrite") == (0, said)
    assert call("hpc", "plan", ready[0], path, "--out", out, *options)[0] == 5
    assert call("hpc", "run", path, 2)[0] == 2
    assert json.loads(call("hpc", "run", path, 0, "--json")[1])["chunks"] == 3
    code, text = call("hpc", "merge", path)
    assert (code, text.count("\n")) == (7, 1)
    code, text = call("hpc", "status", path)
    assert (code, "shard 1     waiting" in text) == (0, True)
    assert call("hpc", "run", path, 1, "--quiet") == (0, "")
    assert json.loads(call("hpc", "status", path, "--json")[1])["counts"] == {"done": 2}
    assert f"1 scenes are complete and not merged yet; lulc hpc merge {path}" in call("hpc", "status", path)[1]
    assert call("hpc", "merge", path, "--scene", 0)[0] == 0
    assert sha256(out / "scene.tif") == ready[1]
    assert call("hpc", "run", path, 0) == (0, "shard 0: its scene has been merged already\n")
    nothing = f"nothing is left to submit; lulc hpc status {path} says what each shard has come to\n"
    assert call("hpc", "submit", path) == (0, nothing)
    assert call("hpc", "submit", path, "--json")[1] == '{"shards": [], "scenes": [], "jobs": [], "merges": []}\n'
    assert call("hpc", "submit", path, "--shards", 2)[0] == 2


def test_a_defect_is_noted_too(region, monkeypatch):
    path, _, _ = region

    def broken(*_, **__):
        raise ValueError("nobody foresaw\nthis")

    monkeypatch.setattr("lulc.hpc.shards.run_shard", broken)
    with pytest.raises(ValueError, match="nobody foresaw"):
        run_planned(read_plan(path), path, 0)
    assert (notes_folder(path) / "shard-0000.error").read_text() == "1 ValueError: nobody foresaw this\n"
    assert states(path)[0] == ("failed", 0)
    write_plan(read_plan(path), path, overwrite=True)
    assert states(path)[0] == ("waiting", 0)


def test_a_merge_that_another_one_has_overtaken_gives_its_product(region, monkeypatch):
    path, out, _ = region
    plan = read_plan(path)
    asked = []

    def merged(*given):
        asked.append(given)
        return len(asked) > 1

    monkeypatch.setattr("lulc.hpc.shards._merged", merged)
    monkeypatch.setattr("lulc.hpc.shards._refuse_missing", lambda *_: (_ for _ in ()).throw(ShardError("gone", "-")))
    assert merge_planned(plan, path, 0) == out


def test_a_second_merge_may_remove_the_note_of_the_first(region, monkeypatch):
    path, out, _ = region
    plan = read_plan(path)
    replace = Path.replace

    def removed(self, target):
        if self.name == "scene-0000.merging":
            self.unlink()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", removed)
    monkeypatch.setattr("lulc.hpc.shards.merge_parts", lambda *_, **__: out.touch())
    _merge(plan, path, 0)
    assert states(path) == [("merged", 3)] * 2


@pytest.mark.parametrize("cuts", [[1, 3], [0, 3, 3], [0, 3, 2]])
def test_cuts_that_do_not_rise_are_refused(region, cuts):
    path, _, _ = region
    table = json.loads(path.read_text())
    table["scenes"][0]["cuts"] = cuts
    path.write_text(json.dumps(table))
    with pytest.raises(ConfigError, match="cuts must rise from 0"):
        read_plan(path)


def test_a_shard_whose_scene_is_rewritten_stores_no_more_chunks(region):
    path, _, _ = region
    plan = read_plan(path)
    (scene,) = plan.scenes[0].inputs
    with pytest.raises(StorageError, match="was changed while it was read"):
        run_planned(plan, path, 0, progress=rewriting(scene))
    assert len(list(plan.shard(0).folder.glob("chunk*.tiles"))) < len(plan.shard(0).chunks)
    with pytest.raises(InputError, match="changed"):
        run_planned(plan, path, 0)


@pytest.mark.parametrize("kind", ["pipe", "endless"])
def test_a_list_of_scenes_is_a_regular_file(tmp_path, kind):
    path = tmp_path / "list.txt"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"list\.txt cannot be read"):
        listed_scenes(path)
