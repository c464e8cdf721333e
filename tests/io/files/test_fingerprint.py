import os

import pytest

from lulc.errors import StorageError
from lulc.io.files.fingerprint import Unchanged, input_files, json_fingerprint


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        (
            {"b": [1, 2.5, None], "a": {"é": ("x", True)}},
            "dabac0adacafeeb56d4212862d3e8aea348dd874a4123a0a0df94aa72765dd0f",
        ),
        (["id", "POLYGON", ("B02", "B03")], "1041745d887c8c68537d58e29f4ced5369f5d3b771eea65f015e7137efc1c3c0"),
    ],
)
def test_digests_of_plans_and_fetched_files_stay_as_they_are(value, digest):
    assert json_fingerprint(value) == digest


def test_the_order_of_keys_does_not_count():
    assert json_fingerprint({"a": 1, "b": 2}) == json_fingerprint({"b": 2, "a": 1})
    assert json_fingerprint([1, 2]) != json_fingerprint([2, 1])


class TestUnchanged:
    def test_what_is_read_may_not_be_written_to(self, tmp_path):
        file, other = tmp_path / "a", tmp_path / "b"
        for path in (file, other):
            path.write_bytes(b"old")
        inputs = Unchanged([other, file])
        inputs.check()
        os.utime(file, (0, 0))
        inputs.check(1)
        with pytest.raises(StorageError, match=r"a was changed while it was read; run the same command again") as found:
            inputs.check()
        assert found.value.exit_code == 5

    @pytest.mark.parametrize("how", ["longer", "replaced", "removed"])
    def test_nor_replaced_nor_removed(self, tmp_path, how):
        file = tmp_path / "a"
        file.write_bytes(b"old")
        time = file.stat().st_mtime_ns
        inputs = Unchanged([file])
        (tmp_path / "new").write_bytes(b"newer" if how == "longer" else b"new")
        os.utime(tmp_path / "new", ns=(time, time + (how == "replaced")))
        file.unlink() if how == "removed" else (tmp_path / "new").replace(file)
        with pytest.raises(StorageError, match="was changed"):
            inputs.check()

    def test_a_disk_that_fails_is_named(self, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "b").touch()
        inputs = Unchanged([tmp_path / "a" / "b"])
        (tmp_path / "a" / "b").unlink()
        (tmp_path / "a").rmdir()
        (tmp_path / "a").touch()
        with pytest.raises(StorageError, match=r"cannot read .*b: Not a directory"):
            inputs.check()


def test_what_a_run_keeps_in_the_folder_of_its_input_is_no_input(tmp_path):
    for name in ("B02.tif", "map.tif.lulc/job.json", ".map.tif.0.partial/map.tif", "x.lulc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in input_files(tmp_path)] == ["B02.tif", "x.lulc"]
