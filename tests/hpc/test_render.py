"""Job scripts are plain text: the examples in pipelines/slurm are what lulc renders, and shells accept them."""

import subprocess
from pathlib import Path

import pytest

from lulc.errors import ConfigError
from lulc.hpc.plan import PlannedScene, ShardPlan
from lulc.hpc.render import ArrayPart, array_parts, ranges, render
from lulc.hpc.site import Site, load_site
from lulc.resources import shipped_names
from lulc.tasks.classify.options import ClassifyOptions

EXAMPLES = Path(__file__).parents[2] / "pipelines" / "slurm"
PLAN = Path("/data/region/region.json")


def example_plan(scenes=3, shards=4):
    """Scenes of a Sentinel-2 tile's 66 chunks."""
    cuts = tuple(66 * number // shards for number in range(shards + 1))
    planned = tuple(
        PlannedScene(
            inputs=(Path(f"/data/region/scenes/{number}.SAFE"),),
            output=Path(f"/data/region/maps/{number}.tif"),
            fingerprint="0" * 64,
            window=1136,
            halo=56,
            blend=0,
            cuts=cuts,
        )
        for number in range(scenes)
    )
    return ShardPlan(options=ClassifyOptions(device="cpu", precision="bf16", threads=4), scenes=planned)


def rendered(site, **given):
    return render(example_plan(**given), PLAN, load_site(site), PLAN.parent / "scripts")


@pytest.mark.parametrize("site", ["generic", "generic-gpu"])
def test_the_examples_are_what_lulc_renders(site):
    assert {path.name: path.read_text() for path in (EXAMPLES / site).iterdir()} == rendered(site)


@pytest.mark.parametrize("site", shipped_names("sites"))
def test_shells_accept_the_scripts(site):
    for name, text in rendered(site).items():
        done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
        assert (name, done.returncode, done.stderr) == (name, 0, "")


def test_all_that_a_site_asks_for_is_in_the_script():
    site = Site(
        partition="long",
        account="a1",
        qos="low",
        gres="gpu:2",
        cpus=7,
        array_limit=5,
        signal_seconds=90,
        modules=("python/3.11",),
        environment={"NAME": "a b"},
        setup=("source env/bin/activate",),
        scratch="/scratch/$SLURM_JOB_ID",
        sbatch=("--exclusive",),
    )
    files = render(example_plan(), Path("/data/my region/p.json"), site, Path("/data/scripts"))
    for line in (
        "#SBATCH --partition=long",
        "#SBATCH --account=a1",
        "#SBATCH --qos=low",
        "#SBATCH --gres=gpu:2",
        "#SBATCH --cpus-per-task=7",
        "#SBATCH --signal=B:USR1@90",
        "#SBATCH --requeue",
        "#SBATCH --exclusive",
        "#SBATCH --output='/data/my region/p.run/logs/shard-%A_%a.log'",
        "module load python/3.11",
        "export NAME='a b'",
        'export TMPDIR="/scratch/$SLURM_JOB_ID"',
        "source env/bin/activate",
    ):
        assert line in files["shards.sbatch"].splitlines()
    assert "--array=0-11%5" in files["submit.sh"]
    assert "--dependency=afterany:$shards_0 " in files["submit.sh"]


def test_a_large_plan_becomes_several_arrays():
    text = rendered("generic", scenes=1500, shards=2)["submit.sh"]
    assert text.count("shards.sbatch") == 3
    assert text.count("merge.sbatch") == 2
    assert "--array=0-999 --export=ALL,LULC_FIRST=2000" in text
    assert "afterany:$shards_0:$shards_1:$shards_2" in text


def test_arrays_of_some_shards():
    assert array_parts([1003, 3, 1004, 7], 1000) == [ArrayPart(0, (3, 7)), ArrayPart(1000, (3, 4))]
    assert ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partitoin = 'a'", "did you mean 'partition'"),
        ("[merge]\nmem = '3G'", "did you mean 'memory'"),
        ("signal_seconds = 0", "signal_seconds = 0"),
        ("sbatch = ['exclusive']", "is not an option of sbatch"),
        ("environment = {'A-B' = 'c'}", "is not the name of a variable"),
    ],
)
def test_a_site_with_a_mistake_is_refused(tmp_path, text, message):
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_site(path)


def test_a_site_by_a_wrong_name_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'generic-gpu'"):
        load_site("generic-gpus")


def test_the_generic_site_shows_the_defaults():
    assert load_site("generic") == Site()
